//! A workload of one pod that has to go before the next comes, while requests never stop.
//!
//! **Invariant:** nobody serves in between, so requests are refused; none that was taken is lost.

use super::slow_requests::short_grace;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::json;

/// With permission, under load: a gap, in which connections are refused, and nothing cut.
pub async fn goes_under_load(space: &Space) -> Result<Figures> {
    let app = Template::stateful_set()?.replicas(1).edit_pod(short_grace).deploy_with_load(space).await?;
    // What is sent on a kept connection is answered; what is sent on none finds no endpoint.
    let load = Load::start(space, "last", &app.address().await?, 60, json!({"connectTimeoutMillis": 900})).await?;
    load.sent(100).await?;
    let old = app.uids().await?;
    let spec = json!({"targetRef": {"kind": app.kind, "name": app.name}, "strategy": {"allowDisruption": true}});
    let status = Request::apply(space, "web", "web", spec).await?.completed(150).await?;
    app.settled().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "the pod was not replaced");
    let sent = load.interim().await?.sent;
    load.sent(sent + 100).await?;
    let report = load.stop().await?;
    let refused = ["refused", "connectTimeout", "unreachable"];
    let cut: Vec<_> = report.failures.keys().filter(|class| !refused.contains(&class.as_str())).collect();
    ensure!(cut.is_empty(), "requests were lost that had been taken: {cut:?}: {}", json!(report.failures));
    ensure!(report.failed > 0, "nobody was refused: the pod was not the last");
    let note = format!("{} refused a connection, none cut; completed in {}", report.failed, took(&status));
    Ok(Figures::default().load(&report).replaced(1).and(note))
}
