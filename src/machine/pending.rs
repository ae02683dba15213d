//! Pending: may the restart begin?
//!
//! **Invariant:** no effect at all: a request that is refused here has touched nothing.

use super::decision::{Change, Decision, Effect};
use super::guards::{failed, gave_up};
use super::observed::{Cursor, Deadline, Handled, Hold, Lock, Observed};
use crate::api::{Code, Outcome, Phase, Step};

/// For a request that nobody has looked at, or one that waits for its turn.
pub fn plan(observed: &Observed, cursor: Option<&Cursor>) -> Decision {
    if observed.asked.deleting {
        return if observed.finalizer { Decision::Act(vec![Effect::RemoveFinalizer]) } else { Decision::Rest };
    }
    if observed.asked.triggered && cursor.is_some() {
        return Decision::Record(queued("Triggered", "another trigger was set before the restart began".to_owned()));
    }
    if let Some(handled) = observed.handled {
        return already(handled);
    }
    if observed.asked.cancel {
        let message = "cancelled before anything was touched".to_owned();
        return end(
            cursor,
            "Cancelled",
            Outcome { result: Phase::Cancelled, code: None, ..failed(Code::Internal, message) },
        );
    }
    if let Lock::Other(name) = &observed.lock {
        if observed.asked.queue {
            let message = format!("queued behind RestartRequest {name}, which is restarting this workload");
            return wait(observed, cursor, &Hold { message, bounded: false });
        }
        let message =
            format!("RestartRequest {name} is restarting this workload; apply another request when it has finished");
        return end(cursor, Code::AlreadyRestarting.reason(), failed(Code::AlreadyRestarting, message));
    }
    if let Some(verdict) = &observed.verdict {
        return end(cursor, verdict.code.reason(), failed(verdict.code, verdict.message.clone()));
    }
    match &observed.hold {
        Some(hold) => wait(observed, cursor, hold),
        None => Decision::Record(first(
            cursor,
            Phase::Preparing,
            Step::Preparing,
            "Preparing",
            "checking the workload".to_owned(),
        )),
    }
}

fn wait(observed: &Observed, cursor: Option<&Cursor>, hold: &Hold) -> Decision {
    if cursor.is_none() {
        return Decision::Record(queued("Queued", hold.message.clone()));
    }
    if hold.bounded && observed.deadline == Deadline::Passed {
        let message = gave_up(&hold.message);
        return end(cursor, Code::RolloutConflict.reason(), failed(Code::RolloutConflict, message));
    }
    Decision::Wait(hold.message.clone())
}

/// A key that the workload's history knows: the recorded result, and no pod touched (DESIGN 5).
fn already(handled: Handled) -> Decision {
    let message = "a restart with this name and trigger has been made before: this is its result, no pod was touched; \
                   set another trigger for another restart"
        .to_owned();
    let outcome = Outcome { result: handled.result, code: handled.code, ..failed(Code::Internal, message) };
    end(None, "AlreadyHandled", outcome)
}

/// The first status of a run, or the first of the next one: it waits for its turn.
pub fn queued(reason: &'static str, message: String) -> Change {
    first(None, Phase::Pending, Step::Queued, reason, message)
}

/// The change that ends a request which has touched nothing.
pub fn end(cursor: Option<&Cursor>, reason: &'static str, outcome: Outcome) -> Decision {
    let change = first(cursor, outcome.result, Step::Finished, reason, outcome.message.clone());
    Decision::Record(Change { outcome: Some(outcome), ..change })
}

/// Without a cursor a run begins with this status.
fn first(cursor: Option<&Cursor>, phase: Phase, step: Step, reason: &'static str, message: String) -> Change {
    Change { begins: cursor.is_none(), ..Change::new(phase, step, reason, message) }
}
