//! Traffic policies that are Local: requests of a node reach the pods of that node alone.
//!
//! **Invariant:** the load comes from the first node, whose only pod is replaced as all the others are.

use super::{node_of, spread_over_nodes};
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::nodes::{FIRST, load_on_the_first};
use crate::support::request::took;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::{Value, json};

/// One by one the last pod of a node is refused; all at once, with a spread that brings one to each node, none is lost.
pub async fn policies(space: &Space) -> Result<Figures> {
    load_on_the_first(space).await?;
    let local = |service: &mut Value| service["spec"]["internalTrafficPolicy"] = json!("Local");
    let app = Template::web()?.replicas(3).edit("Service", local);
    let app = app.edit_pod(|pod| spread_over_nodes(pod, "web", json!({}))).deploy_with_load(space).await?;
    let before = app.starts().await?;
    let rolling = json!({"strategy": {"type": "Rolling"}});
    let inside = app.restart("inside", rolling.clone()).await?.failed(Code::LastEndpoint, 60).await?;
    ensure!(inside.message.contains("Local"), "the end does not name the policy: {}", inside.message);
    outside(space, true).await?;
    let outside_too = app.restart("outside", rolling).await?.failed(Code::LastEndpoint, 60).await?;
    ensure!(outside_too.message.contains("Local"), "the end does not name the policy: {}", outside_too.message);
    ensure!(before == app.starts().await?, "a pod was touched");
    outside(space, false).await?;
    let load = Load::start(space, "local", &app.address().await?, 50, json!({})).await?;
    load.sent(50).await?;
    let all_at_once = json!({"strategy": {"maxParallel": "100%"}});
    let status = app.restart("surge", all_at_once).await?.completed(120).await?;
    app.whole().await?;
    let there = app.pods().await?.iter().filter(|pod| node_of(pod) == FIRST).count();
    ensure!(there == 1, "{there} pods are on {FIRST}, not one");
    let report = load.stop().await?;
    report.nothing_lost()?;
    let note = format!("refused one by one; all at once in {}", took(&status));
    Ok(Figures::default().load(&report).replaced(3).and(note))
}

/// Changes which of the two policies is the Local one.
async fn outside(space: &Space, local: bool) -> Result {
    let of = |local: bool| if local { "Local" } else { "Cluster" };
    let (kind, external) = if local { ("NodePort", json!("Local")) } else { ("ClusterIP", Value::Null) };
    let spec = json!({"spec": {"type": kind, "internalTrafficPolicy": of(!local), "externalTrafficPolicy": external}});
    space.kubectl(&["patch", "service", "web", "--patch", &spec.to_string()]).await?;
    Ok(())
}
