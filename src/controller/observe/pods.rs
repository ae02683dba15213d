//! The machine's view of a pod, from the object, the slices and the sidecar's report.
//!
//! **Invariant:** pure but for the run's memory of its own clock; an answer that is missing is `Unknown`, never zero.

use crate::api::{PodProgress, PodState, names};
use crate::controller::facts::{Facts, List, PodFacts};
use crate::controller::memory::Run;
use crate::controller::observe::{ailments, endpoints, seconds};
use crate::controller::workload::Workload;
use crate::machine::{self, Attachment, Drain, PlannedPod, Role};
use crate::wire::InFlightReport;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use std::time::{Duration, Instant};

/// A lease with less than this is renewed by a pass, if `leases` could not do it before: 30 s granted, renewed every 10 s
/// (DESIGN 3.7).
const RENEW_BELOW: Duration = Duration::from_secs(15);
/// The longest quiet window, and the one for a pod that has seen no request lately (DESIGN 3.7).
const LONGEST_QUIET: Duration = Duration::from_secs(15);
/// What a kubelet is granted beyond the grace period, to report that a pod is gone.
const TERMINATION_SLACK: Duration = Duration::from_secs(30);
/// What a sidecar that does not answer is granted beyond `timeoutSeconds`, for the call itself.
const SILENCE_SLACK: Duration = Duration::from_secs(5);

/// The machine's view of one pod.
pub fn view(facts: &Facts, pod: &PodFacts, batch: &[PodProgress], run: &mut Run, now: Instant) -> machine::Pod {
    let in_slices = endpoints::in_any(&facts.surroundings, pod.uid());
    let role = role(facts, pod.uid());
    let batch: Vec<&str> = batch.iter().map(|progress| progress.uid.as_str()).collect();
    let restarts = restarts(&pod.pod);
    let node = pod.pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    machine::Pod {
        name: pod.name().to_owned(),
        uid: pod.uid().to_owned(),
        version: pod.pod.metadata.resource_version.clone().unwrap_or_default(),
        role,
        attachment: attachment(facts, &pod.pod),
        leaving: node.is_some_and(|node| facts.leaving_nodes.contains(node)),
        scheduled: node.is_some(),
        ready: is_ready(&pod.pod),
        told_unready: pod.report.as_ref().is_some_and(|said| said.lease.is_none() && said.last_probe == Some(false)),
        terminating: pod.terminating(),
        in_slices,
        last_endpoint: batch.contains(&pod.uid()) && endpoints::last(&facts.surroundings, pod, &batch),
        drain: drain(facts, pod, in_slices, run, now),
        expendable: annotation(&pod.pod, names::DELETION_COST) == Some(names::LOWEST_COST),
        restarts,
        restarted: restarts > listed(facts, pod.uid()).map_or(0, |listed| listed.restarts),
        lapsed: false,
        broken: broken(&pod.pod),
        unready_at_start: listed(facts, pod.uid()).is_some_and(|listed| listed.unready),
        unreachable: node.is_some_and(|node| facts.lost_nodes.contains(node)) || is_stuck_terminating(pod, run, now),
        ailment: ailments::ailment(facts, &pod.pod),
    }
}

/// It has been seen terminating for longer than its grace period; this process's clock is asked, not the API server's.
fn is_stuck_terminating(pod: &PodFacts, run: &mut Run, now: Instant) -> bool {
    if !pod.terminating() {
        return false;
    }
    let grace = u64::try_from(pod.pod.metadata.deletion_grace_period_seconds.unwrap_or(30)).unwrap_or(0);
    run.terminating_for(pod.uid(), now) >= Duration::from_secs(grace) + TERMINATION_SLACK
}

fn role(facts: &Facts, uid: &str) -> Role {
    let lists = |list: &List| list.pods().iter().any(|planned| planned.uid == uid);
    let plan = facts.request.status.as_ref().and_then(|status| status.plan.as_ref());
    if lists(&facts.again) {
        Role::Again
    } else if listed(facts, uid).is_some_and(|listed| listed.passed_over) {
        Role::PassedOver
    } else if lists(&facts.plan) || plan.is_some_and(|plan| plan.late.iter().any(|late| late == uid)) {
        Role::Planned
    } else {
        Role::New
    }
}

