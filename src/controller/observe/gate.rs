//! The gate: are the workload's own pods all there, available and serving?
//!
//! **Invariant:** never judged by the Deployment's `availableReplicas` or `generation`, which an autoscaler and our own
//! detaching move (DESIGN 3, cases decided).

use crate::controller::facts::{Facts, PodFacts};
use crate::controller::observe::endpoints;
use crate::machine::{Attachment, Gate, Pod, Role};

const NO_ROOM: &str = "strategy Rolling needs no room for one more pod";

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
    missing(facts, &own).map_or(Gate::Open, Gate::Waiting)
}

/// What is missing, if anything is.
fn missing(facts: &Facts, own: &[&Pod]) -> Option<String> {
    let wanted = replicas(facts);
    if own.len() != wanted {
        let why = failure(facts).map_or_else(String::new, |why| format!(": {why}"));
        return Some(format!("the workload has {} of {wanted} pods{why}", own.len()));
    }
    let unready =
        own.iter().find_map(|pod| facts.pod(&pod.uid).and_then(|facts_of| why_not_serving(facts, facts_of, pod)));
    unready.or_else(|| unavailable(facts, wanted))
}

/// `spec.replicas` of the workload.
#[must_use]
pub fn replicas(facts: &Facts) -> usize {
    let deployment = facts.workload.as_ref().and_then(|workload| workload.deployment.spec.as_ref());
    deployment.and_then(|spec| spec.replicas).map_or(1, |replicas| usize::try_from(replicas).unwrap_or(0))
}

fn why_not_serving(facts: &Facts, pod: &PodFacts, view: &Pod) -> Option<String> {
    if !view.ready {
        return Some(format!(
            "{} is not Ready{}",
            view.name,
            said(pod).map_or_else(String::new, |said| format!(": {said}"))
        ));
    }
    let service = endpoints::missing_in(&facts.surroundings, pod)?;
    Some(format!("Service {service} does not show {} ready yet", view.name))
}

/// The cluster's own words on why a pod does not start: the scheduler's, or the kubelet's.
fn said(pod: &PodFacts) -> Option<String> {
    let status = pod.pod.status.as_ref()?;
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(message) = unscheduled.and_then(|condition| condition.message.clone()) {
        return Some(format!("{message}; {NO_ROOM}"));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let waiting = containers
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .find(|waiting| waiting.reason.is_some())?;
    let reason = waiting.reason.clone().unwrap_or_default();
    Some(waiting.message.as_ref().map_or_else(|| reason.clone(), |message| format!("{reason}: {message}")))
}

/// Why the `ReplicaSet` creates no pod, such as a quota.
fn failure(facts: &Facts) -> Option<String> {
    let status = facts.replica_set()?.status.as_ref()?;
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    condition.message.as_ref().map(|message| format!("{message}; {NO_ROOM}"))
}

/// `minReadySeconds`, as the `ReplicaSet` counts it: it counts its own pods only.
fn unavailable(facts: &Facts, wanted: usize) -> Option<String> {
    let status = facts.replica_set()?.status.as_ref()?;
    let available = usize::try_from(status.available_replicas.unwrap_or(0)).unwrap_or(0);
    (available < wanted).then(|| format!("{available} of {wanted} pods have been Ready for minReadySeconds"))
}

/// What the restart has to wait for before it begins: a rollout of the workload's own, or a pod that is starting.
#[must_use]
pub fn unsettled(facts: &Facts) -> Option<String> {
    let starting = |pod: &&PodFacts| {
        let phase = pod.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        !pod.terminating() && matches!(phase, None | Some("Pending"))
    };
    rollout_under_way(facts).or_else(|| {
        let pod = facts.pods.iter().find(starting)?;
        let said = said(pod).map_or_else(String::new, |said| format!(": {said}"));
        Some(format!("waiting for Pod {} to start{said}", pod.name()))
    })
}

/// The pods of the workload that its Deployment counts under another `ReplicaSet` than the newest.
fn rollout_under_way(facts: &Facts) -> Option<String> {
    let workload = facts.workload.as_ref()?;
    let (metadata, status) = (&workload.deployment.metadata, workload.deployment.status.as_ref());
    let name = metadata.name.as_deref().unwrap_or_default();
    let seen = status.and_then(|status| status.observed_generation).unwrap_or(0);
    let old: i32 = workload.others.iter().filter_map(|set| set.status.as_ref()).map(|status| status.replicas).sum();
    let newest = workload.newest.as_ref().and_then(|set| set.spec.as_ref()).and_then(|spec| spec.replicas).unwrap_or(0);
    let behind = seen < metadata.generation.unwrap_or(0) || usize::try_from(newest).unwrap_or(0) != replicas(facts);
    (old > 0 || behind || workload.newest.is_none())
        .then(|| format!("waiting for the rollout of Deployment {name} that is under way ({old} old pods)"))
}
