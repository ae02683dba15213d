//! A run whose surroundings cannot be read although the API server answers: a right that was taken away, a kind that is gone.
//!
//! Nothing is known of its pods then, so that nothing is done to them. At the deadline the run ends and lets its request go;
//! its lock stays, and with it the record by which the pods are put back once they can be read again.
//!
//! **Invariant:** no effect but the removal of the finalizer, and that only when the end is recorded.

use super::batch::change;
use super::decision::{Change, Decision, Effect};
use super::guards::{failed, gave_up};
use super::observed::{Cursor, Deadline, Observed};
use super::pending;
use crate::api::{Code, Outcome, Phase, Step};

/// What happens next to a run of which nothing but its own status can be seen, and why that is so. The deadline is
/// `progressDeadlineSeconds` since that began.
#[must_use]
pub fn blind(observed: &Observed, why: &str) -> Decision {
    let let_go = || if observed.finalizer { Decision::Act(vec![Effect::RemoveFinalizer]) } else { Decision::Rest };
    match (&observed.cursor, observed.deadline) {
        (None, _) if observed.asked.deleting => let_go(),
        (Some(cursor), _) if cursor.step == Step::Finished => let_go(),
        (_, Deadline::Ahead) => Decision::Wait(why.to_owned()),
        (None, Deadline::Passed) => pending::end(None, Code::Internal.reason(), failed(Code::Internal, gave_up(why))),
        (Some(cursor), Deadline::Passed) => Decision::Record(ended(observed, cursor, why)),
    }
}

fn ended(observed: &Observed, cursor: &Cursor, why: &str) -> Change {
    let outcome = cursor.outcome.clone().unwrap_or_else(|| {
        let failed = failed(Code::Internal, gave_up(why));
        if observed.asked.deleting { Outcome { result: Phase::Cancelled, code: None, ..failed } } else { failed }
    });
    let touched = cursor.plan.is_some();
    let left = format!("pods and configuration stay as they are until they can be read again: {why}");
    let outcome = Outcome {
        not_restored: touched.then_some(left),
        not_restored_reason: touched.then(|| "Unreadable".to_owned()),
        ..outcome
    };
    let change = change(cursor, outcome.result, Step::Finished, "Unreadable", gave_up(why));
    Change { batch: vec![], outcome: Some(outcome), ..change }
}
