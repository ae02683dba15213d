//! The pods being worked on: who is next, who is left, and the changes that several phases share.
//!
//! **Invariant:** only pods that a list names are ever chosen (I13).

use super::decision::Change;
use super::observed::{Asked, Attachment, Cursor, Gate, Observed, Pod, Role};
use super::restarting::idle;
use crate::api::{Code, Outcome, Phase, PodProgress, PodState, Step, StrategyType};

/// The pods that are still to be replaced, in their order.
pub fn remaining<'a>(observed: &'a Observed, cursor: &Cursor) -> Vec<&'a Pod> {
    let role = if cursor.again { Role::Again } else { Role::Planned };
    let left = |pod: &&Pod| pod.role == role && pod.alive() && pod.attachment != Attachment::Foreign;
    observed.pods.iter().filter(left).collect()
}

/// The next batch: first detached pods, which a crash or a lost budget may have left behind; then those that serve nobody,
/// which only hold up the rest (k/k#67250); then those whose nodes are being drained, unless the order rules.
pub fn next(observed: &Observed, cursor: &Cursor) -> Vec<PodProgress> {
    let mut pods = remaining(observed, cursor);
    let first = |pod: &Pod| pod.attachment == Attachment::Detached || cursor.again && idle(pod);
    pods.sort_by_key(|pod| (pod.attachment != Attachment::Detached, !first(pod), observed.ordered || !pod.leaving));
    let at_once = pods.iter().filter(|pod| first(pod)).count();
    pods.into_iter().take(observed.asked.max_parallel.max(at_once)).map(|pod| progress(pod, PodState::Chosen)).collect()
}

/// The pods of the batch that still exist.
pub fn present<'a>(observed: &'a Observed, cursor: &Cursor) -> Vec<&'a Pod> {
    cursor.batch.iter().filter_map(|progress| observed.pod(&progress.uid)).collect()
}

/// The pods of the batch that exist and that nobody has told to go.
pub fn alive<'a>(observed: &'a Observed, cursor: &Cursor) -> Vec<&'a Pod> {
    present(observed, cursor).into_iter().filter(|pod| pod.alive()).collect()
}

/// What the status says of that pod.
pub fn state(cursor: &Cursor, pod: &Pod) -> PodState {
    let entry = cursor.batch.iter().find(|progress| progress.uid == pod.uid);
    entry.map_or(PodState::Chosen, |progress| progress.state)
}

pub fn progress(pod: &Pod, state: PodState) -> PodProgress {
    PodProgress { name: pod.name.clone(), uid: pod.uid.clone(), state, unready: false }
}

/// The pods that have not been Ready since the run began: they serve no Service, so that all of them go at once.
fn ailing<'a>(observed: &'a Observed, cursor: &Cursor) -> Vec<&'a Pod> {
    remaining(observed, cursor).into_iter().filter(|pod| pod.is_ailing()).collect()
}

/// Whether the pod is in the batch because it has not been Ready since the run began.
pub fn is_unready(cursor: &Cursor, pod: &Pod) -> bool {
    cursor.batch.iter().any(|entry| entry.uid == pod.uid && entry.unready)
}

/// Whether the batch is of pods that have not been Ready since the run began.
pub fn is_unready_batch(cursor: &Cursor) -> bool {
    cursor.batch.iter().any(|entry| entry.unready)
}

/// Whether the pods of the batch have their replacements before they go.
pub fn is_replaced_first(observed: &Observed, cursor: &Cursor) -> bool {
    observed.asked.strategy == StrategyType::Surge && !is_unready_batch(cursor)
}

/// The change that takes the pods which serve no Service, all at once.
fn begin_ailing(cursor: &Cursor, pods: &[&Pod]) -> Change {
    let message = format!("first the pods that are not Ready and serve no Service: {}", names(pods));
    let change = change(cursor, Phase::WaitingRequests, Step::Draining, "ReplacingUnready", message);
    let entry = |pod: &&Pod| PodProgress { unready: true, ..progress(pod, PodState::Draining) };
    Change { batch: pods.iter().map(entry).collect(), ..change }
}

