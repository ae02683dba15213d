//! Somebody's own rollout begins in mid-run: it is left alone.
//!
//! **Invariant:** the rollout ends as its owner meant it, with none of our pods left.

use super::Scene;
use crate::support::figures::Figures;
use crate::support::request::{condition, sentence};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, ConditionStatus};
use serde_json::json;

const CANDIDATE: &str = "greeting: promoted\ndelayMillis: 200\n";

/// `kubectl rollout restart` while pods are drained, on a configuration that the run has promoted.
pub async fn by_somebody_else(space: &Space) -> Result<Figures> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"}, "data": {"config.yaml": CANDIDATE}});
    space.apply(&[map]).await?;
    let promotion = json!({"configMaps": [{"name": "web-config", "from": "web-config-next"}]});
    let scene = Scene::draining(space, 3, json!({"strategy": {"maxParallel": 2}, "config": promotion})).await?;
    space.kubectl(&["rollout", "restart", "deployment/web"]).await?;
    let status = scene.request.failed(Code::RolloutConflict, 120).await?;
    space.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).await?;
    // Nobody may have started onto it when the rollout was noticed; then it goes back.
    let stays = scene.app.content().await?.0["config.yaml"] == CANDIDATE;
    let expected = if stays { ConditionStatus::False } else { ConditionStatus::True };
    let restored = condition(&status, "Restored");
    ensure!(restored == Some(expected), "the promoted content stays: {stays}, but {}", sentence(&status));
    scene.app.whole().await?;
    ensure!(scene.app.uids().await?.is_disjoint(&scene.old), "an old pod is left");
    Ok(scene.end().await?.1.and(format!("{}: {}", Code::RolloutConflict.number(), status.message)))
}
