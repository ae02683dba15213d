//! The gate: are the workload's own pods all there, available and serving?
//!
//! **Invariant:** never judged by the Deployment's `availableReplicas` or `generation`, which an autoscaler and our own
//! detaching move (DESIGN 3, cases decided).

use crate::api::{Step, TargetKind};
use crate::controller::facts::{Facts, PodFacts};
use crate::controller::observe::ailments::{is_stuck, reason, said, way_out};
use crate::controller::observe::rollout::{Rollout, rollout};
use crate::controller::observe::{endpoints, pods};
use crate::controller::workload::Workload;
use crate::machine::{Attachment, Gate, Pod, Replacement, Role};

/// The gate, from the views of all pods.
#[must_use]
pub fn gate(facts: &Facts, pods: &[Pod]) -> Gate {
    let own: Vec<&Pod> = pods.iter().filter(|pod| pod.attachment == Attachment::Attached && pod.alive()).collect();
    // On the way forward a pod that failed twice is not trusted again; in recovery one that has healed is all that is asked.
    let recovering = facts.request.status.as_ref().is_some_and(|status| status.outcome.is_some());
    let suspects = own.iter().filter(|pod| pod.role == Role::New && !(recovering && pod.ready));
    if let Some(message) = suspects.into_iter().find_map(|pod| pod.broken.clone()) {
        return Gate::Failing(message);
    }
    let (excused, own): (Vec<&Pod>, Vec<&Pod>) = own.into_iter().partition(|pod| is_excused(facts, pod));
    missing(facts, &own, excused.len(), stopping(facts, pods)).map_or(Gate::Open, Gate::Waiting)
}

/// A pod that the run has passed over, and is not Ready, is not waited for; nor is one of the batch, which goes, and after a
/// failure one that is as it was when the run began.
fn is_excused(facts: &Facts, pod: &Pod) -> bool {
    let status = facts.request.status.as_ref();
    let goes_back = status.is_some_and(|status| status.step == Some(Step::Restoring));
    let chosen = status.is_some_and(|status| status.pods.iter().any(|entry| entry.uid == pod.uid));
    match pod.role {
        Role::PassedOver => !pod.ready,
        Role::Planned => !pod.ready && (chosen && !pod.cordoned() || goes_back && pod.unready_at_start),
        Role::New | Role::Again => false,
    }
}

/// How many pods were terminating when the run began, are so still, and leave their place empty for as long.
fn stopping(facts: &Facts, pods: &[Pod]) -> usize {
    let own = |pod: &&Pod| pod.attachment == Attachment::Attached && pod.role == Role::PassedOver && !pod.alive();
    match Workload::replacement(facts.workload.as_ref()) {
        Replacement::Anywhere => 0,
        Replacement::InPlace | Replacement::InOrder => pods.iter().filter(own).count(),
    }
}

/// What is missing until the workload's own pods are all there and serving, without a judgement of what went before;
/// `excused` others are there and need not serve, and `stopping` ones leave their places empty until they are gone.
pub fn missing(facts: &Facts, own: &[&Pod], excused: usize, stopping: usize) -> Option<String> {
    let Some(workload) = &facts.workload else { return Some("the workload does not exist".to_owned()) };
    let (wanted, there) = (workload.replicas(), own.len() + excused);
    if there > wanted || there + stopping < wanted {
        return Some(format!("{workload} has {there} of {wanted} pods{}", uncreated(facts, workload)));
    }
    let beyond = |pod: &&&Pod| facts.pod(&pod.uid).is_some_and(|of| workload.beyond(&of.pod.metadata));
    if let Some(pod) = own.iter().find(beyond) {
        return Some(format!("{workload} was scaled down and {} has not gone yet", pod.name));
    }
    let unready =
        own.iter().find_map(|pod| facts.pod(&pod.uid).and_then(|facts_of| why_not_serving(facts, facts_of, pod)));
    unready.or_else(|| unavailable(workload, wanted, excused + stopping))
}

