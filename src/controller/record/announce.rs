//! What is told of a change that is written: Events, the audit log line, the counters.
//!
//! One Event per phase that is entered, its reason the phase; one for what is worth knowing beside it; one for each pod that
//! goes, naming the pod, so that it is not merged with another's (DESIGN 10). Events with one reason about one object are one
//! Event with a count, so a run of a thousand batches has no more kinds of Events than one of two.
//!
//! **Invariant:** told after the write, never before; nothing here can fail a pass.

use super::grace_warning;
use crate::api::{Code, HookState, Phase, PodProgress, PodState, RestartRequestStatus, Step};
use crate::controller::context::Context;
use crate::controller::events::Note;
use crate::controller::facts::Facts;
use crate::controller::hooks::failure_word;
use crate::controller::objects::word;
use crate::machine::Change;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use std::time::Duration;

/// Words of the machine that are not good news: something was lost, refused or left undone.
const BAD: [&str; 11] = [
    "LockLost",
    "BudgetLost",
    "EndpointsLost",
    "PodsLost",
    "NoBaseline",
    "PodsNotEvicted",
    "PodsNotReplaced",
    "PutBackRefused",
    "RestoreRefused",
    "RevertedByGitOps",
    "HookIgnored",
];
/// Words that say no more than the phase does.
const PROGRESS: [&str; 15] = [
    "Queued",
    "Preparing",
    "PreHooks",
    "Surging",
    "Reserving",
    "Draining",
    "Evicting",
    "Verifying",
    "Verified",
    "PostHooks",
    "HookStarted",
    "HooksOver",
    "Restoring",
    "Finishing",
    "Finished",
];

/// Tells it.
pub fn announce(
    ctx: &Context,
    facts: &Facts,
    old: &RestartRequestStatus,
    next: &RestartRequestStatus,
    change: &Change,
) {
    audit(facts, next, change);
    count(ctx, facts, old, next, change);
    let mut notes = notes(old, next, change);
    for (note, pod) in notes.iter_mut().filter_map(|(note, uid)| Some((note, facts.pod(uid.as_deref()?)?))) {
        note.pod = Some(pod.pod.object_ref(&()));
    }
    if next.resolved.is_some() && (old.resolved.is_none() || change.begins) {
        let text = grace_warning(facts);
        notes.extend(text.map(|text| (Note::new("GracePeriodShort", "Check", text).warning(), None)));
    }
    for (note, _) in notes {
        ctx.events.publish(subject(facts), note);
    }
}

/// The request; where it is gone, the history.
fn subject(facts: &Facts) -> ObjectReference {
    match facts.history.as_ref().filter(|_| facts.orphan) {
        Some(history) => history.object_ref(&()),
        None => facts.request.object_ref(&()),
    }
}

/// Who, what, why, result. In full, since it may be the only target that is logged.
fn audit(facts: &Facts, next: &RestartRequestStatus, change: &Change) {
    let target = &facts.request.spec.target_ref;
    tracing::info!(
        target: "audit", namespace = facts.namespace, name = facts.name(), uid = facts.uid(), phase = change.phase.word(),
        step = ?change.step, who = next.requested_by.as_deref().unwrap_or_default(),
        what = format!("restart {:?}/{}", target.kind, target.name), why = facts.request.spec.reason,
        result = change.reason, code = next.code.map_or("", Code::number), "{}", change.message
    );
}

/// The Events of a change, with the UID of the pod that one is about.
fn notes(old: &RestartRequestStatus, next: &RestartRequestStatus, change: &Change) -> Vec<(Note, Option<String>)> {
    let mut notes = vec![];
    if old.phase != Some(change.phase) || change.begins {
        let note = Note::new(change.phase.word(), "Restart", phase_text(next, change));
        notes.push((if bad(change.phase) { note.warning() } else { note }, None));
    }
    for pod in &change.batch {
        let state = |entry: &&PodProgress| entry.uid == pod.uid && entry.state == pod.state;
        if old.pods.iter().find(state).is_none() {
            notes.extend(pod_note(pod, &change.message).map(|note| (note, Some(pod.uid.clone()))));
        }
    }
    let word = change.reason;
    if !PROGRESS.contains(&word) && word != change.phase.word() {
        let note = Note::new(word, change.phase.word(), change.message.clone());
        let warns = BAD.contains(&word) || Code::ALL.iter().any(|code| code.reason() == word);
        notes.push((if warns { note.warning() } else { note }, None));
    }
    notes
}

