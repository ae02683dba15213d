//! Record: the only writer of a request's status. One compare-and-swap write, then the Event.
//!
//! **Invariant:** a status decided on an older object is refused by the API server (409) and planned anew, never forced. What
//! is written has been cut to the schema's bounds here, last of all.

mod announce;
mod least;
mod mirror;

pub use mirror::mirror;

use crate::api::{RestartRequest, RestartRequestStatus, Step, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::events::Note;
use crate::controller::facts::Facts;
use crate::machine::{Change, Drain, List, Observed, Role, fold};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use kube::api::{Api, PostParams};
use std::time::{Duration, Instant};

/// In-flight counts and waiting messages are written at most this often (DESIGN 3, cases decided).
const WAITING_GAP: Duration = Duration::from_secs(5);

/// Writes `change` into the status.
///
/// # Errors
/// When the write is refused, a conflict included: nothing has changed then.
pub async fn record(ctx: &Context, facts: &Facts, observed: &Observed, change: &Change) -> Result<(), Error> {
    let old = facts.request.status.clone().unwrap_or_default();
    let mut next = fold(&old, change, facts.request.metadata.generation, &Time(Timestamp::now()));
    if change.begins {
        next.run_generation = facts.request.metadata.generation;
        next.last_handled_trigger.clone_from(&facts.request.spec.trigger);
        next.requested_by.clone_from(&facts.request.spec.requested_by);
    }
    if next.resolved.is_none() && change.step != Step::Queued {
        begin(facts, observed, &mut next);
    }
    next.progress = progress(observed, &next);
    let next = write(ctx, facts, &old, next).await?;
    ctx.memory.change(facts.uid(), |run| run.refusal = None);
    announce::announce(ctx, facts, &old, &next, change);
    if change.step == Step::Finished {
        if old.step != Some(Step::Finished) || change.begins {
            ctx.traces.ended(&RestartRequest { status: Some(next.clone()), ..facts.request.clone() });
        }
        ctx.forget(facts.uid());
    }
    if !facts.orphan {
        mirror(ctx, facts, &next).await;
    }
    Ok(())
}

/// What is fixed when the run has its turn; until then it follows the controller's configuration.
fn begin(facts: &Facts, observed: &Observed, next: &mut RestartRequestStatus) {
    next.resolved = Some(facts.resolved.clone());
    next.estimated_seconds = Some(estimate(facts, observed));
    if let (Some(warning), Some(entry)) = (grace_warning(facts), next.history.last_mut()) {
        entry.message = format!("{}; {warning}", entry.message);
    }
}

/// A pod that somebody else deletes in mid-run has its grace period for the requests that we would have waited for.
fn grace_warning(facts: &Facts) -> Option<String> {
    let template = facts.workload.as_ref()?.pod_spec()?;
    short_grace(template.termination_grace_period_seconds.unwrap_or(30), facts.resolved.timeout_seconds)
}

/// Ten seconds more than `timeoutSeconds`: five that the sidecar keeps for the app's own end, and slack (DESIGN 3.1).
fn short_grace(grace: i64, timeout_seconds: i32) -> Option<String> {
    let needed = i64::from(timeout_seconds) + 10;
    (grace < needed).then(|| {
        format!("warning: terminationGracePeriodSeconds is {grace}; set it to {needed} or more, or requests as long as timeoutSeconds are cut when somebody else deletes a pod")
    })
}

/// About ten seconds a batch (five measured, DESIGN 3, and as many for slower apps), and the soak.
fn estimate(facts: &Facts, observed: &Observed) -> i64 {
    let pods = observed.pods.iter().filter(|pod| pod.alive()).count();
    let batches = pods.div_ceil(observed.asked.max_parallel);
    let minimum = i64::from(facts.resolved.min_seconds.max(facts.resolved.quiet_seconds));
    i64::try_from(batches).unwrap_or(0) * (10 + minimum) + i64::from(facts.request.spec.verify.soak_seconds)
}

/// Pods restarted / planned.
fn progress(observed: &Observed, status: &RestartRequestStatus) -> String {
    let Some(plan) = &status.plan else { return status.progress.clone() };
    let left = observed.pods.iter().filter(|pod| pod.role == Role::Planned && pod.alive()).count();
    let total = usize::try_from(plan.pods).unwrap_or(0);
    if observed.plan.list == List::Written {
        format!("{}/{total}", total.saturating_sub(left))
    } else {
        status.progress.clone()
    }
}

/// While waiting: the message and the requests in flight, when they have changed and not too often.
///
/// # Errors
/// As [`record`].
pub async fn waiting(ctx: &Context, facts: &Facts, observed: &Observed, message: &str) -> Result<(), Error> {
    let old = facts.request.status.clone().unwrap_or_default();
    let mut next = old.clone();
    message.clone_into(&mut next.message);
    next.in_flight = in_flight(observed, &old);
    ctx.metrics.in_flight(facts.uid(), next.in_flight);
    next.progress = progress(observed, &old);
    next.observed_generation = facts.request.metadata.generation;
    if next == old {
        return Ok(());
    }
    let mut due = false;
    ctx.memory.change(facts.uid(), |run| due = run.may_write(WAITING_GAP, Instant::now()));
    if due { write(ctx, facts, &old, next).await.map(drop) } else { Ok(()) }
}

fn in_flight(observed: &Observed, status: &RestartRequestStatus) -> Option<i64> {
    let counts = status.pods.iter().filter_map(|entry| observed.pod(&entry.uid)).filter_map(|pod| match pod.drain {
        Drain::Cordoned { in_flight, .. } => i64::try_from(in_flight).ok(),
        Drain::Open | Drain::Unknown { .. } => None,
    });
    let known: Vec<i64> = counts.collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// Writes the status and returns what was written: if the API server calls it invalid, the least that says where the run
/// stands, since the same status would be refused for ever and the run would have no phase.
async fn write(
    ctx: &Context,
    facts: &Facts,
    old: &RestartRequestStatus,
    next: RestartRequestStatus,
) -> Result<RestartRequestStatus, Error> {
    let next = next.within_bounds();
    let error = match replace(ctx, facts, &next).await {
        Err(error) if error.is_invalid() => error,
        done => return done.map(|()| next),
    };
    let why = error.server_message().unwrap_or_default();
    tracing::error!(%error, "the API server refuses the status; a shorter one is written, please report it");
    let least = least::least(old, next, why).within_bounds();
    let note = Note::new("StatusRefused", "Record", least.message.clone()).warning();
    ctx.events.publish(facts.request.object_ref(&()), note);
    replace(ctx, facts, &least).await.map(|()| least)
}

async fn replace(ctx: &Context, facts: &Facts, status: &RestartRequestStatus) -> Result<(), Error> {
    if facts.orphan {
        return mirror::orphan(ctx, facts, status).await;
    }
    let api: Api<RestartRequest> = Api::namespaced(ctx.writer.clone(), &facts.namespace);
    let request = RestartRequest { status: Some(status.clone()), ..facts.request.clone() };
    let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let what = format!("write the status of RestartRequest {}/{}", facts.namespace, facts.name());
    call(what, api.replace_status(facts.name(), &params, &request)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_shorter_than_the_wait_is_warned_of() {
        assert_eq!(short_grace(40, 30), None);
        assert!(short_grace(39, 30).is_some_and(|text| text.contains("set it to 40")));
    }
}
