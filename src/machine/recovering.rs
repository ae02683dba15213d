//! Recovering: configuration, leases, detached pods and pods that started on the bad configuration go back, in this order.
//!
//! **Invariant:** configuration that the run neither promoted nor broke pods with is never touched (I9).

use super::batch::{begin_next, change, give_up, names, progress, remaining, state};
use super::decision::{Change, Decision, Effect, PlannedPod};
use super::guards::gave_up;
use super::observed::{
    Attachment, ConfigMapView, Content, Copied, Cursor, Deadline, Drain, Gate, List, Observed, Pod, RefusedEffect,
    Role, Target,
};
use super::put_back::put_back;
use crate::api::{Outcome, Phase, Plan, PodState, Snapshot, SnapshotEntry, SnapshotSource, Step};

/// One thing after the other, each seen done before the next.
pub fn plan(observed: &Observed, cursor: &Cursor) -> Decision {
    let Some(outcome) = &cursor.outcome else {
        return Decision::Record(finish(cursor, "recovery without a reason".to_owned()));
    };
    refused(observed, cursor, outcome)
        .or_else(|| in_vain(observed, cursor, outcome))
        .or_else(|| configuration(observed, cursor, outcome))
        .or_else(|| dispose(observed, cursor, outcome))
        .or_else(|| release(observed, cursor))
        .or_else(|| put_back(observed, cursor))
        .or_else(|| once_more(observed, cursor, outcome))
        .unwrap_or_else(|| settle(observed, cursor, outcome))
}

