//! Pending: may the restart begin?
//!
//! **Invariant:** no effect at all: a request that is refused here has touched nothing.

use super::decision::{Change, Decision, Effect};
use super::guards::failed;
use super::observed::{Cursor, Deadline, Hold, Lock, Observed};
use crate::api::{Code, Outcome, Phase, Step};

/// For a request that nobody has looked at, or one that waits for its turn.
pub fn plan(observed: &Observed, cursor: Option<&Cursor>) -> Decision {
    if observed.asked.deleting {
        return if observed.finalizer { Decision::Act(vec![Effect::RemoveFinalizer]) } else { Decision::Rest };
    }
    if observed.asked.cancel {
        let message = "cancelled before anything was touched".to_owned();
        return end("Cancelled", Outcome { result: Phase::Cancelled, code: None, ..failed(Code::Internal, message) });
    }
    if let Lock::Other(name) = &observed.lock {
        let message =
            format!("RestartRequest {name} is restarting this workload; apply another request when it has finished");
        return end(Code::AlreadyRestarting.reason(), failed(Code::AlreadyRestarting, message));
    }
    if let Some(verdict) = &observed.verdict {
        return end(verdict.code.reason(), failed(verdict.code, verdict.message.clone()));
    }
    match &observed.hold {
        Some(hold) => wait(observed, cursor, hold),
        None => {
            Decision::Record(first(Phase::Preparing, Step::Preparing, "Preparing", "checking the workload".to_owned()))
        }
    }
}

fn wait(observed: &Observed, cursor: Option<&Cursor>, hold: &Hold) -> Decision {
    if cursor.is_none() {
        return Decision::Record(first(Phase::Pending, Step::Queued, "Queued", hold.message.clone()));
    }
    if hold.bounded && observed.deadline == Deadline::Passed {
        let message = format!("gave up after progressDeadlineSeconds: {}", hold.message);
        return end(Code::RolloutConflict.reason(), failed(Code::RolloutConflict, message));
    }
    Decision::Wait(hold.message.clone())
}

fn end(reason: &'static str, outcome: Outcome) -> Decision {
    let change = first(outcome.result, Step::Finished, reason, outcome.message.clone());
    Decision::Record(Change { outcome: Some(outcome), ..change })
}

fn first(phase: Phase, step: Step, reason: &'static str, message: String) -> Change {
    Change {
        phase,
        step,
        reason,
        message,
        batch: vec![],
        outcome: None,
        snapshot: None,
        plan: None,
        cancel_rejected: false,
    }
}
