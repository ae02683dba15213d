//! Services that are edited and deleted in mid-run.
//!
//! **Invariant:** the Service of the load goes on selecting the pods; what happens to it is no reason to lose anything.

use super::Scene;
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams};
use restart_controller::api::Step;
use serde_json::json;

/// The one under load gets a port and another selector; a second one selects nobody, and goes. Then the first goes, too.
pub async fn edited_and_deleted(space: &Space) -> Result<Figures> {
    let second = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "second"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8012}]},
    });
    space.apply(&[second]).await?;
    let scene = Scene::draining(space, 2, json!({"strategy": {"maxParallel": 1}})).await?;
    let api = space.api::<Service>();
    let edit = |name: &'static str, spec| {
        let patch = Patch::Strategic(json!({"spec": spec}));
        let api = &api;
        async move { api.patch(name, &PatchParams::default(), &patch).await }
    };
    edit("web", json!({"ports": [{"name": "other", "port": 81, "targetPort": 8012}]})).await?;
    edit("web", json!({"selector": {"restart-controller.dev/sidecar": "true"}})).await?;
    edit("second", json!({"selector": {"app": "nobody"}})).await?;
    scene.request.until("one pod to be restarted", 60, |status| status.progress == "1/2").await?;
    api.delete("second", &DeleteParams::default()).await?;
    scene.request.completed(90).await?;
    scene.app.whole().await?;
    let replaced = scene.app.uids().await?;
    ensure!(replaced.is_disjoint(&scene.old), "not every pod was replaced");
    let request = Request::apply(space, "again", "web", json!({"strategy": {"maxParallel": "100%"}})).await?;
    request.entered(Step::Surging).await?;
    let Scene { app, load, .. } = scene;
    let report = load.stop().await?;
    report.nothing_lost()?;
    api.delete("web", &DeleteParams::default()).await?;
    request.completed(90).await?;
    app.whole().await?;
    ensure!(app.uids().await?.is_disjoint(&replaced), "not every pod was replaced without a Service");
    Ok(Figures::default().load(&report).replaced(4).and("edited, narrowed, emptied, deleted: Completed twice"))
}
