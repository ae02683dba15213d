//! The end: the result goes into the history, the lock and the finalizer go.
//!
//! **Invariant:** a terminal phase is written only when nothing is outstanding but our finalizer (I10).

use super::batch::change;
use super::decision::{Change, Decision, Effect};
use super::observed::{ConfigMapView, Content, Cursor, Lock, Observed, Role, Target};
use super::pending::queued;
use super::recovering::to_restore;
use crate::api::{Outcome, Phase, Step};

/// Write the result down, then the terminal phase.
pub fn finishing(observed: &Observed, cursor: &Cursor) -> Decision {
    if observed.lock == Lock::Ours && observed.overdue_trouble().is_none() {
        return Decision::Act(vec![Effect::ReleaseLock(good(observed, cursor))]);
    }
    let (result, reason, message) = match &cursor.outcome {
        Some(outcome) => (outcome.result, reason(outcome.result), last_word(observed, cursor, outcome)),
        None => (Phase::Failed, "Internal", "the run ended without a result".to_owned()),
    };
    let change = change(cursor, result, Step::Finished, reason, message);
    Decision::Record(Change { batch: vec![], ..change })
}

/// What happened, how many pods were restarted, and what they run now.
fn last_word(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> String {
    let message = &outcome.message;
    let Some(plan) = cursor.plan.as_ref().filter(|_| outcome.result != Phase::Completed) else {
        return message.clone();
    };
    if let Some(problem) = &outcome.not_restored {
        let problem = if problem == message { String::new() } else { format!(": {problem}") };
        return format!("{message}; not everything is as it was{problem}");
    }
    if observed.target == Target::Gone {
        return message.clone();
    }
    let left = observed.pods.iter().filter(|pod| pod.role == Role::Planned && pod.alive()).count();
    let restarted = plan.pods.saturating_sub(i64::try_from(left).unwrap_or(0));
    let restored = observed.config.iter().any(|config| to_restore(config, outcome));
    let configuration =
        if restored { "the configuration is what it was before" } else { "the configuration was not touched" };
    format!("{message}; {restarted} of {} pods were restarted, {configuration}", plan.pods)
}

fn reason(result: Phase) -> &'static str {
    match result {
        Phase::Completed => "Completed",
        Phase::Cancelled => "Cancelled",
        Phase::Failed
        | Phase::Pending
        | Phase::Preparing
        | Phase::Restarting
        | Phase::WaitingRequests
        | Phase::Recovering => "Failed",
    }
}

/// ConfigMaps that hold what the new pods started on: the configuration that the workload is known to run well with.
fn good(observed: &Observed, cursor: &Cursor) -> Vec<String> {
    if cursor.outcome.as_ref().is_none_or(|outcome| outcome.result != Phase::Completed) {
        return vec![];
    }
    let held = |config: &&ConfigMapView| {
        config.content == Content::Candidate || config.content == Content::Snapshot && !config.changed()
    };
    observed.config.iter().filter(held).map(|config| config.entry.name.clone()).collect()
}

/// Nothing happens any more but the removal of the finalizer, another run if another trigger asks for it, the end of the
/// object's time, and the notice of a new generation.
pub fn plan(observed: &Observed) -> Decision {
    // A leader that was asleep while the run ended may have taken the lock once more.
    let release = observed.lock == Lock::Ours;
    if release && observed.trouble.is_none() {
        return Decision::Act(vec![Effect::ReleaseLock(vec![])]);
    }
    // A history that cannot be written holds up no deletion: a lock whose request is gone is released all the same.
    if observed.finalizer {
        return Decision::Act(vec![Effect::RemoveFinalizer]);
    }
    if release {
        return Decision::Act(vec![Effect::ReleaseLock(vec![])]);
    }
    if observed.asked.triggered && !observed.asked.deleting {
        let message = "another trigger was set: one more restart".to_owned();
        return Decision::Record(queued("Triggered", message));
    }
    if observed.asked.expired && !observed.asked.deleting {
        return Decision::Act(vec![Effect::DeleteRequest]);
    }
    match &observed.cursor {
        Some(cursor) if observed.asked.generation_unseen && !observed.asked.deleting => {
            let result = cursor.outcome.as_ref().map_or(Phase::Failed, |outcome| outcome.result);
            let message = cursor.outcome.as_ref().map(|outcome| outcome.message.clone()).unwrap_or_default();
            Decision::Record(change(cursor, result, Step::Finished, reason(result), message))
        }
        Some(_) | None => Decision::Rest,
    }
}
