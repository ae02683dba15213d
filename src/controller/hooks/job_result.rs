//! What a hook's Job has come to, as its conditions and its pods say.
//!
//! **Invariant:** only the conditions Complete and Failed end it; pods are looked at for the sentence alone.

use super::{EXCERPT, excerpt, limit, timed_out};
use crate::api::Hook;
use crate::machine::HookRun;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use std::time::Duration;

/// What Kubernetes is given beyond the hook's own time to say that the time is over.
const SLACK: Duration = Duration::from_secs(10);

/// What the Job says, known for so long; `waiting` is what its pods were last seen waiting for.
#[must_use]
pub fn result(hook: &Hook, job: &Job, pods: &[Pod], known_for: Duration, waiting: &str) -> HookRun {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let said = said(pods).or_else(|| (!waiting.is_empty()).then(|| waiting.to_owned()));
    let said = said.or_else(|| no_pod(job, pods));
    let also = said.map(|said| format!("; {said}")).unwrap_or_default();
    if condition(job, "Complete").is_some() {
        return HookRun::Succeeded;
    }
    let late = || HookRun::Failed(format!("{} (Job {name}){also}", timed_out(limit(hook))));
    match condition(job, "Failed") {
        Some(failed) if failed.reason.as_deref() == Some("DeadlineExceeded") => late(),
        Some(failed) => {
            let (reason, message) =
                (failed.reason.as_deref().unwrap_or("Failed"), failed.message.as_deref().unwrap_or_default());
            HookRun::Failed(format!("Job {name}: {reason}: {}{also}", excerpt(message)))
        }
        None if known_for > limit(hook) + SLACK => late(),
        None => HookRun::Running,
    }
}

/// Admission refuses pods, not Jobs: only the Job's Events say so.
fn no_pod(job: &Job, pods: &[Pod]) -> Option<String> {
    let status = job.status.clone().unwrap_or_default();
    let never = pods.is_empty() && status.failed.unwrap_or(0) + status.active.unwrap_or(0) == 0;
    never.then(|| "no pod of it is there; kubectl describe job says why".to_owned())
}

fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// What some container waits for, such as an image that cannot be pulled.
#[must_use]
pub fn waiting(pods: &[Pod]) -> Option<String> {
    let waiting = |status: &ContainerStatus, state: ContainerState| {
        let waiting = state.waiting?;
        let reason =
            waiting.reason.filter(|reason| !["ContainerCreating", "PodInitializing"].contains(&reason.as_str()))?;
        Some(format!("container {}: {reason}: {}", status.name, excerpt(&waiting.message.unwrap_or_default())))
    };
    find(pods, waiting).or_else(|| pods.iter().find_map(unschedulable))
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let found = conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    Some(format!("no node takes its pod: {}", excerpt(found.message.as_deref().unwrap_or_default())))
}

/// What a container said that ended with an error.
fn said(pods: &[Pod]) -> Option<String> {
    find(pods, |status, state| {
        let ended = state.terminated.filter(|ended| ended.exit_code != 0)?;
        let said = tail(&ended.message.unwrap_or_default());
        let colon = if said.is_empty() { "" } else { ": " };
        Some(format!("container {} exited with code {}{colon}{said}", status.name, ended.exit_code))
    })
}

fn find(pods: &[Pod], look: impl Fn(&ContainerStatus, ContainerState) -> Option<String>) -> Option<String> {
    let status = pods.iter().filter_map(|pod| pod.status.as_ref());
    let mut all =
        status.flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten());
    all.find_map(|status| look(status, status.state.clone()?))
}

/// A message may be the end of the log, whose last words matter most.
fn tail(message: &str) -> String {
    let message = message.trim();
    let skipped = message.chars().count().saturating_sub(EXCERPT);
    excerpt(&message.chars().skip(skipped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn hook() -> Hook {
        serde_json::from_value(json!({"name": "check", "timeoutSeconds": 30})).unwrap()
    }

    fn job(condition: &str, reason: &str) -> Job {
        let conditions = if condition.is_empty() {
            json!([])
        } else {
            json!([{"type": condition, "status": "True", "reason": reason, "message": "why"}])
        };
        serde_json::from_value(json!({"metadata": {"name": "web-pre-check"}, "spec": {"template": {}}, "status": {"failed": 1, "conditions": conditions}})).unwrap()
    }

    fn pod(state: &Value) -> Pod {
        serde_json::from_value(json!({"status": {"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}})).unwrap()
    }

    fn soon(job: &Job, pods: &[Pod]) -> HookRun {
        result(&hook(), job, pods, Duration::ZERO, "")
    }

    #[test]
    fn only_the_conditions_complete_and_failed_end_a_hook() {
        assert_eq!(soon(&job("", ""), &[]), HookRun::Running);
        assert_eq!(soon(&job("SuccessCriteriaMet", ""), &[]), HookRun::Running);
        assert_eq!(soon(&job("FailureTarget", ""), &[]), HookRun::Running);
        assert_eq!(soon(&job("Complete", ""), &[]), HookRun::Succeeded);
        let failed = HookRun::Failed("Job web-pre-check: BackoffLimitExceeded: why".into());
        assert_eq!(soon(&job("Failed", "BackoffLimitExceeded"), &[]), failed);
    }

    #[test]
    fn a_failed_hook_says_what_its_container_said_last() {
        let long = format!("first words {}\nlast\twords\n", "x".repeat(300));
        let pod = pod(&json!({"terminated": {"exitCode": 3, "message": long}}));
        let HookRun::Failed(said) = soon(&job("Failed", "BackoffLimitExceeded"), &[pod]) else { panic!() };
        assert!(said.contains("; container main exited with code 3: xxx"), "{said}");
        assert!(said.ends_with(" last words") && !said.contains("first words"), "{said}");
    }

    #[test]
    fn a_hook_that_takes_too_long_says_what_it_waited_for() {
        let pod = pod(&json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}));
        let waiting = waiting(&[pod]).unwrap();
        assert_eq!(waiting, "container main: ImagePullBackOff: no such image");
        let said = "not over within 30 s (Job web-pre-check); container main: ImagePullBackOff: no such image";
        let late = result(&hook(), &job("Failed", "DeadlineExceeded"), &[], Duration::ZERO, &waiting);
        assert_eq!(late, HookRun::Failed(said.into()));
        let never_ended = result(&hook(), &job("", ""), &[], Duration::from_secs(41), &waiting);
        assert_eq!(never_ended, HookRun::Failed(said.into()));
    }
}
