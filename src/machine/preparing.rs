//! Preparing: finalizer, lock, copies, hooks, list, promotion. No pod is touched.
//!
//! **Invariant:** nothing is changed before its copy stands in the status (DESIGN 3.3).

use super::batch::{begin_next, change, names, recover};
use super::decision::{Change, Decision, Effect};
use super::guards::{failed, gave_up, lost_message};
use super::hooks::{self, Hooks};
use super::observed::{
    Attachment, ConfigMapView, Content, Copied, Cursor, Deadline, List, Lock, Observed, Pod, RefusedEffect, Role,
};
use super::passed_over::{listed, passed_over, stopping};
use super::pending::queued;
use crate::api::bounds::LATE;
use crate::api::{Code, HookTime, Outcome, Phase, Plan, Snapshot, Step};

/// One thing after the other; each is entered only when observation shows the one before it done.
pub fn plan(observed: &Observed, cursor: &Cursor) -> Decision {
    if let Some(decision) = too_early(observed, cursor).or_else(|| stopped(observed, cursor)) {
        return decision;
    }
    if !observed.finalizer {
        return Decision::Act(vec![Effect::AddFinalizer]);
    }
    if observed.lock == Lock::Free {
        return Decision::Act(vec![Effect::TakeLock]);
    }
    let Some(snapshot) = &cursor.snapshot else { return copy(observed, cursor) };
    if hooks::left(observed, cursor, HookTime::Pre) {
        let message = "the hooks before the restart".to_owned();
        return Decision::Record(change(cursor, Phase::Preparing, Step::PreHooks, "PreHooks", message));
    }
    let Some(plan) = &cursor.plan else { return list(observed, cursor) };
    if observed.plan.list != List::Written {
        return stop(observed, cursor, Code::Internal.reason(), failed(Code::Internal, lost_message(&observed.plan)));
    }
    debug_assert_eq!(snapshot.config_maps.len(), observed.config.len());
    promote(observed, cursor, plan)
}

/// The hooks that run before any pod is touched.
pub fn hooks(observed: &Observed, cursor: &Cursor) -> Decision {
    if let Some(decision) = stopped(observed, cursor) {
        return decision;
    }
    // Somebody deleted or edited the history.
    if observed.lock == Lock::Free {
        return Decision::Act(vec![Effect::TakeLock]);
    }
    match hooks::run(observed, cursor, HookTime::Pre) {
        Hooks::Decided(decision) => decision,
        Hooks::Failed(message) => {
            let hooks = Some(hooks::all_failed(cursor, &message));
            match stop(observed, cursor, Code::HookFailed.reason(), failed(Code::HookFailed, message)) {
                Decision::Record(change) => Decision::Record(Change { hooks, ..change }),
                decision @ (Decision::Act(_) | Decision::Wait(_) | Decision::Rest) => decision,
            }
        }
        Hooks::Over => {
            let message = "the hooks before the restart are over".to_owned();
            Decision::Record(change(cursor, Phase::Preparing, Step::Preparing, "HooksOver", message))
        }
    }
}

/// Nothing has been done yet, and it is not this run's turn any more: another trigger, or a queue that another one left
/// first.
fn too_early(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if cursor.snapshot.is_some() || observed.asked.deleting || observed.asked.cancel {
        return None;
    }
    let change = match &observed.lock {
        Lock::Free if observed.asked.triggered => {
            queued("Triggered", "another trigger was set before the restart began".to_owned())
        }
        Lock::Other(name) if observed.asked.queue => {
            let message = format!("queued behind RestartRequest {name}, which is restarting this workload");
            change(cursor, Phase::Pending, Step::Queued, "Queued", message)
        }
        Lock::Free | Lock::Ours | Lock::Other(_) | Lock::Done => return None,
    };
    // A finalizer is there exactly while something is outstanding (I10).
    Some(if observed.finalizer { Decision::Act(vec![Effect::RemoveFinalizer]) } else { Decision::Record(change) })
}

