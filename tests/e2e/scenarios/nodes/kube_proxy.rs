//! A kube-proxy that is late: clients of its node go on sending to pods that have left their Services.
//!
//! **Invariant:** the kube-proxy that stands still is the one that the load goes through, from before the first cordon on.

use super::spread_over_nodes;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::nodes::{FIRST, Stalled, load_on_the_first};
use crate::support::request::took;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, Step};
use serde_json::json;

/// How much later than the drain's beginning it goes on, in requests; at the rate of the load 8 s.
const LATE: u64 = 8 * RATE as u64;
const RATE: u32 = 50;

/// While late requests come, a cordoned pod stays and serves them: the run waits, or fails and gives everything back.
pub async fn late(space: &Space) -> Result<Figures> {
    load_on_the_first(space).await?;
    let template = Template::web()?.replicas(3).edit_pod(|pod| spread_over_nodes(pod, "web", json!({})));
    let app = template.deploy_with_load(space).await?;
    let load = Load::start(space, "late", &app.address().await?, RATE, json!({"newConnections": 1.0})).await?;
    load.sent(50).await?;
    let old = app.uids().await?;
    let all_at_once = json!({"strategy": {"maxParallel": "100%"}});
    let with = |seconds: i32| json!({"strategy": all_at_once["strategy"], "timeoutSeconds": seconds});
    let proxy = Stalled::stop("kube-proxy", FIRST)?;
    let failed = app.restart("never", with(5)).await?.failed_and_restored(Code::DrainTimeout, 150).await?;
    ensure!(old == app.uids().await?, "a pod went although requests still came to it");
    let request = app.restart("late", with(60)).await?;
    request.entered(Step::Draining).await?;
    load.sent(load.interim().await?.sent + LATE).await?;
    let waiting = request.status().await?;
    ensure!(waiting.step == Some(Step::Draining), "it went on although requests still came: {}", waiting.message);
    proxy.go_on()?;
    let status = request.completed(120).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let report = load.stop().await?;
    report.nothing_lost()?;
    let note = format!("{} s late: in {}; for good: {}", LATE / u64::from(RATE), took(&status), failed.message);
    Ok(Figures::default().load(&report).replaced(3).and(note))
}
