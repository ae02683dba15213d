//! Scaled by a user or an autoscaler: the gate follows the replicas, and the plan stays what it was.
//!
//! **Invariant:** the load ends before the last pod does: nothing serves a workload of no pods.

use super::Scene;
use crate::support::figures::Figures;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::json;

/// From three to four while the first pod is drained, to two after it.
pub async fn up_and_down(space: &Space) -> Result<Figures> {
    let scene = Scene::draining(space, 3, json!({"strategy": {"maxParallel": 1}})).await?;
    scene.app.scale(4).await?;
    scene.request.until("one pod to be restarted", 60, |status| status.progress == "1/3").await?;
    scene.app.scale(2).await?;
    scene.request.completed(120).await?;
    scene.app.settled().await?;
    let left = scene.app.uids().await?;
    ensure!(left.is_disjoint(&scene.old), "not every planned pod was replaced");
    Ok(scene.end().await?.1.and("3, then 4, then 2 replicas: Completed"))
}

/// To zero while pods are drained: what is detached goes, and the run is done.
pub async fn to_zero(space: &Space) -> Result<Figures> {
    let Scene { app, load, old, request } =
        Scene::draining(space, 2, json!({"strategy": {"maxParallel": "100%"}})).await?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    app.scale(0).await?;
    let status = request.completed(90).await?;
    app.whole().await?;
    Ok(Figures::default().load(&report).replaced(old.len()).and(format!("Completed: {}", status.message)))
}
