//! Folds a change into the status, and reads the cursor back out of it.
//!
//! **Invariant:** totals only grow: an entry of the history is never dropped, at most merged with its neighbour (I6). Nothing
//! is cut here: `RestartRequestStatus::within_bounds` does that, last of all.

use super::decision::Change;
use super::observed::Cursor;
use crate::api::bounds::{ENTRY_PODS, HISTORY};
use crate::api::{Code, Condition, ConditionStatus, HistoryEntry, Phase, PodState, RestartRequestStatus, Step};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Where the run stands, as the status says; absent before the first write.
#[must_use]
pub fn cursor(status: &RestartRequestStatus) -> Option<Cursor> {
    status.phase?;
    Some(Cursor {
        step: status.step?,
        outcome: status.outcome.clone(),
        batch: status.pods.clone(),
        snapshot: status.snapshot.clone(),
        plan: status.plan.clone(),
        hooks: status.hooks.clone(),
        again: status.plan.as_ref().is_some_and(|plan| plan.again.is_some()),
        cancel_rejected: status.conditions.iter().any(|condition| condition.condition_type == "CancelRejected"),
    })
}

/// The status after `change`, made at `now` about `generation`.
#[must_use]
pub fn fold(
    status: &RestartRequestStatus,
    change: &Change,
    generation: Option<i64>,
    now: &Time,
) -> RestartRequestStatus {
    let mut next = if change.begins { RestartRequestStatus::default() } else { status.clone() };
    next.observed_generation = generation;
    next.phase = Some(change.phase);
    next.step = Some(change.step);
    next.message.clone_from(&change.message);
    next.pods.clone_from(&change.batch);
    next.in_flight = None;
    next.started_at.get_or_insert_with(|| now.clone());
    if let Some(snapshot) = &change.snapshot {
        next.snapshot = Some(snapshot.clone());
    }
    if let Some(plan) = &change.plan {
        next.plan = Some(plan.clone());
    }
    if let Some(hooks) = &change.hooks {
        next.hooks.clone_from(hooks);
    }
    if let Some(outcome) = &change.outcome {
        next.code = outcome.code;
        next.outcome = Some(outcome.clone());
    }
    if change.phase.is_terminal() {
        next.finished_at.get_or_insert_with(|| now.clone());
    }
    let before = if change.begins { RestartRequestStatus::default() } else { status.clone() };
    remember(&mut next.history, &before, change, now);
    conditions(&mut next, change, now);
    next
}

/// An entry for each step that is entered; what happens inside a step updates the entry's message.
fn remember(history: &mut Vec<HistoryEntry>, status: &RestartRequestStatus, change: &Change, now: &Time) {
    let entered = status.phase != Some(change.phase) || status.step != Some(change.step);
    if !entered && change.phase.is_terminal() {
        return;
    }
    if let Some(last) = history.last_mut().filter(|last| last.finished_at.is_none()) {
        last.finished_at = Some(now.clone());
    }
    let entry = HistoryEntry {
        phase: change.phase,
        reason: change.reason.to_owned(),
        message: change.message.clone(),
        started_at: now.clone(),
        finished_at: change.phase.is_terminal().then(|| now.clone()),
        pods: change.batch.iter().take(ENTRY_PODS).map(|pod| pod.name.clone()).collect(),
        merged: None,
    };
    history.push(entry);
    while history.len() > HISTORY {
        merge_oldest(history);
    }
}

/// The first entry stays, so that the beginning can be seen; the second takes in the third.
fn merge_oldest(history: &mut Vec<HistoryEntry>) {
    let taken = history.remove(2);
    let into = &mut history[1];
    into.merged = Some(into.merged.unwrap_or(1) + taken.merged.unwrap_or(1));
    into.finished_at = taken.finished_at;
    "Merged".clone_into(&mut into.reason);
    into.message = format!("{} entries", into.merged.unwrap_or(1));
    into.pods.clear();
}

fn conditions(status: &mut RestartRequestStatus, change: &Change, now: &Time) {
    let reason = change.reason;
    let message = &change.message;
    let (ready, reconciling, stalled, succeeded) = kstatus(change.phase);
    // Helm, Flux and Argo CD show this message and nothing else of the status.
    let coded = status.code.map(|code| format!("{}: {message}", code.number()));
    for (name, value) in
        [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled), ("Succeeded", succeeded)]
    {
        set(status, name, value, reason, coded.as_deref().unwrap_or(message), now);
    }
    if change.snapshot.is_some() {
        set(status, "SnapshotTaken", ConditionStatus::True, reason, message, now);
    }
    if change.cancel_rejected {
        let text = format!("{}: {message}", Code::CancelRejected.number());
        set(status, "CancelRejected", ConditionStatus::True, Code::CancelRejected.reason(), &text, now);
    }
    progress_conditions(status, change, message, now);
    if change.phase.is_terminal() {
        restored(status, now);
    }
}

/// What kstatus makes of a phase (conventions 1.3): terminal phases are Current or Failed, all others `InProgress`.
fn kstatus(phase: Phase) -> (ConditionStatus, ConditionStatus, ConditionStatus, ConditionStatus) {
    use ConditionStatus::{False, True, Unknown};
    match phase {
        Phase::Pending | Phase::Preparing | Phase::Restarting | Phase::WaitingRequests | Phase::Recovering => {
            (False, True, False, Unknown)
        }
        Phase::Completed => (True, False, False, True),
        Phase::Failed | Phase::Cancelled => (False, False, True, False),
    }
}

fn progress_conditions(status: &mut RestartRequestStatus, change: &Change, message: &str, now: &Time) {
    use ConditionStatus::{False, True};
    let (cordoned, drained) = match change.step {
        Step::Draining => (True, False),
        Step::Evicting => {
            (True, if change.batch.iter().all(|pod| pod.state == PodState::Drained) { True } else { False })
        }
        Step::Surging | Step::Reserving | Step::Verifying | Step::PostHooks | Step::Restoring => (False, False),
        Step::Queued | Step::Preparing | Step::PreHooks | Step::Finishing | Step::Finished => return,
    };
    set(status, "Cordoned", cordoned, change.reason, message, now);
    set(status, "Drained", drained, change.reason, message, now);
    let rolled_out = if matches!(change.step, Step::Verifying | Step::PostHooks) { True } else { False };
    set(status, "RolledOut", rolled_out, change.reason, message, now);
}

/// Said of every run that did not complete: is everything as it was?
fn restored(status: &mut RestartRequestStatus, now: &Time) {
    let Some(outcome) = status.outcome.clone().filter(|outcome| outcome.result != Phase::Completed) else { return };
    match (&outcome.not_restored, &outcome.not_restored_reason) {
        (Some(problem), reason) => {
            set(status, "Restored", ConditionStatus::False, reason.as_deref().unwrap_or("Unknown"), problem, now);
        }
        (None, _) => {
            set(
                status,
                "Restored",
                ConditionStatus::True,
                "Restored",
                "what the run changed of the configuration is back, and no pod is detached or cordoned",
                now,
            );
        }
    }
}

/// `lastTransitionTime` moves only when the status flips.
fn set(status: &mut RestartRequestStatus, name: &str, value: ConditionStatus, reason: &str, message: &str, now: &Time) {
    let old = status.conditions.iter().position(|condition| condition.condition_type == name);
    let since = old.map(|at| &status.conditions[at]).filter(|condition| condition.status == value);
    let condition = Condition {
        condition_type: name.to_owned(),
        status: value,
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since.map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
        observed_generation: status.observed_generation,
    };
    match old {
        Some(at) => status.conditions[at] = condition,
        None => status.conditions.push(condition),
    }
}
