//! What may happen in any phase: deletion, a lost lock, somebody else's rollout, a late cancel, a refusal.
//!
//! **Invariant:** nothing here concerns one phase alone.

use super::batch::{change, fail, recover};
use super::decision::{Change, Decision, Effect};
use super::observed::{ConfigMapView, Content, Cursor, List, Lock, Observed, PlanView, RefusedEffect, Target};
use super::preparing;
use crate::api::{Code, Outcome, Phase, Step};

/// The decision, if one of the guards has something to say.
pub fn plan(observed: &Observed) -> Option<Decision> {
    if observed.asked.namespace_terminating {
        return Some(let_go(observed));
    }
    let cursor = observed.cursor.as_ref()?;
    if !under_way(cursor.step) {
        return None;
    }
    lock_lost(observed, cursor)
        .or_else(|| deleted(observed, cursor))
        .or_else(|| lock_free(observed, cursor))
        .or_else(|| conflict(observed, cursor))
        .or_else(|| apart(observed, cursor))
        .or_else(|| list_lost(observed, cursor))
        .or_else(|| drift(observed, cursor))
        .or_else(|| cancel(observed, cursor))
        .or_else(|| refused(observed, cursor))
        .or_else(|| in_vain(observed, cursor))
}

/// Everything in the namespace goes anyway; our finalizer must not hold it up.
fn let_go(observed: &Observed) -> Decision {
    if observed.finalizer { Decision::Act(vec![Effect::RemoveFinalizer]) } else { Decision::Rest }
}

/// Pods may have been touched and the end is not yet written down.
fn under_way(step: Step) -> bool {
    match step {
        Step::Queued | Step::Preparing | Step::PreHooks | Step::Finishing | Step::Finished => false,
        Step::Surging
        | Step::Reserving
        | Step::Draining
        | Step::Evicting
        | Step::Verifying
        | Step::PostHooks
        | Step::Restoring => true,
    }
}

/// Somebody edited the history, and another run has the lock by now: stop here.
fn lock_lost(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    match &observed.lock {
        Lock::Ours | Lock::Free | Lock::Done => None,
        Lock::Other(name) => {
            let message = format!(
                "the RestartHistory was edited: RestartRequest {name} holds the workload now, this run stops where it is"
            );
            Some(Decision::Record(without_lock(cursor, message)))
        }
    }
}

fn without_lock(cursor: &Cursor, message: String) -> Change {
    let outcome = Outcome {
        not_restored: Some(message.clone()),
        not_restored_reason: Some("LockLost".to_owned()),
        ..failed(Code::Internal, message.clone())
    };
    let change = change(cursor, Phase::Recovering, Step::Finishing, "LockLost", message);
    Change { outcome: Some(outcome), ..change }
}

/// Somebody deleted or edited the history: take the lock again. Where that is impossible until the deadline, first the run
/// fails, and then the recovery goes on without.
fn lock_free(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    match (&observed.lock, &observed.target) {
        (Lock::Ours | Lock::Other(_), _) | (_, Target::Gone) => return None,
        (Lock::Free | Lock::Done, Target::Same { .. } | Target::RollingOut) => {}
    }
    match observed.overdue_trouble() {
        Some(_) if cursor.step == Step::Restoring => None,
        Some(trouble) => Some(give_up(observed, cursor, trouble)),
        None => Some(Decision::Act(vec![Effect::TakeLock])),
    }
}

fn give_up(observed: &Observed, cursor: &Cursor, trouble: &str) -> Decision {
    let code = if cursor.step == Step::PostHooks { Code::HookFailed } else { Code::Internal };
    Decision::Record(fail(observed, cursor, code, gave_up(trouble)))
}

/// The sentence about what was waited for in vain until the deadline.
pub fn gave_up(why: &str) -> String {
    format!("gave up after progressDeadlineSeconds: {why}")
}