fn why_not_serving(facts: &Facts, pod: &PodFacts, view: &Pod) -> Option<String> {
    if !view.ready {
        return Some(format!(
            "{} is not Ready{}",
            view.name,
            reason(facts, &pod.pod).map_or_else(String::new, |reason| format!(": {reason}"))
        ));
    }
    if view.told_unready {
        return Some(format!("{} has just told the kubelet that it is not ready", view.name));
    }
    let service = endpoints::missing_in(&facts.surroundings, pod)?;
    Some(format!("Service {service} does not show {} ready yet", view.name))
}

/// Why no pod is created, such as a quota: a `ReplicaSet` says it in a condition, the other kinds in events alone.
fn uncreated(facts: &Facts, workload: &Workload) -> String {
    let newest = match workload {
        Workload::Deployment { newest, .. } => newest.as_ref(),
        Workload::StatefulSet(_) => {
            return format!("; kubectl describe statefulset {} says what keeps the others", workload.name());
        }
        Workload::DaemonSet { .. } => {
            return format!("; kubectl describe daemonset {} says what keeps the others", workload.name());
        }
    };
    let conditions =
        newest.and_then(|set| set.status.as_ref()).into_iter().flat_map(|status| status.conditions.iter().flatten());
    let mut failures = conditions.filter(|one| one.type_ == "ReplicaFailure" && one.status == "True");
    let message = failures.find_map(|failure| failure.message.as_ref());
    message.map_or_else(String::new, |message| format!(": {message}{}", way_out(facts)))
}

/// `minReadySeconds`, as the workload's own controller counts it; `excused` pods need not be available.
fn unavailable(workload: &Workload, wanted: usize, excused: usize) -> Option<String> {
    let available = workload.available()?;
    (available + excused < wanted).then(|| format!("{available} of {wanted} pods have been Ready for minReadySeconds"))
}

/// What the restart has to wait for before it begins: a rollout of the workload's own, a pod that is starting, or one too
/// many that is about to be deleted.
#[must_use]
pub fn unsettled(facts: &Facts) -> Option<String> {
    let rollout = facts.workload.as_ref().map(|workload| rollout(workload, &facts.pods));
    let rollout = rollout.and_then(|rollout| match rollout {
        Rollout::UnderWay(message) => Some(message),
        Rollout::Settled | Rollout::Stopped(_) => None,
    });
    rollout.or_else(|| starting(facts)).or_else(|| surplus(facts))
}

fn phase(pod: &PodFacts) -> Option<&str> {
    pod.pod.status.as_ref().and_then(|status| status.phase.as_deref())
}

fn starting(facts: &Facts) -> Option<String> {
    let starting = |pod: &&PodFacts| {
        !pod.terminating()
            && matches!(phase(pod), None | Some("Pending"))
            && !pods::foreign(facts, pod)
            && !is_stuck(facts, &pod.pod)
    };
    let pod = facts.pods.iter().find(starting)?;
    let said = said(facts, &pod.pod).map_or_else(String::new, |said| format!(": {said}"));
    Some(format!("waiting for Pod {} to start{said}", pod.name()))
}

