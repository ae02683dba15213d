//! `backupConfig: false` and `historyLimit` in the controller's configuration.
//!
//! **Invariant:** the configuration is at the end what it was at the beginning: other scenarios need it.

use crate::scenarios::input::refused;
use crate::scenarios::meanwhile::controller_configured::{configuration, configure, more_reloads, reloads};
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::json;

/// Nothing is copied, so that nothing is promoted or held against a copy; three runs, two are kept.
pub async fn without_copies(space: &Space) -> Result<Figures> {
    let before = configuration(space).await?;
    let read = reloads(space, "success").await?;
    configure(space, "restart: {backupConfig: false, historyLimit: 2}\n").await?;
    more_reloads(space, "success", read).await?;
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let judged = judge(&app).await;
    let read = reloads(space, "success").await?;
    configure(space, &before).await?;
    more_reloads(space, "success", read).await?;
    judged
}

async fn judge(app: &App<'_>) -> Result<Figures> {
    let promotion = json!({"config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]}});
    refused(app, promotion, Code::BackupFailed, &["backupConfig is off", "web-config"]).await?;
    Request::named(app.space, "bad").delete().await?;
    Request::named(app.space, "bad").gone(10).await?;
    let held = json!({"config": {"reload": false}});
    let figures = refused(app, held, Code::BackupFailed, &["backupConfig is off", "config.reload"]).await?;
    for name in ["first", "second", "third"] {
        let request = Request::apply(app.space, name, app.name, json!({"force": true})).await?;
        let status = request.completed(90).await?;
        let copied = status.snapshot.is_some_and(|snapshot| !snapshot.config_maps.is_empty());
        ensure!(!copied, "{name} has copied something");
    }
    let history = app.history().await?.and_then(|history| history.status).unwrap_or_default();
    let runs: Vec<&str> = history.runs.iter().map(|run| run.request.as_str()).collect();
    ensure!(runs == ["third", "second"], "kept: {runs:?}");
    ensure!(history.last_known_good.is_empty(), "last-known-good without copies");
    let copies = app.space.kubectl(&["get", "configmaps", "-l", "restart-controller.dev/role", "-o", "name"]).await?;
    ensure!(copies.trim().is_empty(), "there are copies: {copies}");
    Ok(figures.and("3 restarts without a copy, 2 kept").replaced(3))
}