/// What ends the run here.
fn stopped(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    if observed.asked.deleting || observed.asked.cancel {
        let message = "cancelled before any pod was touched".to_owned();
        let outcome = Outcome { result: Phase::Cancelled, code: None, ..failed(Code::Internal, message) };
        return Some(stop(observed, cursor, "Cancelled", outcome));
    }
    let (code, message) = match (&observed.lock, &observed.verdict, &observed.refusal) {
        (Lock::Other(name), _, _) => (
            Code::AlreadyRestarting,
            format!("RestartRequest {name} is restarting this workload; apply another request when it has finished"),
        ),
        (Lock::Done, _, _) => {
            (Code::Internal, "the RestartHistory says that this run has ended; apply another request".to_owned())
        }
        (Lock::Free | Lock::Ours, Some(verdict), _) => (verdict.code, verdict.message.clone()),
        (Lock::Free | Lock::Ours, None, Some(refusal)) if refusal.effect != RefusedEffect::Hook => {
            (code_of(refusal.effect), refusal.message.clone())
        }
        (Lock::Free | Lock::Ours, None, Some(_) | None) => in_vain(observed, cursor)?,
    };
    Some(stop(observed, cursor, code.reason(), failed(code, message)))
}

/// What could not be done by the deadline is given up.
fn in_vain(observed: &Observed, cursor: &Cursor) -> Option<(Code, String)> {
    let trouble = observed.overdue_trouble()?;
    let code = if cursor.step == Step::PreHooks { Code::HookFailed } else { Code::Internal };
    Some((code, gave_up(trouble)))
}

fn code_of(effect: RefusedEffect) -> Code {
    match effect {
        RefusedEffect::Copy => Code::BackupFailed,
        RefusedEffect::Promotion | RefusedEffect::Restore => Code::RestoreConflict,
        RefusedEffect::Hook => Code::HookFailed,
        RefusedEffect::Other => Code::Internal,
    }
}

/// Nothing but a promotion may have to go back.
fn stop(observed: &Observed, cursor: &Cursor, reason: &'static str, outcome: Outcome) -> Decision {
    let promoted =
        |config: &ConfigMapView| config.entry.promoted && config.changed() && config.content == Content::Candidate;
    let message = outcome.message.clone();
    if cursor.snapshot.is_some() && observed.config.iter().any(promoted) {
        return Decision::Record(recover(observed, cursor, reason, message, outcome));
    }
    let change = change(cursor, Phase::Preparing, Step::Finishing, reason, message);
    Decision::Record(Change { outcome: Some(outcome), ..change })
}

fn copy(observed: &Observed, cursor: &Cursor) -> Decision {
    if let Some(copy) = observed.config.iter().find_map(ConfigMapView::altered_copy) {
        let message = format!(
            "ConfigMap {copy} stands where the copy of the configuration should be, and holds something else; delete it, then apply another request"
        );
        return stop(observed, cursor, Code::BackupFailed.reason(), failed(Code::BackupFailed, message));
    }
    if observed.config.iter().any(|config| !config.is_copied()) {
        return Decision::Act(vec![Effect::CopyConfigMaps]);
    }
    let config_maps: Vec<_> = observed.config.iter().map(|config| config.entry.clone()).collect();
    let message = match config_maps.len() {
        1 => "copied 1 ConfigMap".to_owned(),
        count => format!("copied {count} ConfigMaps"),
    };
    let change = change(cursor, Phase::Preparing, Step::Preparing, "SnapshotTaken", message);
    Decision::Record(Change { snapshot: Some(Snapshot { config_maps }), ..change })
}

/// The list comes before the promotion, so that whoever is on no list started after it.
fn list(observed: &Observed, cursor: &Cursor) -> Decision {
    match observed.plan.list {
        List::Absent if observed.deadline == Deadline::Ahead && !stopping(observed).is_empty() => {
            Decision::Wait(format!("waiting for {}, which is being deleted", names(&stopping(observed))))
        }
        List::Absent => Decision::Act(vec![Effect::WritePlan(listed(observed))]),
        List::Altered => {
            let outcome = failed(Code::Internal, lost_message(&observed.plan));
            stop(observed, cursor, Code::Internal.reason(), outcome)
        }
        List::Written => Decision::Record(planned(observed, cursor)),
    }
}

