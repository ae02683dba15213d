//! The soak: a new pod that fails in it fails the run, and configuration and pods go back.
//!
//! **Invariant:** one pod fails while another serves, so that whatever is lost was lost by the restart.

use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::{Load, Report};
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use kube::ResourceExt as _;
use restart_controller::api::{Code, RestartRequestStatus};
use serde_json::json;

const CANDIDATE: &str = "greeting: promoted\ndelayMillis: 200\n";

/// One of the new pods loses its readiness; the load goes on through all of it.
pub async fn loses_readiness(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy_with_load(space).await?;
    let load = Load::start(space, "soak", &app.address().await?, 60, json!({})).await?;
    let status = fails(&app, "/sick", "was Ready in the soak and is not any more", async || Ok(())).await?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok(figures(&report, &status))
}

/// The app of one of the new pods exits, which would cost its own requests: none is under way then.
pub async fn restarts(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy_with_load(space).await?;
    let load = Load::start(space, "soak", &app.address().await?, 60, json!({})).await?;
    let mut report = Report::default();
    let status = fails(&app, "/exit", " in the soak", async || {
        report = load.stop().await?;
        Ok(())
    })
    .await?;
    report.nothing_lost()?;
    Ok(figures(&report, &status))
}

/// A configuration is promoted, and in the soak one of the new pods is told something; `before` that, once all serve.
async fn fails(
    app: &App<'_>,
    told: &str,
    words: &str,
    before: impl AsyncFnOnce() -> Result,
) -> Result<RestartRequestStatus> {
    let good = app.content().await?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"}, "data": {"config.yaml": CANDIDATE}});
    app.space.apply(&[map]).await?;
    let spec = json!({
        "strategy": {"maxParallel": "100%"}, "verify": {"soakSeconds": 120},
        "config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]},
    });
    let request = Request::apply(app.space, "web", "web", spec).await?;
    request.until("the soak", 90, |status| status.message.contains("watching them for soakSeconds")).await?;
    before().await?;
    let suspects = app.uids().await?;
    let pod = app.pods().await?.pop().ok_or("there is no pod")?;
    app.tell(&pod, told).await?;
    let status = request.failed_and_restored(Code::ReplacementUnhealthy, 120).await?;
    for word in [words, &pod.name_any()] {
        ensure!(status.message.contains(word), "the message does not say {word:?}: {}", status.message);
    }
    app.whole().await?;
    let after = app.content().await?;
    ensure!(after == good, "the configuration was not restored: before {good:?}, after {after:?}");
    let left = app.uids().await?;
    ensure!(left.is_disjoint(&suspects), "pods run on the configuration that failed: {suspects:?}, {left:?}");
    Ok(status)
}

fn figures(report: &Report, status: &RestartRequestStatus) -> Figures {
    Figures::default().load(report).replaced(4).and(format!("failed and restored in {}", took(status)))
}