/// What could not be done by the deadline is given up: a refusal that the API server does not call final, a webhook that
/// errs, a sidecar that does not obey. A drain has a clock of its own, and so have evictions.
fn in_vain(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    let trouble = observed.overdue_trouble()?;
    match cursor.step {
        Step::Surging | Step::Reserving | Step::Verifying | Step::PostHooks => Some(give_up(observed, cursor, trouble)),
        Step::Queued
        | Step::Preparing
        | Step::PreHooks
        | Step::Draining
        | Step::Evicting
        | Step::Restoring
        | Step::Finishing
        | Step::Finished => None,
    }
}

fn deleted(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if !observed.asked.deleting || cursor.outcome.is_some() {
        return None;
    }
    let message = "the request was deleted; configuration and pods go back".to_owned();
    let outcome = Outcome { result: Phase::Cancelled, code: None, ..failed(Code::Internal, message.clone()) };
    Some(Decision::Record(recover(observed, cursor, "Deleted", message, outcome)))
}

fn conflict(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if cursor.outcome.is_some() {
        return None;
    }
    let (code, message) = match observed.target {
        Target::Same { .. } => return None,
        Target::RollingOut => {
            (Code::RolloutConflict, "somebody else's rollout of the workload began; it is left alone")
        }
        Target::Gone => (Code::TargetInvalid, "the workload was deleted or replaced while it was being restarted"),
    };
    Some(Decision::Record(fail(observed, cursor, code, message.to_owned())))
}

/// Pods are being replaced once more, and the workload is not ours to put together any more: what is detached goes, and the
/// rest is the rollout's.
fn apart(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    let message = match observed.target {
        Target::Same { .. } => return None,
        Target::RollingOut => "somebody else's rollout of the workload began: it replaces the pods",
        Target::Gone => "the workload was deleted or replaced: no pod is replaced any more",
    };
    let replacing = cursor.outcome.is_some() && cursor.step != Step::Restoring;
    let change = || change(cursor, Phase::Recovering, Step::Restoring, "Restoring", message.to_owned());
    replacing.then(|| Decision::Record(change()))
}

/// Without its list nobody knows which pods are left: none is taken for another. Recovery does without: what is detached is
/// marked as such, and whoever is on no list is replaced once more.
fn list_lost(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    let lost = cursor.plan.is_some() && observed.plan.list != List::Written && cursor.outcome.is_none();
    lost.then(|| Decision::Record(fail(observed, cursor, Code::Internal, lost_message(&observed.plan))))
}

pub fn lost_message(plan: &PlanView) -> String {
    format!("ConfigMap {}, the list of the pods to restart, was deleted or altered; apply another request", plan.name)
}

/// `reload: false`: new pods must not start on something else than the old ones did.
fn drift(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if observed.asked.reload || cursor.outcome.is_some() {
        return None;
    }
    let moved = |config: &&ConfigMapView| matches!(config.content, Content::Other | Content::Missing);
    let name = &observed.config.iter().find(moved)?.entry.name;
    let message = format!("ConfigMap {name} was changed while the restart was under way, and config.reload is false");
    Some(Decision::Record(fail(observed, cursor, Code::ConfigDrift, message)))
}

fn cancel(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if !observed.asked.cancel || cursor.cancel_rejected || cursor.outcome.is_some() {
        return None;
    }
    let message = "cancel came after Preparing; the run goes on".to_owned();
    let change = change(cursor, preparing::phase_of(cursor.step), cursor.step, "CancelRejected", message);
    Some(Decision::Record(Change { cancel_rejected: true, ..change }))
}

/// In recovery a refusal is handled there: the rest must still go back.
fn refused(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if cursor.step == Step::Restoring {
        return None;
    }
    let refusal = observed.refusal.as_ref().filter(|refusal| refusal.effect != RefusedEffect::Hook)?;
    Some(Decision::Record(fail(observed, cursor, Code::Internal, refusal.message.clone())))
}

/// A failure with nothing suspect about the configuration.
pub fn failed(code: Code, message: String) -> Outcome {
    Outcome {
        result: Phase::Failed,
        code: Some(code),
        message,
        suspect_configuration: false,
        not_restored: None,
        not_restored_reason: None,
    }
}
