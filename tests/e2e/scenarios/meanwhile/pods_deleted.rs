//! Pods that others delete in mid-run: one that waits for its turn, one that is new, one that is detached.
//!
//! **Invariant:** two pods are left to serve; the kinds are told apart by what the API server says of them.

use super::Scene;
use crate::support::app::is_detached;
use crate::support::figures::Figures;
use crate::support::pods::is_ready;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

/// All three at once.
pub async fn by_somebody_else(space: &Space) -> Result<Figures> {
    let scene = Scene::draining(space, 4, json!({"strategy": {"maxParallel": 1}})).await?;
    let pods = scene.app.pods().await?;
    let old = |pod: &&Pod| scene.old.contains(&pod.uid().unwrap_or_default());
    let detached = pods.iter().find(|pod| is_detached(pod));
    let planned = pods.iter().find(|pod| old(pod) && !is_detached(pod) && is_ready(pod));
    let new = pods.iter().find(|pod| !old(pod));
    let (Some(detached), Some(planned), Some(new)) = (detached, planned, new) else {
        return Err(format!("not all kinds of pods are there: {:?}", scene.app.starts().await?).into());
    };
    let names = [detached, planned, new].map(kube::ResourceExt::name_any);
    let [detached, planned, new] = &names;
    space.kubectl(&["delete", "pod", "--wait=false", detached, planned, new]).await?;
    scene.request.completed(120).await?;
    scene.app.whole().await?;
    ensure!(scene.app.uids().await?.is_disjoint(&scene.old), "not every pod was replaced");
    Ok(scene.end().await?.1.and("a planned, a new and a detached pod deleted: Completed"))
}
