//! What keeps a pod from being Ready, in the cluster's own words: its node's, the scheduler's, or the kubelet's.
//!
//! **Invariant:** pure; a pod that is merely starting has no ailment.

use crate::api::StrategyType;
use crate::controller::facts::Facts;
use crate::controller::observe::pods;
use k8s_openapi::api::core::v1::{ContainerStateWaiting, ContainerStatus, Pod, PodStatus};

/// Reasons for which the kubelet does not start a container until something changes. All others pass by themselves.
const STUCK: [&str; 9] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PostStartHookError",
];

/// What is said of a pod of which the cluster says no more.
pub const UNEXPLAINED: &str = "it is not Ready";

/// Why the pod is not Ready, for people; absent when it is.
#[must_use]
pub fn ailment(facts: &Facts, pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        let on = lost_node(facts, pod).map_or_else(String::new, |node| format!(" on node {node}, which is not Ready"));
        return Some(format!("it is terminating{on}"));
    }
    if pods::is_ready(pod) {
        return None;
    }
    Some(reason(facts, pod).unwrap_or_else(|| UNEXPLAINED.to_owned()))
}

/// Why a pod that is not Ready is so, if the cluster says it: its node is lost, or what [`said`] has.
#[must_use]
pub fn reason(facts: &Facts, pod: &Pod) -> Option<String> {
    let node = lost_node(facts, pod).map(|node| format!("its node {node} is not Ready"));
    node.or_else(|| said(facts, pod))
}

/// Whether something has to change before the pod can become Ready: waiting for it to start is in vain.
#[must_use]
pub fn is_stuck(facts: &Facts, pod: &Pod) -> bool {
    let waits_in_vain = |status: &PodStatus| {
        unscheduled(status).is_some() || waiting(status).any(|waiting| stuck(waiting.reason.as_deref()))
    };
    lost_node(facts, pod).is_some() || pod.status.as_ref().is_some_and(waits_in_vain)
}

fn stuck(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| STUCK.contains(&reason))
}

fn lost_node<'a>(facts: &Facts, pod: &'a Pod) -> Option<&'a str> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    facts.lost_nodes.iter().any(|lost| lost == node).then_some(node)
}

/// The scheduler's message, or what the kubelet says that a container waits for.
#[must_use]
pub fn said(facts: &Facts, pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(message) = unscheduled(status) {
        return Some(format!("{message}{}", way_out(facts)));
    }
    let waiting = waiting(status).find(|waiting| waiting.reason.is_some())?;
    let reason = waiting.reason.clone().unwrap_or_default();
    Some(waiting.message.as_ref().map_or_else(|| reason.clone(), |message| format!("{reason}: {message}")))
}

fn unscheduled(status: &PodStatus) -> Option<String> {
    let refused = |kind: &str, value: &str| kind == "PodScheduled" && value == "False";
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| refused(&condition.type_, &condition.status))?.message.clone()
}

fn waiting(status: &PodStatus) -> impl Iterator<Item = &ContainerStateWaiting> {
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.filter_map(|container: &ContainerStatus| container.state.as_ref()?.waiting.as_ref())
}

/// What to do where there is no room for one pod more.
#[must_use]
pub fn way_out(facts: &Facts) -> &'static str {
    match facts.resolved.strategy {
        StrategyType::Surge => "; strategy Rolling needs no room for one more pod",
        StrategyType::Rolling => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RestartRequest;
    use crate::controller::config::Restart;
    use crate::controller::facts::Surroundings;
    use crate::controller::observe::resolve::resolve;
    use serde_json::{Value, json};

    fn facts() -> Facts {
        let request = json!({"metadata": {"name": "one"}, "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"}});
        let request: RestartRequest = serde_json::from_value(request).unwrap();
        let resolved = resolve(&request.spec, &Restart::default(), None, &Surroundings::default());
        Facts { lost_nodes: vec!["lost".into()], ..Facts::new("shop", request, None, resolved) }
    }

    fn pod(node: &str, status: &Value) -> Pod {
        let pod =
            json!({"metadata": {"name": "web-1"}, "spec": {"nodeName": node, "containers": []}, "status": status});
        serde_json::from_value(pod).unwrap()
    }

    fn waits(reason: &str) -> Value {
        let container = json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason}}});
        json!({"containerStatuses": [container]})
    }

    #[test]
    fn a_pod_that_is_starting_is_not_stuck_and_one_that_cannot_start_is() {
        let facts = facts();
        assert!(!is_stuck(&facts, &pod("node", &waits("ContainerCreating"))));
        assert!(!is_stuck(&facts, &pod("node", &waits("PodInitializing"))));
        for reason in STUCK {
            assert!(is_stuck(&facts, &pod("node", &waits(reason))), "{reason}");
        }
        assert!(is_stuck(&facts, &pod("lost", &waits("ContainerCreating"))));
        let homeless = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]});
        assert!(is_stuck(&facts, &pod("", &homeless)));
    }

    #[test]
    fn the_cluster_says_why_a_pod_is_not_ready() {
        let facts = facts();
        let why = |node: &str, status: &Value| ailment(&facts, &pod(node, status));
        assert_eq!(why("lost", &json!({})).as_deref(), Some("its node lost is not Ready"));
        assert_eq!(why("node", &waits("CrashLoopBackOff")).as_deref(), Some("CrashLoopBackOff"));
        assert_eq!(why("node", &json!({})).as_deref(), Some("it is not Ready"));
        assert_eq!(why("lost", &json!({"conditions": [{"type": "Ready", "status": "True"}]})), None);
    }
}
