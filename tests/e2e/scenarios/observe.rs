//! `observe` mode: the sidecar stands in nobody's way, and the Service's traffic goes to the app's own port.
//!
//! **Invariant:** only what docs/sidecar.md promises of the mode is asked of it: it cannot ask clients to leave, so they
//! bring a connection for each request.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::{Value, json};

/// Requests a second.
const RATE: u32 = 40;

fn observes(pod: &mut Value) {
    if let Some(arguments) = pod["initContainers"][0]["args"].as_array_mut() {
        arguments.push(json!("--mode=observe"));
    }
}

fn past_the_sidecar(service: &mut Value) {
    service["spec"]["ports"][0]["targetPort"] = json!(8080);
}

/// Restarted under load without a lost request.
pub async fn restarted(space: &Space) -> Result<Figures> {
    let template = Template::web()?.replicas(2).edit_pod(observes).edit("Service", past_the_sidecar);
    let app = template.deploy_with_load(space).await?;
    let clients = json!({"newConnections": 1.0});
    let load = Load::start(space, "observe", &app.address().await?, RATE, clients).await?;
    load.sent(100).await?;
    let old = app.uids().await?;
    let status = Request::apply(space, "web", "web", json!({})).await?.completed(150).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let sent = load.interim().await?.sent;
    load.sent(sent + 100).await?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok(Figures::default().load(&report).replaced(2).and(format!("completed in {}", took(&status))))
}
