//! A spread that leaves no room for one more pod: Surge says so and what to do, and doing it helps.

use super::spread_over_nodes;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::took;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::json;

/// Four zones are asked for and there are three: a fourth pod would be the second one somewhere.
pub async fn without_room(space: &Space) -> Result<Figures> {
    let spread = |pod: &mut serde_json::Value| spread_over_nodes(pod, "web", json!({"minDomains": 4}));
    let app = Template::web()?.replicas(3).edit_pod(spread).deploy(space).await?;
    let before = app.starts().await?;
    let request = app.restart("surge", json!({"progressDeadlineSeconds": 12})).await?;
    let status = request.failed_and_restored(Code::ReplacementUnhealthy, 60).await?;
    for word in ["topology spread constraints", "strategy Rolling"] {
        ensure!(status.message.contains(word), "the end does not say {word:?}: {}", status.message);
    }
    ensure!(before == app.starts().await?, "a pod was touched");
    let old = app.uids().await?;
    let rolled = app.restart("rolling", json!({"strategy": {"type": "Rolling"}})).await?.completed(120).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    Ok(Figures::note(format!("{}; Rolling in {}", status.message, took(&rolled))).replaced(3))
}