/// The cluster will never allow it: say so once and go on with the rest; twice, and the run ends.
fn refused(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> Option<Decision> {
    let refusal = observed.refusal.as_ref()?;
    if outcome.not_restored.is_some() {
        return Some(Decision::Record(finish(cursor, refusal.message.clone())));
    }
    let reason = match refusal.effect {
        RefusedEffect::Restore | RefusedEffect::Copy | RefusedEffect::Promotion => "RestoreRefused",
        RefusedEffect::Hook | RefusedEffect::Other => "PutBackRefused",
    };
    Some(Decision::Record(give_up(cursor, outcome, reason, refusal.message.clone())))
}

/// What could not be done by the deadline is said; if there is more of that, the run ends.
fn in_vain(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> Option<Decision> {
    let message = gave_up(observed.overdue_trouble()?);
    Some(Decision::Record(match outcome.not_restored {
        None => give_up(cursor, outcome, "PutBackFailed", message),
        Some(_) => finish(cursor, message),
    }))
}

/// Whether this ConfigMap has to hold the snapshot at the end.
pub fn to_restore(config: &ConfigMapView, outcome: &Outcome) -> bool {
    let blamed = outcome.suspect_configuration && config.entry.source == SnapshotSource::LastKnownGood;
    config.changed() && (config.entry.promoted || blamed)
}

fn configuration(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> Option<Decision> {
    if outcome.not_restored.is_some() || cursor.snapshot.is_none() {
        return None;
    }
    let wanted: Vec<&ConfigMapView> = observed.config.iter().filter(|config| to_restore(config, outcome)).collect();
    if let Some(problem) = cannot_restore(observed, outcome, &wanted) {
        return Some(Decision::Record(give_up(cursor, outcome, problem.0, problem.1)));
    }
    let effects: Vec<Effect> = wanted
        .iter()
        .filter(|config| config.content == Content::Candidate)
        .map(|config| Effect::Restore(config.entry.name.clone()))
        .collect();
    if !effects.is_empty() {
        return Some(Decision::Act(effects));
    }
    wanted.iter().any(|config| !config.entry.restored).then(|| Decision::Record(restored(observed, cursor, outcome)))
}

/// Seen done: from now on a ConfigMap that holds the candidate again was changed back by somebody.
fn restored(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> Change {
    let entry = |config: &ConfigMapView| SnapshotEntry {
        restored: config.entry.restored || to_restore(config, outcome),
        ..config.entry.clone()
    };
    let snapshot = Snapshot { config_maps: observed.config.iter().map(entry).collect() };
    let message = "the configuration is what it was before".to_owned();
    let change = change(cursor, Phase::Recovering, Step::Restoring, "ConfigurationRestored", message);
    Change { snapshot: Some(snapshot), ..change }
}

fn cannot_restore(observed: &Observed, outcome: &Outcome, wanted: &[&ConfigMapView]) -> Option<(&'static str, String)> {
    let theirs = observed.pods.iter().any(|pod| pod.attachment == Attachment::Foreign && pod.alive());
    if observed.target == Target::RollingOut
        && theirs
        && wanted.iter().any(|config| config.content == Content::Candidate)
    {
        let message = "somebody else's rollout has started pods on the promoted configuration: it stays".to_owned();
        return Some(("RestoreConflict", message));
    }
    if let Some(config) = wanted.iter().find(|config| config.content == Content::Candidate && config.entry.restored) {
        let name = &config.entry.name;
        return Some(match &config.applied_by {
            Some(tool) => (
                "RevertedByGitOps",
                format!(
                    "ConfigMap {name} was restored and {tool} wrote the failed content back: it stays; correct it in Git"
                ),
            ),
            None => (
                "RestoreConflict",
                format!("ConfigMap {name} was restored and somebody wrote the failed content back: it stays"),
            ),
        });
    }
    let shared = |config: &&&ConfigMapView| config.content == Content::Candidate && config.shared_with.is_some();
    if let Some(config) = wanted.iter().find(shared) {
        let (name, other) = (&config.entry.name, config.shared_with.as_deref().unwrap_or_default());
        let message =
            format!("{other} has been restarted onto the present content of ConfigMap {name}: it stays as it is");
        return Some(("RestoreConflict", message));
    }
    if let Some(edited) = wanted.iter().find(|config| matches!(config.content, Content::Other | Content::Missing)) {
        let message = format!(
            "ConfigMap {} was changed by somebody else since the restart began: it stays as it is",
            edited.entry.name
        );
        return Some(("RestoreConflict", message));
    }
    let uncopied = |config: &&&ConfigMapView| config.content == Content::Candidate && config.snapshot != Copied::Held;
    if let Some(config) = wanted.iter().find(uncopied) {
        let (copy, name) = (&config.entry.snapshot, &config.entry.name);
        let message = format!(
            "ConfigMap {copy}, the copy that ConfigMap {name} goes back to, was deleted or replaced: {name} stays as it is"
        );
        return Some(("CopyLost", message));
    }
    let unknown = |config: &&ConfigMapView| {
        config.referred && !config.entry.promoted && config.entry.source == SnapshotSource::AtRequest
    };
    let baseless = observed.config.iter().find(unknown)?;
    if outcome.suspect_configuration && wanted.is_empty() {
        let name = &baseless.entry.name;
        let message = format!(
            "pods failed, and no earlier successful run has recorded what ConfigMap {name} should hold: it stays as it is"
        );
        return Some(("NoBaseline", message));
    }
    None
}

/// The workload is not ours to put together any more: what is detached is evicted while it serves, so that the budget is
/// asked truly and the preStop chain drains it.
fn dispose(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> Option<Decision> {
    match observed.target {
        Target::Same { .. } => return None,
        Target::RollingOut | Target::Gone => {}
    }
    let leased = leased(observed, cursor);
    if !leased.is_empty() {
        return Some(Decision::Act(leased));
    }
    let detached = detached(observed);
    if detached.is_empty() {
        return Some(Decision::Record(finish(cursor, outcome.message.clone())));
    }
    if detached.iter().any(|pod| state(cursor, pod) != PodState::Terminating) {
        return Some(Decision::Record(dismiss(cursor, &detached)));
    }
    if observed.deadline == Deadline::Passed && outcome.not_restored.is_none() {
        let message = format!("{} could not be evicted within progressDeadlineSeconds", names(&detached));
        return Some(Decision::Record(give_up(cursor, outcome, "PodsNotEvicted", message)));
    }
    if observed.deadline == Deadline::Passed {
        return Some(Decision::Record(finish(cursor, outcome.message.clone())));
    }
    // The last ready endpoint stays until the rollout has another; without a workload nothing will come.
    let going = detached.iter().filter(|pod| !pod.last_endpoint || observed.target == Target::Gone);
    let effects: Vec<Effect> = going.map(|pod| Effect::Evict((*pod).into())).collect();
    Some(if effects.is_empty() {
        Decision::Wait(format!(
            "{} is the last ready endpoint; waiting for the rollout to bring another",
            names(&detached)
        ))
    } else {
        Decision::Act(effects)
    })
}

fn dismiss(cursor: &Cursor, pods: &[&Pod]) -> Change {
    let message = format!("evicting {}, which cannot go back", names(pods));
    let change = change(cursor, Phase::Recovering, Step::Restoring, "Dismissing", message);
    Change { batch: pods.iter().map(|pod| progress(pod, PodState::Terminating)).collect(), ..change }
}

/// The leases that end: all but those of replacements that go so that old pods can come back.
fn leased(observed: &Observed, cursor: &Cursor) -> Vec<Effect> {
    let together = matches!(observed.target, Target::Same { .. });
    let going = |pod: &&Pod| together && state(cursor, pod) == PodState::Expendable;
    let spared = |pod: &&Pod| pod.alive() && pod.attachment != Attachment::Foreign && !going(pod) && pod.cordoned();
    observed.pods.iter().filter(spared).map(|pod| Effect::Release(pod.into())).collect()
}

pub fn detached(observed: &Observed) -> Vec<&Pod> {
    observed.pods.iter().filter(|pod| pod.alive() && pod.attachment == Attachment::Detached).collect()
}

/// Old pods serve again before anything else happens to them.
fn release(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    let effects = leased(observed, cursor);
    if !effects.is_empty() {
        return Some(Decision::Act(effects));
    }
    let unready: Vec<&Pod> =
        observed.pods.iter().filter(|pod| pod.alive() && (unready(pod) || doubtful(cursor, pod))).collect();
    (!unready.is_empty() && observed.deadline == Deadline::Ahead)
        .then(|| Decision::Wait(format!("waiting for {} to be Ready again", names(&unready))))
}

/// It cannot go back yet.
fn unready(pod: &Pod) -> bool {
    pod.attachment == Attachment::Detached && (!pod.ready || !pod.in_slices || pod.told_unready)
}

/// A sidecar that does not answer may hold a lease yet: its pod would be NotReady in a moment.
fn doubtful(cursor: &Cursor, pod: &Pod) -> bool {
    let listed = cursor.batch.iter().any(|progress| progress.uid == pod.uid && progress.state != PodState::Expendable);
    let ours = pod.attachment == Attachment::Detached || listed;
    ours && matches!(pod.drain, Drain::Unknown { overdue: false })
}

/// Pods that started on the bad configuration are replaced once more.
fn once_more(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> Option<Decision> {
    let restored = observed.config.iter().any(|config| to_restore(config, outcome));
    let plan = cursor.plan.as_ref()?;
    if !restored || outcome.not_restored.is_some() {
        return None;
    }
    // A list that somebody deleted is written again.
    let again_written = match observed.plan.again {
        List::Written => true,
        List::Absent => false,
        List::Altered => {
            let name = &observed.plan.again_name;
            let message = format!("ConfigMap {name} stands where the list of the pods to replace once more should be");
            return Some(Decision::Record(give_up(cursor, outcome, "PodsNotReplaced", message)));
        }
    };
    if plan.again.is_some() && again_written {
        return (!remaining(observed, cursor).is_empty()).then(|| Decision::Record(begin_next(observed, cursor)));
    }
    if again_written {
        let message = "pods that started on the bad configuration are replaced once more".to_owned();
        let change = change(cursor, Phase::Recovering, Step::Restoring, "ReplacingAgain", message);
        return Some(Decision::Record(Change {
            plan: Some(Plan { again: Some(observed.plan.again_name.clone()), ..plan.clone() }),
            ..change
        }));
    }
    let bad = |pod: &&Pod| {
        pod.alive()
            && pod.attachment == Attachment::Attached
            && (pod.role == Role::New || pod.restarted || plan.late.contains(&pod.uid))
    };
    let pods: Vec<PlannedPod> = observed.pods.iter().filter(bad).map(PlannedPod::from).collect();
    (!pods.is_empty()).then(|| Decision::Act(vec![Effect::WritePlanAgain(pods)]))
}

/// All Ready ends the recovery; what is not so by the deadline is said.
fn settle(observed: &Observed, cursor: &Cursor, outcome: &Outcome) -> Decision {
    if let Some(pods) = as_ill_as_before(observed) {
        let message = format!("{}; {pods} not Ready, as when the restart began", outcome.message);
        let outcome = Outcome { message: message.clone(), ..outcome.clone() };
        return Decision::Record(Change { outcome: Some(outcome), ..finish(cursor, message) });
    }
    match (&observed.gate, observed.deadline) {
        (Gate::Open, _) => Decision::Record(finish(cursor, outcome.message.clone())),
        (Gate::Waiting(message) | Gate::Failing(message), Deadline::Ahead) => Decision::Wait(message.clone()),
        (Gate::Waiting(message) | Gate::Failing(message), Deadline::Passed) => {
            let message = format!("not all pods are Ready: {message}");
            let outcome = match outcome.not_restored {
                None => Outcome {
                    not_restored: Some(message.clone()),
                    not_restored_reason: Some("PodsNotReady".to_owned()),
                    ..outcome.clone()
                },
                Some(_) => outcome.clone(),
            };
            Decision::Record(Change { outcome: Some(outcome), ..finish(cursor, message) })
        }
    }
}

/// The pods whose containers exit again and again, if they are no more than were not Ready when the run began, and every
/// other pod is Ready: waiting for them to become what they were not is in vain.
fn as_ill_as_before(observed: &Observed) -> Option<String> {
    let Target::Same { replicas } = observed.target else { return None };
    let own = |pod: &&Pod| pod.alive() && pod.attachment == Attachment::Attached && pod.role != Role::PassedOver;
    let own: Vec<&Pod> = observed.pods.iter().filter(own).collect();
    let (well, ill): (Vec<&Pod>, Vec<&Pod>) = own.into_iter().partition(|pod| pod.ready);
    let exits = ill.iter().all(|pod| pod.broken.is_some());
    let as_many = !ill.is_empty() && ill.len() <= observed.plan.unready && well.len() + ill.len() == replicas;
    (exits && as_many && observed.gate != Gate::Open).then(|| names(&ill))
}

fn finish(cursor: &Cursor, message: String) -> Change {
    change(cursor, Phase::Recovering, Step::Finishing, "Restored", message)
}
