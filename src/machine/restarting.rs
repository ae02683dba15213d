//! Restarting: pods get their replacements, drained ones are evicted, and at the end the new ones are watched.
//!
//! **Invariant:** no pod is evicted here that the status does not call drained, overdue, forced or terminating.

use super::batch::{
    alive, begin_next, change, fail, holding_up, is_replaced_first, is_unready, is_unready_batch, names, phase,
    present, progress, remaining, state,
};
use super::decision::{Change, Decision, Effect};
use super::hooks::{self, Hooks};
use super::observed::{Attachment, Budget, Cursor, Deadline, Drain, Gate, Observed, Pod, Replacement, Role, Soak};
use super::passed_over::passed_over;
use crate::api::{Code, HookTime, Outcome, Phase, PodProgress, PodState, Step, StrategyType};

/// Surge: detach the batch, await its replacements, then its budget.
pub fn surging(observed: &Observed, cursor: &Cursor) -> Decision {
    let pods = alive(observed, cursor);
    if pods.is_empty() {
        return Decision::Record(begin_next(observed, cursor));
    }
    let effects: Vec<Effect> = pods.iter().filter_map(|pod| detach(cursor, pod)).collect();
    if !effects.is_empty() {
        return Decision::Act(effects);
    }
    if let Some(decision) = closed(observed, cursor) {
        return decision;
    }
    match &observed.budget {
        Budget::Allowed(allowed) => Decision::Record(drain(cursor, &pods[..pods.len().min(*allowed)])),
        Budget::NotAsked => Decision::Wait("asking the PodDisruptionBudget".to_owned()),
        Budget::Refused(message) | Budget::Lost(message) => refused(observed, cursor, message),
        Budget::Taken(message) => taken(observed, cursor, message),
    }
}

fn detach(cursor: &Cursor, pod: &Pod) -> Option<Effect> {
    if cursor.again && idle(pod) && pod.attachment == Attachment::Attached {
        return Some(Effect::Delete(pod.into()));
    }
    match (pod.attachment, pod.drain) {
        (Attachment::Attached, Drain::Unknown { overdue: false }) if cursor.again && !pod.ready => None,
        (Attachment::Attached, _) => Some(Effect::Detach(pod.into())),
        (Attachment::Detached, Drain::Cordoned { .. }) => Some(Effect::Release(pod.into())),
        (Attachment::Detached, Drain::Open | Drain::Unknown { .. }) | (Attachment::Foreign, _) => None,
    }
}

/// It is not Ready, and not because of a lease of ours: it serves nobody. A silent sidecar may hold a lease yet.
pub fn idle(pod: &Pod) -> bool {
    !pod.ready && matches!(pod.drain, Drain::Open | Drain::Unknown { overdue: true })
}

/// What a gate that is not open means: a failure at once, at the deadline, or a wait.
pub fn closed(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if let Some(change) = holding_up(observed, cursor) {
        return Some(Decision::Record(change));
    }
    match (&observed.gate, observed.deadline) {
        (Gate::Open, _) => None,
        (Gate::Failing(message), _) => {
            Some(Decision::Record(fail(observed, cursor, Code::ReplacementUnhealthy, message.clone())))
        }
        (Gate::Waiting(message), Deadline::Passed) => {
            let message = format!("no healthy replacement within progressDeadlineSeconds: {message}");
            Some(Decision::Record(fail(observed, cursor, Code::ReplacementUnhealthy, message)))
        }
        (Gate::Waiting(message), Deadline::Ahead) => Some(Decision::Wait(message.clone())),
    }
}

/// A budget that says no: a failure at the deadline, or a wait.
pub fn refused(observed: &Observed, cursor: &Cursor, message: &str) -> Decision {
    let late = format!("still refused after progressDeadlineSeconds: {message}");
    not_yet(observed, cursor, late, format!("waiting for a PodDisruptionBudget: {message}"))
}

/// Another run is first: a failure at the deadline, or a wait.
pub fn taken(observed: &Observed, cursor: &Cursor, message: &str) -> Decision {
    let late = format!("it was not this restart's turn within progressDeadlineSeconds: {message}");
    not_yet(observed, cursor, late, message.to_owned())
}

fn not_yet(observed: &Observed, cursor: &Cursor, late: String, waiting: String) -> Decision {
    match observed.deadline {
        Deadline::Passed => Decision::Record(fail(observed, cursor, Code::BudgetExhausted, late)),
        Deadline::Ahead => Decision::Wait(waiting),
    }
}

/// The change that cordons these pods, or evicts them while Ready where a cordon would leave no ready endpoint.
pub fn drain(cursor: &Cursor, pods: &[&Pod]) -> Change {
    let start = |pod: &Pod| if pod.last_endpoint { PodState::Terminating } else { PodState::Draining };
    let batch: Vec<PodProgress> = pods.iter().map(|pod| progress(pod, start(pod))).collect();
    let message = format!("taking {} out of every Service", names(pods));
    let change = change(cursor, phase(cursor, Phase::WaitingRequests), Step::Draining, "Draining", message);
    Change { batch, ..change }
}