fn listed<'a>(facts: &'a Facts, uid: &str) -> Option<&'a PlannedPod> {
    facts.plan.pods().iter().find(|planned| planned.uid == uid)
}

/// The workload's selector selects the pod, and another workload has it.
#[must_use]
pub fn foreign(facts: &Facts, pod: &PodFacts) -> bool {
    attachment(facts, &pod.pod) == Attachment::Foreign
}

/// Whether the pod is the workload's, and was not taken out.
#[must_use]
pub fn attached(facts: &Facts, pod: &PodFacts) -> bool {
    attachment(facts, &pod.pod) == Attachment::Attached
}

fn attachment(facts: &Facts, pod: &Pod) -> Attachment {
    attached_to(facts.workload.as_ref(), facts.workload_uid(), pod)
}

/// Whose the pod is, by its controller reference. Without the workload, what it has detached is still told by its UID.
fn attached_to(workload: Option<&Workload>, workload_uid: &str, pod: &Pod) -> Attachment {
    let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let Some(owner) = owner else { return Attachment::Foreign };
    if Some(owner.uid.as_str()) == workload.and_then(Workload::owner) {
        Attachment::Attached
    } else if owner.uid == workload_uid && annotation(pod, names::DETACHED_HASH).is_some() {
        Attachment::Detached
    } else {
        Attachment::Foreign
    }
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The pod's condition Ready.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    holds(pod, "Ready")
}

/// What its kubelet says of its containers, whatever the node's controller says of the pod.
#[must_use]
pub fn are_containers_ready(pod: &Pod) -> bool {
    holds(pod, "ContainersReady")
}

fn holds(pod: &Pod, kind: &str) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    })
}

fn restarts(pod: &Pod) -> i32 {
    containers(pod).map(|container| container.restart_count).sum()
}

/// What a container said that exited twice: a replacement like that is given up at once (RESTART_006).
fn broken(pod: &Pod) -> Option<String> {
    containers(pod).find(|container| exits(container) >= 2).map(|container| {
        let last = container.state.iter().chain(&container.last_state).find_map(|state| state.terminated.as_ref());
        let said = last.map_or_else(String::new, |end| format!(", exit code {}", end.exit_code));
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        format!(
            "container {} of {name} exited {} times{said}; see kubectl logs {name} -c {}",
            container.name,
            exits(container),
            container.name
        )
    })
}

fn exits(container: &ContainerStatus) -> i32 {
    let ended = container.state.as_ref().is_some_and(|state| {
        state.terminated.is_some()
            || state.waiting.as_ref().is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
    });
    container.restart_count + i32::from(ended)
}

/// What the sidecar's report means for the drain.
fn drain(facts: &Facts, pod: &PodFacts, in_slices: bool, run: &mut Run, now: Instant) -> Drain {
    if !pod.asked {
        return Drain::Open;
    }
    let evidence = evidence(facts, pod.uid());
    if evidence == Evidence::Past && never_started(&pod.pod) {
        return Drain::Unknown { overdue: true };
    }
    let limits = Limits::new(facts, pod.report.as_ref(), evidence);
    let Some(report) = &pod.report else { return silent(pod, &limits, run, now) };
    let Some(lease) = &report.lease else {
        run.gone_for(pod.uid(), true, now);
        if run.refuses(pod.uid(), report) {
            return silent(pod, &limits, run, now);
        }
        run.answered(pod.uid());
        return Drain::Open;
    };
    run.answered(pod.uid());
    let draining_for = Duration::from_millis(lease.draining_for_millis).max(run.draining_for(pod.uid(), now));
    let gone_for = run.gone_for(pod.uid(), in_slices, now);
    Drain::Cordoned {
        stale: Duration::from_millis(lease.remaining_millis) < RENEW_BELOW,
        in_flight: report.in_flight,
        quiet: limits.is_quiet(report, draining_for, gone_for),
        overdue: draining_for >= limits.shortest + limits.timeout,
    }
}

/// None of its app's containers has ever run: no request can have come, and its sidecar need not be asked.
fn never_started(pod: &Pod) -> bool {
    let statuses = pod.status.iter().filter_map(|status| status.container_statuses.as_ref()).flatten();
    let has_run = |container: &ContainerStatus| {
        let ran = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
        container.restart_count > 0 || container.state.iter().chain(&container.last_state).any(ran)
    };
    !statuses.into_iter().any(has_run)
}