fn bad(phase: Phase) -> bool {
    match phase {
        Phase::Failed | Phase::Recovering => true,
        Phase::Pending
        | Phase::Preparing
        | Phase::Restarting
        | Phase::WaitingRequests
        | Phase::Completed
        | Phase::Cancelled => false,
    }
}

/// A phase that is entered once per batch has a sentence that holds for all of them: the Event keeps its first.
fn phase_text(next: &RestartRequestStatus, change: &Change) -> String {
    let planned = next.plan.as_ref().map(|plan| plan.pods).filter(|_| !change.batch.is_empty());
    let at_a_time = next.resolved.as_ref().map(|resolved| format!(", at most {} at a time", resolved.max_parallel));
    match (change.phase, planned) {
        (Phase::Restarting, Some(pods)) => format!("replacing {pods} pods{}", at_a_time.unwrap_or_default()),
        (Phase::WaitingRequests, Some(_)) => "pods leave their Services and finish their requests".to_owned(),
        (Phase::Restarting | Phase::WaitingRequests, None)
        | (
            Phase::Pending | Phase::Preparing | Phase::Recovering | Phase::Completed | Phase::Failed | Phase::Cancelled,
            _,
        ) => change.message.clone(),
    }
}

/// What becomes of a pod; nothing yet while it serves or finishes its requests.
fn pod_note(pod: &PodProgress, message: &str) -> Option<Note> {
    let name = &pod.name;
    let (reason, text) = match pod.state {
        PodState::Chosen | PodState::Draining => return None,
        PodState::Drained => ("Drained", format!("{name} has answered all its requests and goes")),
        PodState::Overdue => {
            let text =
                format!("{name} goes although it has requests in flight after timeoutSeconds (onTimeout: Proceed)");
            return Some(Note::new("Overdue", "Evict", text).warning());
        }
        PodState::Forced => ("Forced", format!("{name} goes without a wait for its requests (force: true)")),
        PodState::Terminating => {
            ("DrainedByTermination", format!("{name} finishes its requests while it terminates: {message}"))
        }
        PodState::Expendable => ("Expendable", format!("{name} goes so that an old pod can come back")),
    };
    Some(Note::new(reason, "Evict", text))
}

fn count(ctx: &Context, facts: &Facts, old: &RestartRequestStatus, next: &RestartRequestStatus, change: &Change) {
    ctx.metrics.in_flight(facts.uid(), next.in_flight);
    hooks(ctx, old, next);
    if old.step == Some(Step::Draining) && change.step == Step::Evicting {
        drains(ctx, facts, change);
    }
    if old.phase == next.phase {
        return;
    }
    // Timestamps of the status: the phase may have been entered by another process.
    if let (Some(left), Some(since)) = (old.phase.filter(|phase| !phase.is_terminal()), phase_since(old)) {
        let seconds = Timestamp::now().duration_since(since).as_secs_f64().max(0.0);
        ctx.metrics.phase_left(left.word(), Duration::from_secs_f64(seconds));
    }
    // A request made anew with a known key is no restart: a commit that failed once alerts once.
    if change.phase.is_terminal() && change.reason != "AlreadyHandled" {
        ctx.metrics.request_finished(change.phase.word(), next.code.map_or("", Code::number));
    }
}

/// How long each pod of the batch was drained, by its sidecar's clock.
fn drains(ctx: &Context, facts: &Facts, change: &Change) {
    let reports = change.batch.iter().filter_map(|entry| facts.pod(&entry.uid)?.report.as_ref());
    for lease in reports.filter_map(|report| report.lease.as_ref()) {
        ctx.metrics.drained(Duration::from_millis(lease.draining_for_millis));
    }
}

/// Each hook's end is recorded once.
fn hooks(ctx: &Context, old: &RestartRequestStatus, next: &RestartRequestStatus) {
    for hook in next.hooks.iter().filter(|hook| !old.hooks.contains(hook)) {
        let result = match hook.state {
            HookState::Running => continue,
            HookState::Succeeded => "success",
            HookState::Failed | HookState::Ignored => failure_word(&hook.name, &hook.message),
        };
        ctx.metrics.hook(word(hook.time), result);
    }
}

