//! `kubectl drain` while a restart is under way, with a budget. There may be one node only: its pods wait until it takes
//! some again.
//!
//! **Invariant:** whatever happens, the node takes pods again at the end.

use super::Scene;
use crate::support::figures::Figures;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

/// The restart waits for its deadline, not for the node alone, and completes.
pub async fn drained(space: &Space) -> Result<Figures> {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 2},
    });
    space.apply(&[budget]).await?;
    let scene = Scene::draining(space, 3, json!({"strategy": {"maxParallel": 1}})).await?;
    let pods = scene.app.pods().await?;
    let node = pods.iter().find_map(|pod| pod.spec.as_ref()?.node_name.clone()).ok_or("no pod has a node")?;
    let drained = drain(space, &scene, &node).await;
    space.kubectl(&["uncordon", &node]).await?;
    drained?;
    scene.request.completed(120).await?;
    scene.app.whole().await?;
    ensure!(scene.app.uids().await?.is_disjoint(&scene.old), "not every pod was replaced");
    Ok(scene.end().await?.1.and("kubectl drain went through, and so did the restart"))
}

/// Drains the node of the app's pods, and uncordons it as soon as one finds no place.
async fn drain(space: &Space, scene: &Scene<'_>, node: &str) -> Result {
    let arguments =
        ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app=web", "--timeout=150s"];
    let uncordon = async {
        until("a pod that finds no place", 60, async || {
            let pods = scene.app.pods().await?;
            let pending = pods.iter().filter(|pod| phase(pod) == "Pending").count();
            Ok(when(pending > 0, || format!("{} pods, none of them Pending", pods.len())))
        })
        .await?;
        let status = scene.request.status().await?;
        ensure!(status.code.is_none(), "the restart has failed: {}", status.message);
        space.kubectl(&["uncordon", node]).await
    };
    let (drained, uncordoned) = tokio::join!(space.kubectl(&arguments), uncordon);
    uncordoned?;
    drained?;
    Ok(())
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}
