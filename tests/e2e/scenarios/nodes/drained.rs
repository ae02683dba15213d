//! A node is drained while a restart is under way, and its pods find a place on the others.

use super::{node_of, places, spread_over_nodes};
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::nodes::{Closed, load_on_the_first};
use crate::support::request::took;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Step;
use serde_json::json;
use tokio::try_join;

const DRAINED: &str = "node1";

/// `kubectl drain` and the restart both go through beside a budget; nothing is lost, and nothing stays on the node.
pub async fn in_the_run(space: &Space) -> Result<Figures> {
    load_on_the_first(space).await?;
    let spread = |pod: &mut serde_json::Value| spread_over_nodes(pod, "web", json!({"nodeTaintsPolicy": "Honor"}));
    let app = Template::web()?.replicas(3).edit_pod(spread).deploy_with_load(space).await?;
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 2}});
    space.apply(&[budget]).await?;
    let load = Load::start(space, "drained", &app.address().await?, 50, json!({})).await?;
    load.sent(50).await?;
    let old = app.uids().await?;
    let request = app.restart("web", json!({"strategy": {"maxParallel": 1}})).await?;
    request.entered(Step::Draining).await?;
    let closed = Closed::to_new_pods(&[DRAINED]).await?;
    let drain =
        ["drain", DRAINED, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app=web", "--timeout=100s"];
    let (status, _) = try_join!(request.completed(120), space.kubectl(&drain))?;
    app.whole().await?;
    let pods = app.pods().await?;
    ensure!(pods.iter().all(|pod| node_of(pod) != DRAINED), "a pod is on the drained node: {}", places(&app).await?);
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let report = load.stop().await?;
    report.nothing_lost()?;
    closed.open().await?;
    Ok(Figures::default().load(&report).replaced(3).and(format!("drained and restarted in {}", took(&status))))
}