/// When the present phase was entered: the first of the steps in it that came one after the other.
fn phase_since(status: &RestartRequestStatus) -> Option<Timestamp> {
    let steps = status.history.iter().rev().take_while(|entry| Some(entry.phase) == status.phase);
    steps.last().map(|entry| entry.started_at.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Plan;

    fn status(phase: Phase, batch: &[PodProgress]) -> RestartRequestStatus {
        RestartRequestStatus {
            phase: Some(phase),
            pods: batch.to_vec(),
            plan: Some(Plan { config_map: "plan".into(), pods: 3, late: vec![], again: None }),
            ..RestartRequestStatus::default()
        }
    }

    fn change(phase: Phase, step: Step, reason: &'static str, batch: &[PodProgress]) -> Change {
        Change { batch: batch.to_vec(), ..Change::new(phase, step, reason, "a sentence".into()) }
    }

    fn pod(name: &str, state: PodState) -> PodProgress {
        PodProgress { name: name.into(), uid: format!("uid of {name}"), state, unready: false }
    }

    /// Reason, whether it warns, and the pod.
    fn told(old: &RestartRequestStatus, change: &Change) -> Vec<(String, bool, Option<String>)> {
        let next = RestartRequestStatus { phase: Some(change.phase), pods: change.batch.clone(), ..old.clone() };
        notes(old, &next, change).into_iter().map(|(note, pod)| (note.reason, note.warning, pod)).collect()
    }

    #[test]
    fn a_phase_is_told_when_it_is_entered_and_a_step_inside_it_is_not() {
        let entered = change(Phase::Preparing, Step::Preparing, "Preparing", &[]);
        assert_eq!(told(&RestartRequestStatus::default(), &entered), [("Preparing".into(), false, None)]);
        let chosen = [pod("a", PodState::Chosen)];
        let old = status(Phase::Restarting, &[]);
        assert!(told(&old, &change(Phase::Restarting, Step::Surging, "Surging", &chosen)).is_empty());
    }

    #[test]
    fn a_failure_is_told_by_its_phase_and_by_its_code() {
        let old = status(Phase::WaitingRequests, &[]);
        let fails = change(Phase::Recovering, Step::Restoring, "DrainTimeout", &[]);
        assert_eq!(told(&old, &fails), [("Recovering".into(), true, None), ("DrainTimeout".into(), true, None)]);
        let restored = change(Phase::Recovering, Step::Restoring, "ConfigurationRestored", &[]);
        let told = told(&status(Phase::Recovering, &[]), &restored);
        assert_eq!(told, [("ConfigurationRestored".into(), false, None)], "good news is no warning");
    }

    #[test]
    fn each_pod_that_goes_is_told_once_under_its_own_name() {
        let before = [pod("a", PodState::Draining), pod("b", PodState::Drained)];
        let after = [pod("a", PodState::Drained), pod("b", PodState::Drained)];
        let old = status(Phase::Restarting, &before);
        let told = told(&old, &change(Phase::Restarting, Step::Evicting, "Evicting", &after));
        assert_eq!(told, [("Drained".into(), false, Some("uid of a".into()))]);
    }

    #[test]
    fn a_run_that_begins_anew_says_so_though_its_phase_is_the_same() {
        let again = Change { begins: true, ..change(Phase::Failed, Step::Finished, "TargetInvalid", &[]) };
        let told = told(&status(Phase::Failed, &[]), &again);
        assert_eq!(told.iter().map(|(reason, _, _)| reason.as_str()).collect::<Vec<_>>(), ["Failed", "TargetInvalid"]);
    }

    #[test]
    fn no_sentence_of_a_repeated_phase_names_a_pod() {
        let chosen = [pod("web-1", PodState::Chosen)];
        let next = status(Phase::Restarting, &chosen);
        let text = phase_text(&next, &change(Phase::Restarting, Step::Surging, "Surging", &chosen));
        assert_eq!(text, "replacing 3 pods");
    }

    #[test]
    fn a_phase_lasts_from_the_first_of_its_steps() {
        let entry = |phase, second: i64| crate::api::HistoryEntry {
            phase,
            reason: String::new(),
            message: String::new(),
            started_at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::from_second(second).unwrap()),
            finished_at: None,
            pods: vec![],
            merged: None,
        };
        let history = vec![
            entry(Phase::Restarting, 1),
            entry(Phase::WaitingRequests, 2),
            entry(Phase::Restarting, 5),
            entry(Phase::Restarting, 9),
        ];
        let status = RestartRequestStatus { history, ..status(Phase::Restarting, &[]) };
        assert_eq!(phase_since(&status), Some(Timestamp::from_second(5).unwrap()));
    }
}
