//! A workload of one pod that has to go before the next comes, while requests never stop.
//!
//! **Invariant:** nobody serves in between, so requests are refused; none that was taken is lost.

use super::slow_requests::short_grace;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::{Load, Report};
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::json;

/// With permission, then deleted by somebody: a gap in which connections are refused, and nothing cut. While it is deleted
/// requests never stop, since kube-proxy falls back to it: the sidecar's listener closes in the end.
pub async fn goes_under_load(space: &Space) -> Result<Figures> {
    let app = Template::stateful_set()?.replicas(1).edit_pod(short_grace).deploy_with_load(space).await?;
    let spec = json!({"targetRef": {"kind": app.kind, "name": app.name}, "strategy": {"allowDisruption": true}});
    let (restarted, status) = account(&app, "restarted", async || {
        Request::apply(space, "web", "web", spec.clone()).await?.completed(150).await
    })
    .await?;
    let (deleted, _) = account(&app, "deleted", async || space.kubectl(&["delete", "pod", "web-0"]).await).await?;
    let note = format!(
        "{} and {} refused a connection, none cut; completed in {}",
        restarted.failed,
        deleted.failed,
        took(&status)
    );
    Ok(Figures::default().load(&restarted).load(&deleted).replaced(2).and(note))
}

/// The load through one event, of which some find nobody that serves and none is cut.
async fn account<T>(app: &App<'_>, name: &str, event: impl AsyncFnOnce() -> Result<T>) -> Result<(Report, T)> {
    // A SYN that nobody answers is sent again a second later: by then its client has given up.
    let clients = json!({"connectTimeoutMillis": 900});
    let load = Load::start(app.space, name, &app.address().await?, 60, clients).await?;
    load.sent(100).await?;
    let old = app.uids().await?;
    let told = event().await?;
    app.settled().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "{name}: the pod was not replaced");
    let sent = load.interim().await?.sent;
    load.sent(sent + 100).await?;
    let report = load.stop().await?;
    let refused = ["refused", "connectTimeout", "unreachable"];
    let cut: Vec<_> = report.failures.keys().filter(|class| !refused.contains(&class.as_str())).collect();
    ensure!(cut.is_empty(), "{name}: requests were lost that had been taken: {cut:?}: {}", json!(report.failures));
    ensure!(report.failed > 0, "{name}: nobody was refused: the pod was not the last");
    Ok((report, told))
}
