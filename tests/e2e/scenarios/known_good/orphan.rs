//! The finalizer is taken off by hand and the request deleted: the run is put back all the same.
//!
//! **Invariant:** whoever wants the workload next waits, or is told, until that is done.

use super::{content, good, restart};
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use restart_controller::api::{Phase, Step};
use serde_json::json;

/// A promoted ConfigMap and a detached pod.
pub async fn put_back(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy(space).await?;
    let (before, old) = (good(&app, "web-config").await?, app.uids().await?);
    let next = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"},
        "data": {"config.yaml": "greeting: next\n"}});
    space.apply(&[next]).await?;
    let config = json!({"configMaps": [{"name": "web-config", "from": "web-config-next"}]});
    let request = restart(&app, "web", config).await?;
    request.entered(Step::Surging).await?;
    ensure!(content(&app, "web-config").await? != before, "nothing was promoted");
    request.delete().await?;
    request.patch(json!({"metadata": {"finalizers": null}})).await?;
    request.gone(30).await?;
    let queued = json!({"concurrencyPolicy": "Queue"});
    let queued = Request::apply(space, "next", "web", queued).await?;
    until("the run to be put back", 60, async || {
        let status = app.history().await?.and_then(|history| history.status).unwrap_or_default();
        let ended = status.runs.iter().find(|run| run.request == "web").map(|run| run.result);
        Ok(when(ended == Some(Phase::Cancelled), || format!("{}, {ended:?}", status.state)))
    })
    .await?;
    ensure!(content(&app, "web-config").await? == before, "the promoted ConfigMap was not put back");
    let status = queued.completed(90).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "the next one did not restart every pod");
    let lists = space.kubectl(&["get", "configmaps", "-l", "restart-controller.dev/role=plan", "-o", "name"]).await?;
    ensure!(lists.trim().is_empty(), "lists of pods are left: {lists}");
    Ok(Figures::note(format!("Cancelled without its request; then the next: {}", status.message)).replaced(2))
}