/// A sidecar that does not answer, or that answers and refuses to obey: after `timeoutSeconds` it is not waited for.
fn silent(pod: &PodFacts, limits: &Limits, run: &mut Run, now: Instant) -> Drain {
    let silent_for = run.silent_for(pod.uid(), now);
    Drain::Unknown { overdue: silent_for >= limits.timeout + limits.shortest + SILENCE_SLACK }
}

/// How much evidence is asked for that nothing more comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// The quiet window, out of all Services.
    Whole,
    /// `quietSeconds`: a replacement that goes so that an old pod can come back. Its own termination drains what comes later.
    Brief,
    /// `quietSeconds` since the last request, whenever that was: a pod that was not Ready when the run began has been sent
    /// nothing new for a while.
    Past,
}

fn evidence(facts: &Facts, uid: &str) -> Evidence {
    let mut pods = facts.request.status.iter().flat_map(|status| &status.pods);
    match pods.find(|entry| entry.uid == uid) {
        Some(entry) if entry.unready => Evidence::Past,
        Some(entry) if entry.state == PodState::Expendable => Evidence::Brief,
        Some(_) | None => Evidence::Whole,
    }
}

/// The waits of one pod's drain.
struct Limits {
    quiet: Duration,
    shortest: Duration,
    timeout: Duration,
    evidence: Evidence,
}

impl Limits {
    fn new(facts: &Facts, report: Option<&InFlightReport>, evidence: Evidence) -> Self {
        let (asked, shortest) = (seconds(facts.resolved.quiet_seconds), seconds(facts.resolved.min_seconds));
        let window = quiet_window(report.and_then(|report| report.mean_gap_millis), asked);
        let (quiet, shortest) = match evidence {
            Evidence::Whole => (window, shortest),
            Evidence::Brief => (asked, shortest),
            Evidence::Past => (asked, Duration::ZERO),
        };
        let timeout = seconds(facts.resolved.timeout_seconds).max(quiet + Duration::from_secs(1));
        Self { quiet, shortest, timeout, evidence }
    }

    /// Whether there has been no new request for long enough.
    fn is_quiet(&self, report: &InFlightReport, draining_for: Duration, gone_for: Duration) -> bool {
        let last = report.last_arrival_ago_millis.map(Duration::from_millis);
        match self.evidence {
            Evidence::Past => last.is_none_or(|last| last >= self.quiet),
            Evidence::Whole | Evidence::Brief => {
                gone_for.min(last.unwrap_or(draining_for)) >= self.quiet && draining_for >= self.shortest
            }
        }
    }
}