fn planned(observed: &Observed, cursor: &Cursor) -> Change {
    let pods = observed.pods.iter().filter(|pod| pod.role == Role::Planned).count();
    let message = format!("{pods} pods to restart{}", exceptions(observed));
    let change = change(cursor, Phase::Preparing, Step::Preparing, "Planned", message);
    let plan = Plan {
        config_map: observed.plan.name.clone(),
        pods: i64::try_from(pods).unwrap_or(i64::MAX),
        late: vec![],
        again: None,
    };
    Change { plan: Some(plan), ..change }
}

/// What is said of pods that are not Ready: which go first, and which are passed over and why.
fn exceptions(observed: &Observed) -> String {
    let first: Vec<&Pod> =
        observed.pods.iter().filter(|pod| pod.role == Role::Planned && pod.unready_at_start).collect();
    let first = if first.is_empty() { String::new() } else { format!("; not Ready, so first: {}", names(&first)) };
    first + &passed_over(observed)
}

fn promote(observed: &Observed, cursor: &Cursor, plan: &Plan) -> Decision {
    let promotions: Vec<&ConfigMapView> =
        observed.config.iter().filter(|config| config.entry.promoted && config.changed()).collect();
    if let Some(edited) = promotions.iter().find(|config| matches!(config.content, Content::Other | Content::Missing)) {
        let message =
            format!("ConfigMap {} was changed while it was being promoted; apply another request", edited.entry.name);
        return stop(observed, cursor, Code::RestoreConflict.reason(), failed(Code::RestoreConflict, message));
    }
    let waits = |config: &&&ConfigMapView| config.content == Content::Snapshot;
    if let Some(config) = promotions.iter().filter(waits).find(|config| config.candidate != Copied::Held) {
        let message = format!(
            "ConfigMap {}, the copy of what is to be promoted onto {}, was deleted or replaced; apply another request",
            config.entry.candidate, config.entry.name
        );
        return stop(observed, cursor, Code::BackupFailed.reason(), failed(Code::BackupFailed, message));
    }
    let open = promotions.iter().filter(|config| config.content == Content::Snapshot);
    let effects: Vec<Effect> = open.map(|config| Effect::Promote(config.entry.name.clone())).collect();
    if !effects.is_empty() {
        return Decision::Act(effects);
    }
    begin(observed, cursor, plan, !promotions.is_empty())
}

/// Pods born between the list and the promotion may run the old configuration: they are restarted as well. They are
/// recorded before the first batch is chosen, so that it may hold them.
fn begin(observed: &Observed, cursor: &Cursor, plan: &Plan, promoted: bool) -> Decision {
    let born = |pod: &&Pod| promoted && pod.role == Role::New && pod.alive() && pod.attachment == Attachment::Attached;
    let late: Vec<String> = observed.pods.iter().filter(born).map(|pod| pod.uid.clone()).collect();
    if late.is_empty() || !plan.late.is_empty() {
        return Decision::Record(begin_next(observed, cursor));
    }
    if late.len() > LATE {
        let message = format!(
            "{} pods were started while the configuration was promoted, more than a status records; apply another request when the workload has settled",
            late.len()
        );
        return stop(observed, cursor, Code::RolloutConflict.reason(), failed(Code::RolloutConflict, message));
    }
    let pods = plan.pods.saturating_add(i64::try_from(late.len()).unwrap_or(0));
    let change = change(cursor, Phase::Preparing, Step::Preparing, "Planned", format!("{pods} pods to restart"));
    Decision::Record(Change { plan: Some(Plan { pods, late, ..plan.clone() }), ..change })
}

/// The phase that goes with a step on the way forward.
pub fn phase_of(step: Step) -> Phase {
    match step {
        Step::Queued => Phase::Pending,
        Step::Preparing | Step::PreHooks => Phase::Preparing,
        Step::Surging | Step::Evicting | Step::Verifying | Step::PostHooks => Phase::Restarting,
        Step::Reserving | Step::Draining => Phase::WaitingRequests,
        Step::Restoring | Step::Finishing | Step::Finished => Phase::Recovering,
    }
}