/// Names for a sentence: at most three, then a count.
pub fn names(pods: &[&Pod]) -> String {
    let shown: Vec<&str> = pods.iter().take(3).map(|pod| pod.name.as_str()).collect();
    let more = pods.len().saturating_sub(3);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// A change to `step` that keeps everything else.
pub fn change(cursor: &Cursor, phase: Phase, step: Step, reason: &'static str, message: String) -> Change {
    Change { batch: cursor.batch.clone(), ..Change::new(phase, step, reason, message) }
}

/// The phase that people see while pods are replaced: always Recovering when they are replaced once more.
pub fn phase(cursor: &Cursor, forward: Phase) -> Phase {
    if cursor.outcome.is_some() { Phase::Recovering } else { forward }
}

/// The change that begins the next batch, or verification when none is left.
pub fn begin_next(observed: &Observed, cursor: &Cursor) -> Change {
    let ailing = ailing(observed, cursor);
    if !ailing.is_empty() {
        return begin_ailing(cursor, &ailing);
    }
    let batch = next(observed, cursor);
    let pods: Vec<&Pod> = batch.iter().filter_map(|progress| observed.pod(&progress.uid)).collect();
    if batch.is_empty() {
        return after_last(cursor);
    }
    let change = match observed.asked.strategy {
        StrategyType::Surge => change(
            cursor,
            phase(cursor, Phase::Restarting),
            Step::Surging,
            "Surging",
            format!("starting replacements for {}", names(&pods)),
        ),
        StrategyType::Rolling => change(
            cursor,
            phase(cursor, Phase::WaitingRequests),
            Step::Reserving,
            "Reserving",
            format!("checking budget and endpoints for {}", names(&pods)),
        ),
    };
    Change { batch, ..change }
}

/// A pod outside the batch that serves no Service keeps the gate closed, perhaps for ever; it goes first.
pub fn holding_up(observed: &Observed, cursor: &Cursor) -> Option<Change> {
    let outside = |pod: &&Pod| !cursor.batch.iter().any(|entry| entry.uid == pod.uid);
    let begun = alive(observed, cursor).into_iter().any(|pod| state(cursor, pod) != PodState::Chosen);
    let holds_up = |pod: &Pod| if cursor.again { idle(pod) } else { pod.is_ailing() && !begun };
    let found = remaining(observed, cursor).into_iter().filter(outside).any(holds_up);
    (found && observed.gate != Gate::Open).then(|| begin_next(observed, cursor))
}

fn after_last(cursor: &Cursor) -> Change {
    let mut change = if cursor.outcome.is_some() {
        let message = "all pods that had started on the bad configuration are replaced".to_owned();
        change(cursor, Phase::Recovering, Step::Restoring, "Restoring", message)
    } else {
        change(cursor, Phase::Restarting, Step::Verifying, "Verifying", "watching the new pods".to_owned())
    };
    change.batch.clear();
    change
}

/// The change that begins recovery; in the midst of recovery, the change that gives up replacing pods once more.
pub fn fail(observed: &Observed, cursor: &Cursor, code: Code, message: String) -> Change {
    if let Some(outcome) = &cursor.outcome {
        return give_up(cursor, outcome, "PodsNotReplaced", message);
    }
    // A hook that runs after the pods judges what they run on.
    let judged = code == Code::HookFailed && cursor.step == Step::PostHooks;
    let suspect_configuration =
        judged || code == Code::ReplacementUnhealthy && observed.pods.iter().any(failed_on_a_node);
    let outcome = Outcome {
        result: Phase::Failed,
        code: Some(code),
        message: message.clone(),
        suspect_configuration,
        not_restored: None,
        not_restored_reason: None,
    };
    recover(observed, cursor, code.reason(), message, outcome)
}

/// Only a pod that started on the configuration of this run says something about it: one that was born in it, or whose
/// containers restarted in it although it was well when it began. One that a quota forbids or that no node takes says
/// nothing.
fn failed_on_a_node(pod: &Pod) -> bool {
    let started = match pod.role {
        Role::New | Role::Again => true,
        Role::Planned => pod.restarted && !pod.unready_at_start,
        Role::PassedOver => false,
    };
    // A node that is lost takes the readiness of its pods with it.
    let unwell = !pod.unreachable && (!pod.ready || pod.lapsed);
    let failed = pod.restarted || unwell;
    pod.alive() && pod.attachment == Attachment::Attached && pod.scheduled && started && failed
}

/// The change that begins recovery towards `outcome`.
pub fn recover(
    observed: &Observed,
    cursor: &Cursor,
    reason: &'static str,
    message: String,
    outcome: Outcome,
) -> Change {
    let batch = cursor.batch.iter().filter(|progress| observed.pod(&progress.uid).is_some()).cloned().collect();
    let change = change(cursor, Phase::Recovering, Step::Restoring, reason, message);
    Change { outcome: Some(outcome), batch, ..change }
}

/// The change that records what could not be put back, and goes on with the rest.
pub fn give_up(cursor: &Cursor, outcome: &Outcome, reason: &'static str, message: String) -> Change {
    let outcome = Outcome {
        not_restored: Some(message.clone()),
        not_restored_reason: Some(reason.to_owned()),
        ..outcome.clone()
    };
    let change = change(cursor, Phase::Recovering, Step::Restoring, reason, message);
    Change { outcome: Some(outcome), ..change }
}

/// Whether force spares this pod the wait.
pub fn forced(asked: &Asked, cursor: &Cursor) -> bool {
    asked.force && cursor.outcome.is_none()
}