/// Five mean gaps between requests, at least what was asked for, at most 15 s: two seconds prove nothing where requests
/// are rarer than that; without a gap to go by, 15 s (DESIGN 3.7).
fn quiet_window(mean_gap_millis: Option<u64>, asked: Duration) -> Duration {
    let longest = LONGEST_QUIET.max(asked);
    mean_gap_millis.map_or(longest, |gap| Duration::from_millis(gap.saturating_mul(5)).clamp(asked, longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{RestartRequest, Step};
    use crate::controller::config::Restart;
    use crate::controller::facts::Surroundings;
    use crate::controller::observe::resolve::resolve;
    use serde_json::json;

    #[test]
    fn the_quiet_window_follows_the_traffic() {
        let (two, fifteen) = (Duration::from_secs(2), Duration::from_secs(15));
        assert_eq!(quiet_window(Some(10), two), two);
        assert_eq!(quiet_window(Some(1_000), two), Duration::from_secs(5));
        assert_eq!(quiet_window(Some(60_000), two), fifteen);
        assert_eq!(quiet_window(None, two), fifteen);
        assert_eq!(quiet_window(Some(10), Duration::from_secs(20)), Duration::from_secs(20));
    }

    fn facts(unready: bool) -> Facts {
        facts_of("Draining", unready)
    }

    fn facts_of(state: &str, unready: bool) -> Facts {
        let request = json!({
            "metadata": {"name": "one"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test", "timeoutSeconds": 10},
            "status": {"phase": "WaitingRequests", "step": "Draining",
                "pods": [{"name": "a", "uid": "a", "state": state, "unready": unready}]},
        });
        let request: RestartRequest = serde_json::from_value(request).unwrap();
        let resolved = resolve(&request.spec, &Restart::default(), None, &Surroundings::default());
        Facts::new("shop", request, None, resolved)
    }

    fn asked(report: Option<serde_json::Value>) -> PodFacts {
        let status = json!({"containerStatuses": [{"name": "app", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"running": {}}}]});
        let pod = serde_json::from_value(json!({"metadata": {"name": "a", "uid": "a"}, "status": status})).unwrap();
        let report = report.map(|report| serde_json::from_value(report).unwrap());
        PodFacts { pod, asked: true, report, silence: String::new() }
    }

    fn report(lease: &serde_json::Value) -> serde_json::Value {
        json!({"version": 1, "podUid": "a", "boot": "1", "challenge": "", "trustedKeys": ["old"], "inFlight": 0,
            "terminating": false, "lease": lease})
    }

    /// findings-controller 14: the silence in Surging used up the drain's timeoutSeconds.
    #[test]
    fn a_short_silence_before_the_drain_uses_up_nothing_of_it() {
        let (facts, mut run, start) = (facts(false), Run::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        run.in_step(Step::Surging, start);
        assert_eq!(drain(&facts, &asked(None), true, &mut run, after(4)), Drain::Unknown { overdue: false });
        assert_eq!(drain(&facts, &asked(Some(report(&json!(null)))), true, &mut run, after(7)), Drain::Open);
        run.in_step(Step::Draining, after(20));
        let lease = json!({"remainingMillis": 30_000, "drainingForMillis": 100, "newRequests": "Serve"});
        let drained = drain(&facts, &asked(Some(report(&lease))), true, &mut run, after(21));
        assert!(matches!(drained, Drain::Cordoned { overdue: false, .. }), "{drained:?}");
        let drained = drain(&facts, &asked(Some(report(&lease))), true, &mut run, after(60));
        assert!(matches!(drained, Drain::Cordoned { overdue: true, .. }), "the drain's own clock goes on: {drained:?}");
    }

    /// findings-controller 2: it answered that it holds no lease, and was asked to take one for ever.
    #[test]
    fn a_sidecar_that_refuses_is_as_one_that_does_not_answer() {
        let (facts, mut run, start) = (facts(false), Run::default(), Instant::now());
        let answer = || asked(Some(report(&json!(null))));
        run.in_step(Step::Draining, start);
        assert_eq!(drain(&facts, &answer(), true, &mut run, start), Drain::Open);
        run.refused("a", answer().report.as_ref().unwrap());
        let soon = start + Duration::from_secs(1);
        assert_eq!(drain(&facts, &answer(), true, &mut run, soon), Drain::Unknown { overdue: false });
        let late = soon + Duration::from_secs(60);
        assert_eq!(drain(&facts, &answer(), true, &mut run, late), Drain::Unknown { overdue: true });
    }

    #[test]
    fn a_pod_that_was_not_ready_when_the_run_began_is_quiet_as_soon_as_it_is_idle() {
        let (mut run, start) = (Run::default(), Instant::now());
        run.in_step(Step::Draining, start);
        let lease = json!({"remainingMillis": 30_000, "drainingForMillis": 100, "newRequests": "Serve"});
        let mut seen = |unready: bool, last: serde_json::Value| {
            let mut report = report(&lease);
            report["lastArrivalAgoMillis"] = last;
            match drain(&facts(unready), &asked(Some(report)), false, &mut run, start) {
                Drain::Cordoned { quiet, .. } => quiet,
                other => panic!("{other:?}"),
            }
        };
        assert!(seen(true, json!(null)) && seen(true, json!(5_000)));
        assert!(!seen(true, json!(500)), "quietSeconds are asked for");
        assert!(!seen(false, json!(null)) && !seen(false, json!(5_000)), "others have just left their Services");
        let never = PodFacts { pod: serde_json::from_value(json!({"metadata": {"uid": "a"}})).unwrap(), ..asked(None) };
        assert_eq!(drain(&facts(true), &never, false, &mut run, start), Drain::Unknown { overdue: true });
    }

    #[test]
    fn a_replacement_that_makes_room_for_an_old_pod_need_be_quiet_for_quiet_seconds_alone() {
        let quiet = |state: &str, seconds: u64| {
            let (mut run, start) = (Run::default(), Instant::now());
            run.in_step(Step::Restoring, start);
            let lease =
                json!({"remainingMillis": 30_000, "drainingForMillis": seconds * 1_000, "newRequests": "Serve"});
            let answer = asked(Some(report(&lease)));
            drain(&facts_of(state, false), &answer, false, &mut run, start);
            match drain(&facts_of(state, false), &answer, false, &mut run, start + Duration::from_secs(seconds)) {
                Drain::Cordoned { quiet, .. } => quiet,
                other => panic!("{other:?}"),
            }
        };
        assert!(quiet("Expendable", 2) && !quiet("Expendable", 1));
        assert!(quiet("Draining", 15) && !quiet("Draining", 14), "no request has told how often they come");
    }

    #[test]
    fn a_pod_that_is_terminating_for_longer_than_its_grace_period_is_not_awaited() {
        let (mut run, start) = (Run::default(), Instant::now());
        let metadata =
            json!({"uid": "a", "deletionTimestamp": "2026-11-29T10:00:00Z", "deletionGracePeriodSeconds": 40});
        let pod = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let pod = PodFacts { pod, ..asked(None) };
        assert!(!is_stuck_terminating(&pod, &mut run, start));
        assert!(!is_stuck_terminating(&pod, &mut run, start + Duration::from_secs(69)));
        assert!(is_stuck_terminating(&pod, &mut run, start + Duration::from_secs(70)));
        assert!(!is_stuck_terminating(&asked(None), &mut run, start));
    }

    #[test]
    fn a_pod_is_its_controllers_whatever_its_revision() {
        let pod = |owner: &str, detached: bool| -> Pod {
            let annotations = if detached { json!({names::DETACHED_HASH: "old"}) } else { json!({}) };
            let owner =
                json!({"apiVersion": "apps/v1", "kind": "Any", "name": "any", "uid": owner, "controller": true});
            serde_json::from_value(json!({
                "metadata": {"name": "p", "annotations": annotations, "ownerReferences": [owner],
                    "labels": {names::CONTROLLER_REVISION_HASH: "another"}},
            }))
            .unwrap()
        };
        let set = serde_json::from_value(json!({"metadata": {"name": "db", "uid": "set"}})).unwrap();
        let set = Workload::StatefulSet(Box::new(set));
        assert_eq!(attached_to(Some(&set), "set", &pod("set", false)), Attachment::Attached);
        assert_eq!(attached_to(Some(&set), "set", &pod("other", false)), Attachment::Foreign);
        let deployment = Workload::Deployment {
            deployment: Box::new(serde_json::from_value(json!({"metadata": {"uid": "web"}})).unwrap()),
            newest: Some(Box::new(serde_json::from_value(json!({"metadata": {"uid": "rs"}})).unwrap())),
            others: vec![],
        };
        assert_eq!(attached_to(Some(&deployment), "web", &pod("rs", false)), Attachment::Attached);
        assert_eq!(attached_to(Some(&deployment), "web", &pod("web", true)), Attachment::Detached);
        assert_eq!(attached_to(Some(&deployment), "web", &pod("web", false)), Attachment::Foreign);
        assert_eq!(attached_to(Some(&deployment), "web", &pod("older rs", false)), Attachment::Foreign);
        assert_eq!(attached_to(None, "web", &pod("web", true)), Attachment::Detached, "the workload is gone");
    }

    #[test]
    fn a_container_that_exited_twice_is_broken_and_one_that_exited_once_is_not() {
        let pod = |restarts: i32, waiting: &str| -> Pod {
            let state = json!({"waiting": {"reason": waiting}});
            let container = json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": restarts, "state": state});
            serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}))
                .unwrap()
        };
        assert!(broken(&pod(1, "CrashLoopBackOff")).is_some());
        assert!(broken(&pod(2, "ContainerCreating")).is_some());
        assert!(broken(&pod(0, "CrashLoopBackOff")).is_none());
        assert!(broken(&pod(1, "ContainerCreating")).is_none());
    }
}