/// Pods beyond `replicas`: listed, they would be old pods that the ReplicaSet deletes whatever the run does.
fn surplus(facts: &Facts) -> Option<String> {
    let workload = facts.workload.as_ref().filter(|workload| workload.kind() != TargetKind::DaemonSet)?;
    let counts = |pod: &&PodFacts| {
        !pod.terminating() && !matches!(phase(pod), Some("Succeeded" | "Failed")) && pods::attached(facts, pod)
    };
    let (own, wanted) = (facts.pods.iter().filter(counts).count(), workload.replicas());
    (own > wanted).then(|| format!("waiting until {workload}, which has {own} pods, is down to its {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RestartRequest;
    use crate::controller::config::Restart;
    use crate::controller::facts::Surroundings;
    use crate::controller::memory::Run;
    use crate::controller::observe::resolve::resolve;
    use serde_json::json;
    use std::time::Instant;

    /// A StatefulSet of three, and its pods in these phases; one that ends is told to go.
    fn facts(phases: &[&str]) -> Facts {
        let set = json!({
            "metadata": {"name": "db", "uid": "set", "generation": 1},
            "spec": {"replicas": 3, "selector": {}, "template": {}},
            "status": {"replicas": 3, "availableReplicas": 2, "currentRevision": "a", "updateRevision": "a", "observedGeneration": 1},
        });
        let workload = Workload::StatefulSet(Box::new(serde_json::from_value(set).unwrap()));
        let request = json!({"metadata": {"name": "one"}, "spec": {"targetRef": {"kind": "StatefulSet", "name": "db"}, "reason": "test"}});
        let request: RestartRequest = serde_json::from_value(request).unwrap();
        let resolved = resolve(&request.spec, &Restart::default(), Some(&workload), &Surroundings::default());
        let pod = |(index, phase): (usize, &&str)| {
            let pod = json!({
                "metadata": {
                    "name": format!("db-{index}"), "uid": index.to_string(), "labels": {"controller-revision-hash": "a"},
                    "deletionTimestamp": (*phase == "ends").then_some("2026-01-01T00:00:00Z"),
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "set", "controller": true}],
                },
                "status": {"phase": if *phase == "ends" { "Running" } else { phase }},
            });
            serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap().into()
        };
        let pods = phases.iter().enumerate().map(pod).collect();
        Facts { pods, ..Facts::new("shop", request, Some(workload), resolved) }
    }

    /// Three pods of a StatefulSet: Ready or not, and what the run has done with each.
    fn judged(step: &str, pods: &[(bool, Role)]) -> Gate {
        let mut facts = facts(&["Running"; 3][..pods.len()]);
        facts.request.status = serde_json::from_value(json!({"phase": "Restarting", "step": step})).unwrap();
        let view = |(index, (ready, role)): (usize, &(bool, Role))| {
            let (run, now) = (&mut Run::default(), Instant::now());
            let view = pods::view(&facts, &facts.pods[index], &[], run, now);
            Pod { ready: *ready, role: *role, unready_at_start: true, ..view }
        };
        let views: Vec<Pod> = pods.iter().enumerate().map(view).collect();
        gate(&facts, &views)
    }

    #[test]
    fn what_was_passed_over_holds_up_nothing_and_what_is_to_be_replaced_does() {
        let (well, new) = ((true, Role::Planned), (true, Role::New));
        assert_eq!(judged("Reserving", &[well, new, (false, Role::PassedOver)]), Gate::Open);
        assert!(matches!(judged("Reserving", &[well, new, (false, Role::Planned)]), Gate::Waiting(_)));
        assert!(matches!(judged("Reserving", &[well, new, (false, Role::New)]), Gate::Waiting(_)));
        assert_eq!(judged("Restoring", &[well, new, (false, Role::Planned)]), Gate::Open, "it is as it was");
        assert!(matches!(judged("Reserving", &[well, new]), Gate::Waiting(_)), "a pod is missing");
    }

    #[test]
    fn a_restart_waits_for_a_pod_that_starts_and_for_one_too_many_to_go() {
        let run = ["Running"; 3];
        assert_eq!(unsettled(&facts(&run)), None);
        assert!(
            unsettled(&facts(&[&run[1..], &["Pending"]].concat())).is_some_and(|why| why.contains("db-2 to start"))
        );
        let down = unsettled(&facts(&[&run[..], &["Running"]].concat())).unwrap();
        assert_eq!(down, "waiting until StatefulSet db, which has 4 pods, is down to its 3");
        for over in ["ends", "Succeeded", "Failed"] {
            assert_eq!(unsettled(&facts(&[&run[..], &[over]].concat())), None, "{over}");
        }
    }
}
