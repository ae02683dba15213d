//! What must hold when a run is over: nothing of it is left.
//!
//! **Invariant:** each thing is asked of whatever holds it: pods and ConfigMaps of the API server, leases of the sidecars.

use super::Before;
use crate::support::Result;
use crate::world::load::ask_at;
use crate::world::pods::Pods;
use crate::world::space::{REQUEST, Space};
use hyper::Method;
use kube::ResourceExt as _;
use restart_controller::api::RestartHistoryStatus;
use restart_controller::wire::{ADMIN_PORT, IN_FLIGHT_PATH, InFlightReport};

/// The sentences of what does not hold.
pub async fn wrong(space: &Space, before: &Before, pods: &Pods, refused: bool) -> Result<Vec<String>> {
    let mut wrong = history(space, refused).await?;
    let workload = space.workload().await?;
    if workload != before.workload {
        wrong.push(format!("the workload was written to: before {}, after {workload}", before.workload));
    }
    if let Some(request) = space.request().await?
        && !request.finalizers().is_empty()
    {
        wrong.push(format!("the request has the finalizers {:?}", request.finalizers()));
    }
    for life in pods.present().into_values() {
        if life.detached {
            wrong.push(format!("pod {} is detached", life.name));
        }
        let report =
            ask_at(Method::GET, &format!("{}:{ADMIN_PORT}", life.address), IN_FLIGHT_PATH, String::new()).await?;
        let report: InFlightReport = serde_json::from_str(&report)?;
        if let Some(lease) = report.lease {
            wrong.push(format!("pod {} has a drain lease of {} ms more", life.name, lease.remaining_millis));
        }
    }
    Ok(wrong)
}

async fn history(space: &Space, refused: bool) -> Result<Vec<String>> {
    let mut wrong = vec![];
    let Some(history) = space.history().await? else {
        // Whoever is refused before the lock leaves no record.
        wrong.extend((!refused).then(|| "there is no RestartHistory".to_owned()));
        return Ok(wrong);
    };
    if !history.finalizers().is_empty() {
        wrong.push(format!("the history has the finalizers {:?}", history.finalizers()));
    }
    let status = history.status.unwrap_or_default();
    if status.active.is_some() || status.state != RestartHistoryStatus::IDLE {
        wrong.push(format!("the lock is held: {}", status.state));
    }
    let records = status.runs.iter().filter(|run| run.request == REQUEST).count();
    if records != 1 && !(refused && records == 0) {
        wrong.push(format!("the history has {records} records of the run"));
    }
    Ok(wrong)
}
