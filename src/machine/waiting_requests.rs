//! WaitingRequests: the batch leaves its Services and finishes its requests. Rolling asks for leave here first.
//!
//! **Invariant:** a count that nobody knows is never taken for zero.

use super::batch::{
    alive, begin_next, change, fail, forced, is_replaced_first, is_unready, is_unready_batch, names, phase, progress,
    state,
};
use super::decision::{Change, Decision, Effect};
use super::observed::{Budget, Cursor, Drain, Gate, Observed, Pod};
use super::restarting::{closed, drain, idle, recovered, refused, step_back, taken};
use crate::api::{Code, Phase, PodProgress, PodState, Step, TimeoutPolicy};

/// Rolling: all other pods serve, the budget allows it, and it would take no Service's last ready endpoint.
pub fn reserving(observed: &Observed, cursor: &Cursor) -> Decision {
    let pods = alive(observed, cursor);
    if pods.is_empty() {
        return Decision::Record(begin_next(observed, cursor));
    }
    let effects: Vec<Effect> = pods.iter().filter_map(|pod| make_way(cursor, pod)).collect();
    if !effects.is_empty() {
        return Decision::Act(effects);
    }
    if let Some(decision) = closed(observed, cursor) {
        return decision;
    }
    // While another run has pods out of the same Services, this one may well have the last that is left.
    if let Budget::Taken(message) = &observed.budget {
        return taken(observed, cursor, message);
    }
    // Permitted to interrupt service, the last one goes all the same: it drains by termination.
    let permitted = observed.asked.allow_disruption && pods.len() == 1;
    if let Some(pod) = pods.iter().find(|pod| pod.last_endpoint && !permitted) {
        return last_endpoint(observed, cursor, &pods, pod);
    }
    match &observed.budget {
        Budget::Allowed(allowed) => Decision::Record(drain(cursor, &pods[..pods.len().min(*allowed)])),
        Budget::NotAsked => Decision::Wait("asking the PodDisruptionBudget".to_owned()),
        Budget::Refused(message) | Budget::Lost(message) => refused(observed, cursor, message),
        Budget::Taken(message) => taken(observed, cursor, message),
    }
}

fn make_way(cursor: &Cursor, pod: &Pod) -> Option<Effect> {
    if cursor.again && idle(pod) {
        return Some(Effect::Delete(pod.into()));
    }
    pod.cordoned().then(|| Effect::Release(pod.into()))
}

/// A smaller batch may leave an endpoint; one pod that is the last does not go.
fn last_endpoint(observed: &Observed, cursor: &Cursor, pods: &[&Pod], pod: &Pod) -> Decision {
    if pods.len() == 1 {
        let message = format!(
            "{} is the last ready endpoint of a Service (or of its node, under a Local traffic policy); add replicas, permit it by strategy.allowDisruption, or, for a Deployment, use strategy Surge",
            pod.name
        );
        return Decision::Record(fail(observed, cursor, Code::LastEndpoint, message));
    }
    let message = "a smaller batch, so that a ready endpoint is left".to_owned();
    let change = change(cursor, phase(cursor, Phase::WaitingRequests), Step::Reserving, "Reserving", message);
    let batch = pods[..pods.len() - 1].iter().map(|pod| progress(pod, PodState::Chosen)).collect();
    Decision::Record(Change { batch, ..change })
}

/// Cordon the batch and wait for its requests.
pub fn draining(observed: &Observed, cursor: &Cursor) -> Decision {
    let pods = alive(observed, cursor);
    if pods.is_empty() {
        return Decision::Record(begin_next(observed, cursor));
    }
    let changed = if is_unready_batch(cursor) {
        recovered(observed, cursor, &pods)
    } else {
        lost(observed, cursor, &pods).or_else(|| closed_again(observed, cursor, &pods))
    };
    if let Some(change) = changed {
        return Decision::Record(change);
    }
    let effects: Vec<Effect> = pods
        .iter()
        .filter(|pod| needs_lease(cursor, pod) && !is_given_up(observed, pod))
        .map(|pod| Effect::Cordon((*pod).into()))
        .collect();
    if !effects.is_empty() {
        return Decision::Act(effects);
    }
    let settled: Vec<Option<PodState>> = pods.iter().map(|pod| settle(observed, cursor, pod)).collect();
    if let Some(pod) = pods.iter().zip(&settled).find_map(|(pod, state)| failed(observed, pod, *state)) {
        return Decision::Record(timed_out(observed, cursor, pod));
    }
    match settled.into_iter().collect::<Option<Vec<PodState>>>() {
        Some(states) => all_settled(observed, cursor, &pods, &states),
        None => Decision::Wait(waiting(&pods)),
    }
}

/// A lease that could not be given until the deadline never will be.
fn is_given_up(observed: &Observed, pod: &Pod) -> bool {
    pod.drain == Drain::Open && observed.overdue_trouble().is_some()
}

/// The budget is below what it asks for, or the batch's Services have nobody else: give the batch back.
fn lost(observed: &Observed, cursor: &Cursor, pods: &[&Pod]) -> Option<Change> {
    if let Budget::Lost(message) = &observed.budget {
        return Some(step_back(observed, cursor, "BudgetLost", message.clone()));
    }
    let alone = |pod: &&&Pod| pod.last_endpoint && state(cursor, pod) == PodState::Draining;
    let pod = pods.iter().find(alone)?;
    Some(step_back(
        observed,
        cursor,
        "EndpointsLost",
        format!("no other endpoint of {}'s Services is ready any more", pod.name),
    ))
}

