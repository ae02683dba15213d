//! The machine: decides what happens next, from what is observed and nothing else.
//!
//! [`plan`] is total: every [`Observed`] has a [`Decision`]. A step is entered in the status first ([`Decision::Record`]),
//! its effects follow ([`Decision::Act`]), and it is left only when observation shows them done; so a crash anywhere is
//! resumed from the cluster alone. Phases have a file each; what several phases share is in `batch`,
//! `guards` and `hooks`.
//!
//! **Invariant:** no async, no client, no clock, no randomness: the same [`Observed`] gives the same [`Decision`].

mod batch;
mod blind;
mod decision;
mod finished;
mod fold;
mod guards;
mod hooks;
mod observed;
mod passed_over;
mod pending;
mod preparing;
mod put_back;
mod recovering;
mod restarting;
#[cfg(test)]
mod tests;
mod waiting_requests;

pub use blind::blind;
pub use decision::{Change, Decision, Effect, PlannedPod, PodRef};
pub use fold::{cursor, fold};
pub use observed::{
    Asked, Attachment, Budget, ConfigMapView, Content, Copied, Cursor, Deadline, Drain, Gate, Handled, Hold, HookRun,
    HookView, List, Lock, Observed, PlanView, Pod, Refusal, RefusedEffect, Replacement, Role, Soak, Target, Verdict,
};
pub use passed_over::listed;

use crate::api::Step;

/// What happens next.
#[must_use]
pub fn plan(observed: &Observed) -> Decision {
    if let Some(decision) = guards::plan(observed) {
        return decision;
    }
    let Some(cursor) = &observed.cursor else { return pending::plan(observed, None) };
    match cursor.step {
        Step::Queued => pending::plan(observed, Some(cursor)),
        Step::Preparing => preparing::plan(observed, cursor),
        Step::PreHooks => preparing::hooks(observed, cursor),
        Step::Surging => restarting::surging(observed, cursor),
        Step::Reserving => waiting_requests::reserving(observed, cursor),
        Step::Draining => waiting_requests::draining(observed, cursor),
        Step::Evicting => restarting::evicting(observed, cursor),
        Step::Verifying => restarting::verifying(observed, cursor),
        Step::PostHooks => restarting::hooks(observed, cursor),
        Step::Restoring => recovering::plan(observed, cursor),
        Step::Finishing => finished::finishing(observed, cursor),
        Step::Finished => finished::plan(observed),
    }
}
