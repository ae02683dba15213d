//! `force`: the controller does not wait for requests; the pod's own termination still does, as long as it may.
//!
//! **Invariant:** requests that the grace period has room for, those that it has not, and the usual ones have accounts
//! of their own.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::json;

use super::slow_requests::short_grace;

const LONG: u64 = 10;

/// Evicted with requests in flight: those of 6 s end within the grace period of 15 s, those of 60 s are cut.
pub async fn under_load(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).edit_pod(short_grace).deploy_with_load(space).await?;
    let address = app.address().await?;
    let usual = Load::start(space, "usual", &address, 60, json!({})).await?;
    let of = |millis: u32| json!({"count": LONG, "workMillis": millis, "timeoutMillis": 90_000, "slowBodies": 0.0});
    let endless = Load::start(space, "endless", &address, 20, of(60_000)).await?;
    let slow = Load::start(space, "slow", &address, 20, of(6_000)).await?;
    endless.sent(LONG).await?;
    slow.sent(LONG).await?;
    let sent = usual.interim().await?.sent;
    usual.sent(sent + 30).await?;
    let old = app.uids().await?;
    // Without force this wait would be longer than the scenario.
    let spec = json!({"force": true, "timeoutSeconds": 300, "strategy": {"maxParallel": "100%"}});
    let status = Request::apply(space, "web", "web", spec).await?.completed(90).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let (endless, slow) = (endless.finished().await?, slow.finished().await?);
    let usual = usual.stop().await?;
    usual.nothing_lost()?;
    slow.nothing_lost()?;
    ensure!(
        endless.failed == LONG,
        "{} of {LONG} endless requests were cut: {}",
        endless.failed,
        json!(endless.failures)
    );
    let note = format!(
        "completed in {}; the {} failed are those that outlast the grace period",
        took(&status),
        endless.failed
    );
    Ok(Figures::default().load(&usual).load(&slow).load(&endless).replaced(2).and(note))
}
