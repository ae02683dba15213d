//! A kube-proxy that is late: clients of its node go on sending to pods that have left their Services.
//!
//! **Invariant:** the kube-proxy that stands still is the one that the load goes through, from before the first cordon on.

use super::spread_over_nodes;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::{Load, Report};
use crate::support::nodes::{FIRST, Stalled, load_on_the_first};
use crate::support::request::took;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, RestartRequestStatus, Step};
use serde_json::{Value, json};

/// How much later than the drain's beginning it goes on, in requests; at the rate of the load 8 s.
const LATE: u64 = 8 * RATE as u64;
const RATE: u32 = 50;

/// While late requests come, a cordoned pod stays and serves them: the run waits, or fails and gives everything back.
pub async fn late(space: &Space) -> Result<Figures> {
    load_on_the_first(space).await?;
    let template = Template::web()?.replicas(3).edit_pod(|pod| spread_over_nodes(pod, "web", json!({})));
    let app = template.deploy_with_load(space).await?;
    let (late, completed) = for_a_while(&app).await?;
    let (never, failed) = for_good(&app).await?;
    let note = format!("{} s late: in {}", LATE / u64::from(RATE), took(&completed));
    let figures = Figures::default().load(&late).load(&never).replaced(3).and(note);
    Ok(figures.and(format!("for good: {}", failed.message)))
}

/// It goes on in mid-drain, and then so does the run.
async fn for_a_while(app: &App<'_>) -> Result<(Report, RestartRequestStatus)> {
    let (load, old) = (loaded(app, "late").await?, app.uids().await?);
    let proxy = Stalled::stop("kube-proxy", FIRST)?;
    let request = app.restart("late", all_at_once(120)).await?;
    request.entered(Step::Draining).await?;
    load.sent(load.interim().await?.sent + LATE).await?;
    let waiting = request.status().await?;
    ensure!(waiting.step == Some(Step::Draining), "it went on although requests still came: {}", waiting.message);
    proxy.go_on()?;
    let status = request.completed(150).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok((report, status))
}

/// It stands still until the run has failed. The load ends before it goes on: docs/concepts.md says what was lost when a
/// kube-proxy caught up after replacements had come and gone.
async fn for_good(app: &App<'_>) -> Result<(Report, RestartRequestStatus)> {
    let (load, old) = (loaded(app, "never").await?, app.uids().await?);
    let proxy = Stalled::stop("kube-proxy", FIRST)?;
    let status = app.restart("never", all_at_once(5)).await?.failed_and_restored(Code::DrainTimeout, 150).await?;
    ensure!(old == app.uids().await?, "a pod went although requests still came to it");
    let report = load.stop().await?;
    report.nothing_lost()?;
    proxy.go_on()?;
    Ok((report, status))
}

fn all_at_once(timeout: i32) -> Value {
    json!({"strategy": {"maxParallel": "100%"}, "timeoutSeconds": timeout})
}

async fn loaded<'a>(app: &App<'a>, name: &str) -> Result<Load<'a>> {
    let load = Load::start(app.space, name, &app.address().await?, RATE, json!({"newConnections": 1.0})).await?;
    load.sent(50).await?;
    Ok(load)
}