/// Evict what may go; Rolling: await the replacements.
pub fn evicting(observed: &Observed, cursor: &Cursor) -> Decision {
    let pods = alive(observed, cursor);
    if let Some(pod) = pods.iter().find(|pod| uncertain(cursor, pod)) {
        let message = format!("{} took requests again before it could be evicted", pod.name);
        return Decision::Record(back_to_draining(cursor, message));
    }
    if pods.is_empty() {
        return gone(observed, cursor);
    }
    if let Some(change) = recovered(observed, cursor, &pods) {
        return Decision::Record(change);
    }
    if let Some(decision) = held(observed, cursor, &pods) {
        return decision;
    }
    if observed.deadline == Deadline::Passed {
        let message = format!("{} could not be evicted within progressDeadlineSeconds", names(&pods));
        return Decision::Record(fail(observed, cursor, Code::BudgetExhausted, message));
    }
    let effects: Vec<Effect> = pods.iter().filter_map(|pod| evict(cursor, pod)).collect();
    if effects.is_empty() {
        Decision::Wait(format!("waiting for the last requests of {}", names(&pods)))
    } else {
        Decision::Act(effects)
    }
}

/// The status calls it drained, but it is not, or nobody can tell.
fn uncertain(cursor: &Cursor, pod: &Pod) -> bool {
    state(cursor, pod) == PodState::Drained && (!pod.cordoned() || pod.overdue() && !pod.drained())
}

fn back_to_draining(cursor: &Cursor, message: String) -> Change {
    let again = |entry: &PodProgress| match entry.state {
        PodState::Drained => PodProgress { state: PodState::Draining, ..entry.clone() },
        PodState::Chosen
        | PodState::Draining
        | PodState::Overdue
        | PodState::Forced
        | PodState::Terminating
        | PodState::Expendable => entry.clone(),
    };
    let change = change(cursor, phase(cursor, Phase::WaitingRequests), Step::Draining, "Draining", message);
    Change { batch: cursor.batch.iter().map(again).collect(), ..change }
}

/// What keeps a drained batch from going: its replacements (Surge) or the budget. Leases are renewed meanwhile.
fn held(observed: &Observed, cursor: &Cursor, pods: &[&Pod]) -> Option<Decision> {
    let renewals: Vec<Effect> = pods
        .iter()
        .filter(|pod| matches!(pod.drain, Drain::Cordoned { stale: true, .. }))
        .map(|pod| Effect::Cordon((*pod).into()))
        .collect();
    if !renewals.is_empty() {
        return Some(Decision::Act(renewals));
    }
    // Pods that have served no Service since the run began cost neither a budget nor an endpoint.
    if is_unready_batch(cursor) {
        return None;
    }
    if let Budget::Lost(message) = &observed.budget {
        return Some(match observed.asked.strategy {
            StrategyType::Surge => refused(observed, cursor, message),
            StrategyType::Rolling => Decision::Record(step_back(observed, cursor, "BudgetLost", message.clone())),
        });
    }
    let alone = |pod: &&&Pod| pod.last_endpoint && pod.in_slices && state(cursor, pod) != PodState::Terminating;
    if let Some(pod) = pods.iter().find(alone) {
        let message = format!("no other endpoint of {}'s Services is ready any more", pod.name);
        return Some(Decision::Record(step_back(observed, cursor, "EndpointsLost", message)));
    }
    match observed.asked.strategy {
        StrategyType::Surge => closed(observed, cursor),
        StrategyType::Rolling => None,
    }
}

/// A pod that serves again before it was taken out of its Services is one like any other: it waits for its replacement or
/// for leave to go.
pub fn recovered(observed: &Observed, cursor: &Cursor, pods: &[&Pod]) -> Option<Change> {
    let serves = |pod: &&&Pod| is_unready(cursor, pod) && !pod.cordoned() && (pod.ready || pod.in_slices);
    pods.iter().find(serves).map(|_| begin_next(observed, &Cursor { batch: vec![], ..cursor.clone() }))
}

fn evict(cursor: &Cursor, pod: &Pod) -> Option<Effect> {
    let goes = match state(cursor, pod) {
        PodState::Drained => pod.drained(),
        PodState::Overdue | PodState::Forced | PodState::Terminating => true,
        PodState::Chosen | PodState::Draining | PodState::Expendable => false,
    };
    // The eviction of a pod that is not Ready is refused while its budget lacks healthy pods, which is no fault of this one.
    let effect = if is_unready(cursor, pod) { Effect::Delete(pod.into()) } else { Effect::Evict(pod.into()) };
    goes.then_some(effect)
}

