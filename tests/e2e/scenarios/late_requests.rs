//! `newRequests: Reject`: cordoned pods turn late requests away, everybody else serves them.
//!
//! **Invariant:** a request that was turned away is answered in the end, once, or it counts as lost.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Step;
use serde_json::json;

/// Turned away while pods are cordoned, neither before nor after.
pub async fn rejected(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy_with_load(space).await?;
    let clients = json!({"retryAfter": true, "newConnections": 0.2});
    let load = Load::start(space, "reject", &app.address().await?, 100, clients).await?;
    let old = app.uids().await?;
    let spec = json!({"newRequests": "Reject", "strategy": {"maxParallel": 1}, "verify": {"soakSeconds": 0}});
    let request = Request::apply(space, "web", "web", spec).await?;
    request.entered(Step::Surging).await?;
    let before = load.interim().await?;
    ensure!(before.turned_away == 0, "{} turned away before any pod was cordoned", before.turned_away);
    request.completed(120).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let ended = load.interim().await?.sent;
    load.sent(ended + 200).await?; // those that were told to come again later have by now
    let last = load.interim().await?;
    load.sent(last.sent + 100).await?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    ensure!(report.turned_away > 0, "nobody was turned away");
    ensure!(
        report.turned_away == last.turned_away,
        "turned away after the end: {}, {}",
        last.turned_away,
        report.turned_away
    );
    Ok(Figures::default()
        .load(&report)
        .replaced(2)
        .and(format!("{} turned away and served elsewhere", report.turned_away)))
}