/// A pod that serves yet was allowed to go while all others served: if they do not any more, it is asked again.
fn closed_again(observed: &Observed, cursor: &Cursor, pods: &[&Pod]) -> Option<Change> {
    let message = match &observed.gate {
        Gate::Open => return None,
        Gate::Waiting(message) | Gate::Failing(message) => message,
    };
    let serves = |pod: &&Pod| pod.drain == Drain::Open && state(cursor, pod) == PodState::Draining;
    pods.iter().any(serves).then(|| step_back(observed, cursor, "PodsLost", message.clone()))
}

fn needs_lease(cursor: &Cursor, pod: &Pod) -> bool {
    match (state(cursor, pod), pod.drain) {
        (PodState::Terminating | PodState::Chosen | PodState::Expendable, _) => false,
        (PodState::Draining | PodState::Drained | PodState::Overdue | PodState::Forced, drain) => {
            matches!(drain, Drain::Open | Drain::Cordoned { stale: true, .. })
        }
    }
}

/// What the pod's wait has come to, if it is over.
fn settle(observed: &Observed, cursor: &Cursor, pod: &Pod) -> Option<PodState> {
    if state(cursor, pod) == PodState::Terminating {
        return Some(PodState::Terminating);
    }
    if is_unready(cursor, pod) && is_past_asking(pod) {
        return Some(PodState::Terminating);
    }
    if forced(&observed.asked, cursor) && (!pod.in_slices || !pod.cordoned()) {
        return Some(PodState::Forced);
    }
    if pod.drained() {
        return Some(PodState::Drained);
    }
    (pod.overdue() || is_given_up(observed, pod)).then_some(PodState::Overdue)
}

/// Its sidecar will not tell of its requests: its preStop chain, if it lives, drains what is left.
fn is_past_asking(pod: &Pod) -> bool {
    match pod.drain {
        Drain::Unknown { overdue } => overdue || pod.unreachable,
        Drain::Open | Drain::Cordoned { .. } => false,
    }
}

fn failed<'a>(observed: &Observed, pod: &'a Pod, state: Option<PodState>) -> Option<&'a Pod> {
    (state == Some(PodState::Overdue) && observed.asked.on_timeout == TimeoutPolicy::Fail).then_some(pod)
}

fn timed_out(observed: &Observed, cursor: &Cursor, pod: &Pod) -> Change {
    let name = &pod.name;
    let (code, message) = match pod.drain {
        Drain::Cordoned { in_flight: 0, .. } => (
            Code::DrainTimeout,
            format!("{name} had no request in flight but was never quiet for the quiet window within timeoutSeconds"),
        ),
        Drain::Cordoned { in_flight, .. } => (
            Code::DrainTimeout,
            format!(
                "{in_flight} requests in {name} outlasted timeoutSeconds; allow more time, or set onTimeout: Proceed"
            ),
        ),
        Drain::Unknown { .. } | Drain::Open => (
            Code::SidecarUnavailable,
            format!("the sidecar of {name} did not answer, or did not obey, for timeoutSeconds{}", lost_text(pod)),
        ),
    };
    fail(observed, cursor, code, message)
}

/// Surge: replacements that were lost meanwhile are awaited with the leases held.
fn all_settled(observed: &Observed, cursor: &Cursor, pods: &[&Pod], states: &[PodState]) -> Decision {
    if is_replaced_first(observed, cursor)
        && let Some(decision) = closed(observed, cursor)
    {
        return decision;
    }
    let entry =
        |(pod, state): (&&Pod, &PodState)| PodProgress { unready: is_unready(cursor, pod), ..progress(pod, *state) };
    let batch: Vec<PodProgress> = pods.iter().zip(states).map(entry).collect();
    let message = settled_message(pods, states);
    let change = change(cursor, phase(cursor, Phase::Restarting), Step::Evicting, "Evicting", message);
    Decision::Record(Change { batch, ..change })
}

fn settled_message(pods: &[&Pod], states: &[PodState]) -> String {
    let cut: Vec<String> = pods
        .iter()
        .zip(states)
        .filter(|(_, state)| **state == PodState::Overdue)
        .map(|(pod, _)| format!("{} ({})", pod.name, in_flight_text(pod)))
        .collect();
    if cut.is_empty() {
        return format!("evicting {}", names(pods));
    }
    format!("evicting {}; onTimeout is Proceed and these had not finished: {}", names(pods), cut.join(", "))
}

fn in_flight_text(pod: &Pod) -> String {
    match pod.drain {
        Drain::Cordoned { in_flight, .. } => format!("{in_flight} requests"),
        Drain::Open | Drain::Unknown { .. } => "an unknown number of requests".to_owned(),
    }
}

/// That its node is lost explains the silence of a sidecar.
fn lost_text(pod: &Pod) -> String {
    let ailment = pod.ailment.as_ref().filter(|_| pod.unreachable);
    ailment.map_or_else(String::new, |ailment| format!(": {ailment}"))
}

fn waiting(pods: &[&Pod]) -> String {
    let known: u64 =
        pods.iter().map(|pod| if let Drain::Cordoned { in_flight, .. } = pod.drain { in_flight } else { 0 }).sum();
    let unknown: Vec<&Pod> = pods.iter().filter(|pod| matches!(pod.drain, Drain::Unknown { .. })).copied().collect();
    if !unknown.is_empty() {
        let lost = unknown.iter().find(|pod| pod.unreachable).map_or_else(String::new, |pod| lost_text(pod));
        return format!("the sidecar of {} does not answer, or does not obey{lost}", names(&unknown));
    }
    match known {
        0 => format!("waiting for {} to stay quiet", names(pods)),
        1 => format!("waiting for 1 request in {}", names(pods)),
        more => format!("waiting for {more} requests in {}", names(pods)),
    }
}