/// All were told to go. A pod that cannot finish terminating (a lost node) holds up nothing, beyond the deadline at the latest.
fn gone(observed: &Observed, cursor: &Cursor) -> Decision {
    let stopping: Vec<&Pod> = present(observed, cursor).into_iter().filter(|pod| is_awaited(observed, pod)).collect();
    if !stopping.is_empty() && observed.deadline == Deadline::Ahead {
        return Decision::Wait(format!("waiting for {} to stop", names(&stopping)));
    }
    if !is_replaced_first(observed, cursor)
        && let Some(decision) = closed(observed, cursor)
    {
        return decision;
    }
    Decision::Record(begin_next(observed, cursor))
}

/// Whether it matters when this terminating pod is gone, and can be told.
fn is_awaited(observed: &Observed, pod: &Pod) -> bool {
    observed.replacement != Replacement::Anywhere || !pod.unreachable
}

/// The change that gives the batch back to its Services and asks again.
pub fn step_back(observed: &Observed, cursor: &Cursor, reason: &'static str, message: String) -> Change {
    let batch = cursor.batch.iter().map(|entry| PodProgress { state: PodState::Chosen, ..entry.clone() }).collect();
    let change = match observed.asked.strategy {
        StrategyType::Surge => change(cursor, phase(cursor, Phase::Restarting), Step::Surging, reason, message),
        StrategyType::Rolling => {
            change(cursor, phase(cursor, Phase::WaitingRequests), Step::Reserving, reason, message)
        }
    };
    Change { batch, ..change }
}

/// Watch the new pods for a while.
pub fn verifying(observed: &Observed, cursor: &Cursor) -> Decision {
    if let Some(pod) = observed.pods.iter().find(|pod| pod.role == Role::New && pod.alive() && pod.restarted) {
        let why = pod.broken.clone().unwrap_or_else(|| "a container was restarted".to_owned());
        return Decision::Record(fail(
            observed,
            cursor,
            Code::ReplacementUnhealthy,
            format!("{} failed in the soak: {why}", pod.name),
        ));
    }
    if let Some(pod) = observed.pods.iter().find(|pod| pod.alive() && pod.lapsed && pod.role != Role::PassedOver) {
        let why = pod.ailment.as_ref().map_or_else(String::new, |ailment| format!(": {ailment}"));
        let message = format!("{} was Ready in the soak and is not any more{why}", pod.name);
        return Decision::Record(fail(observed, cursor, Code::ReplacementUnhealthy, message));
    }
    if !remaining(observed, cursor).is_empty() {
        return Decision::Record(begin_next(observed, cursor));
    }
    let stops = |pod: &&Pod| pod.role == Role::Planned && is_awaited(observed, pod);
    let stopping: Vec<&Pod> = observed.pods.iter().filter(stops).collect();
    if !stopping.is_empty() && observed.deadline == Deadline::Ahead {
        return Decision::Wait(format!("waiting for {} to stop", names(&stopping)));
    }
    if let Some(decision) = closed(observed, cursor) {
        return decision;
    }
    let nothing = cursor.plan.as_ref().is_some_and(|plan| plan.pods == 0);
    match observed.soak {
        Soak::Running if !nothing => Decision::Wait("all pods are Ready; watching them for soakSeconds".to_owned()),
        Soak::Running | Soak::Over if hooks::left(observed, cursor, HookTime::Post) => {
            let message = "the hooks after the restart".to_owned();
            Decision::Record(change(cursor, Phase::Restarting, Step::PostHooks, "PostHooks", message))
        }
        Soak::Running | Soak::Over => Decision::Record(complete(observed, cursor, nothing)),
    }
}

/// The hooks that run after the last pod. Pods that did not all serve on meanwhile are watched once more.
pub fn hooks(observed: &Observed, cursor: &Cursor) -> Decision {
    match hooks::run(observed, cursor, HookTime::Post) {
        Hooks::Decided(decision) => decision,
        Hooks::Failed(message) => {
            let hooks = Some(hooks::all_failed(cursor, &message));
            Decision::Record(Change { hooks, ..fail(observed, cursor, Code::HookFailed, message) })
        }
        Hooks::Over if observed.gate != Gate::Open => {
            let message = "the hooks are over; watching the new pods once more".to_owned();
            Decision::Record(change(cursor, Phase::Restarting, Step::Verifying, "Verifying", message))
        }
        Hooks::Over => {
            let nothing = cursor.plan.as_ref().is_some_and(|plan| plan.pods == 0);
            Decision::Record(complete(observed, cursor, nothing))
        }
    }
}

fn complete(observed: &Observed, cursor: &Cursor, nothing: bool) -> Change {
    let pods = cursor.plan.as_ref().map_or(0, |plan| plan.pods);
    let message = match passed_over(observed) {
        none if none.is_empty() && nothing => "the workload has no pods: nothing to restart".to_owned(),
        others => format!("{pods} pods restarted{others}"),
    };
    let outcome = Outcome {
        result: Phase::Completed,
        code: None,
        message: message.clone(),
        suspect_configuration: false,
        not_restored: None,
        not_restored_reason: None,
    };
    let change = change(cursor, Phase::Restarting, Step::Finishing, "Verified", message);
    Change { outcome: Some(outcome), ..change }
}
