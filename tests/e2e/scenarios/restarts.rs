//! The main promise: restart after restart under load, and nothing but the pods has changed.
//!
//! **Invariant:** the load runs through all of it without a pause.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::pods::PodWatch;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{HistoryEntry, Phase, RestartRequestStatus};
use serde_json::json;
use std::collections::BTreeSet;

const RUNS: usize = 10;
const REPLICAS: usize = 3;
const LEAST_SENT: u64 = 20_000;

/// Ten restarts: four one pod at a time, six all at once.
pub async fn ten(space: &Space) -> Result<Figures> {
    let app = Template::web()?.deploy_with_load(space).await?;
    let load = Load::start(space, "ten", &app.address().await?, 200, json!({})).await?;
    let before = app.workload().await?;
    let pods = PodWatch::start(&app).await?;
    for run in 1..=RUNS {
        let old = app.uids().await?;
        let parallel = if run % 5 < 2 { json!({}) } else { json!({"strategy": {"maxParallel": "100%"}}) };
        let status = Request::apply(space, &format!("web-{run}"), "web", parallel).await?.completed(120).await?;
        ensure!(status.progress == "3/3", "run {run}: progress {}", status.progress);
        whole_history(&status).map_err(|error| format!("run {run}: {error}: {:#?}", status.history))?;
        let new = app.uids().await?;
        ensure!(old.is_disjoint(&new) && new.len() == REPLICAS, "run {run}: pods before {old:?}, after {new:?}");
    }
    load.sent(LEAST_SENT).await?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    let after = app.workload().await?;
    ensure!(before == after, "the workload was changed:\nbefore {before:?}\nafter  {after:?}");
    let ever = pods.lives().len();
    ensure!(ever == REPLICAS * (RUNS + 1), "{ever} pods were ever there, not {}", REPLICAS * (RUNS + 1));
    Ok(Figures::default().load(&report).replaced(RUNS * REPLICAS).and("workload and ReplicaSet unchanged"))
}

/// Each phase is there, began after the one before and has ended, and every pod is named in the waits.
fn whole_history(status: &RestartRequestStatus) -> Result {
    let entries = &status.history;
    for phase in [Phase::Preparing, Phase::Restarting, Phase::WaitingRequests] {
        ensure!(entries.iter().any(|entry| entry.phase == phase), "the history has no {phase:?}");
    }
    let (last, earlier) = entries.split_last().ok_or("the history is empty")?;
    ensure!(last.phase == Phase::Completed, "the history ends with {:?}", last.phase);
    ensure!(earlier.iter().all(|entry| entry.finished_at.is_some()), "a phase has no end");
    let in_order = |pair: &[HistoryEntry]| pair[0].started_at.0 <= pair[1].started_at.0;
    ensure!(entries.windows(2).all(in_order), "the history is out of order");
    let drained = entries.iter().filter(|entry| entry.phase == Phase::WaitingRequests).flat_map(|entry| &entry.pods);
    let drained: BTreeSet<&String> = drained.collect();
    ensure!(drained.len() == REPLICAS, "the history names {} drained pods", drained.len());
    Ok(())
}
