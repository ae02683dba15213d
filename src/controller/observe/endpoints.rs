//! What Services and their EndpointSlices say of pods.
//!
//! **Invariant:** a Service counts by its selector or by a slice that names the pod; an unknown condition counts as
//! ready where that is the careful answer, as kube-proxy takes it (API: nil means true).

use crate::controller::facts::{PodFacts, Surroundings};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use std::collections::BTreeMap;

/// The label by which a slice belongs to a Service (discovery.k8s.io/v1).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Whether the Service's selector picks pods with these labels.
#[must_use]
pub fn selects(service: &Service, labels: &BTreeMap<String, String>) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// Whether clients find its pods by DNS alone, without an address of its own.
#[must_use]
pub fn headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The Services that select the pod, or whose slices name it.
#[must_use]
pub fn services_of<'a>(around: &'a Surroundings, pod: &PodFacts) -> Vec<&'a Service> {
    let empty = BTreeMap::new();
    let labels = pod.pod.metadata.labels.as_ref().unwrap_or(&empty);
    let named = |service: &Service| slices_of(around, service).any(|slice| endpoint_of(slice, pod.uid()).is_some());
    around.services.iter().filter(|service| selects(service, labels) || named(service)).collect()
}

/// The slices of a Service.
pub fn slices_of<'a>(around: &'a Surroundings, service: &'a Service) -> impl Iterator<Item = &'a EndpointSlice> {
    around.slices.iter().filter(|slice| {
        let owner = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
        owner.is_some() && owner == service.metadata.name.as_ref()
    })
}

/// The pod's endpoint in a slice.
#[must_use]
pub fn endpoint_of<'a>(slice: &'a EndpointSlice, uid: &str) -> Option<&'a Endpoint> {
    slice.endpoints.iter().find(|endpoint| uid_of(endpoint) == Some(uid))
}

fn uid_of(endpoint: &Endpoint) -> Option<&str> {
    endpoint.target_ref.as_ref()?.uid.as_deref()
}

fn ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// Whether any slice shows the pod ready.
#[must_use]
pub fn in_any(around: &Surroundings, uid: &str) -> bool {
    around.slices.iter().filter_map(|slice| endpoint_of(slice, uid)).any(ready)
}

/// The first Service that selects the pod and does not show it ready in each of its address families.
#[must_use]
pub fn missing_in(around: &Surroundings, pod: &PodFacts) -> Option<String> {
    services_of(around, pod)
        .into_iter()
        .find(|service| !in_all_families(around, service, pod.uid()))
        .and_then(|service| service.metadata.name.clone())
}

fn in_all_families(around: &Surroundings, service: &Service, uid: &str) -> bool {
    let mut families: BTreeMap<&str, bool> = BTreeMap::new();
    for slice in slices_of(around, service) {
        let shown = endpoint_of(slice, uid).is_some_and(ready);
        *families.entry(slice.address_type.as_str()).or_default() |= shown;
    }
    !families.is_empty() && families.values().all(|shown| *shown)
}

/// Whether some Service of the pod, or its node under a Local policy, has no ready endpoint but those of `batch`.
#[must_use]
pub fn last(around: &Surroundings, pod: &PodFacts, batch: &[&str]) -> bool {
    let node = pod.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    services_of(around, pod).into_iter().any(|service| {
        let others = || {
            slices_of(around, service)
                .flat_map(|slice| slice.endpoints.iter())
                .filter(|endpoint| ready(endpoint) && uid_of(endpoint).is_none_or(|uid| !batch.contains(&uid)))
        };
        let alone = others().next().is_none();
        alone || local_policy(service) && !others().any(|endpoint| endpoint.node_name.as_deref() == node)
    })
}

/// Whether some clients' requests reach only pods of the node that they come to: those from inside under a Local
/// internal policy, those from outside under a Local external one, each where kube-proxy handles such requests at all.
/// `trafficDistribution` is a preference: without a pod near by, requests go elsewhere.
fn local_policy(service: &Service) -> bool {
    let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    service.spec.as_ref().is_some_and(|spec| {
        local(&spec.internal_traffic_policy) && !headless(service)
            || local(&spec.external_traffic_policy) && from_outside(spec)
    })
}

/// As Kubernetes' `ExternallyAccessible`.
fn from_outside(spec: &ServiceSpec) -> bool {
    match spec.type_.as_deref() {
        Some("NodePort" | "LoadBalancer") => true,
        Some("ExternalName") => false,
        Some(_) | None => spec.external_ips.as_ref().is_some_and(|addresses| !addresses.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn around(policy: &str, endpoints: &serde_json::Value) -> Surroundings {
        behind(json!({"internalTrafficPolicy": policy}), endpoints)
    }

    fn behind(mut spec: serde_json::Value, endpoints: &serde_json::Value) -> Surroundings {
        spec["selector"] = json!({"app": "web"});
        let service = json!({"metadata": {"name": "web"}, "spec": spec});
        let slice = json!({"metadata": {"name": "web-1", "labels": {SERVICE_NAME: "web"}}, "addressType": "IPv4", "endpoints": endpoints});
        Surroundings {
            services: vec![serde_json::from_value(service).unwrap()],
            slices: vec![serde_json::from_value(slice).unwrap()],
            budgets: vec![],
        }
    }

    fn endpoint(uid: &str, node: &str, ready: bool) -> serde_json::Value {
        json!({"addresses": ["10.0.0.1"], "nodeName": node, "conditions": {"ready": ready}, "targetRef": {"uid": uid}})
    }

    fn pod(uid: &str, node: &str) -> PodFacts {
        let pod = json!({"metadata": {"name": uid, "uid": uid, "labels": {"app": "web"}}, "spec": {"nodeName": node, "containers": []}});
        serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap().into()
    }

    #[test]
    fn a_pod_is_the_last_endpoint_when_no_other_is_ready() {
        let two = around("Cluster", &json!([endpoint("a", "n", true), endpoint("b", "n", false)]));
        assert!(last(&two, &pod("a", "n"), &["a"]));
        let both = around("Cluster", &json!([endpoint("a", "n", true), endpoint("b", "n", true)]));
        assert!(!last(&both, &pod("a", "n"), &["a"]));
        assert!(last(&both, &pod("a", "n"), &["a", "b"]), "the whole batch counts");
    }

    #[test]
    fn under_a_local_policy_the_node_counts() {
        let spread = around("Local", &json!([endpoint("a", "one", true), endpoint("b", "two", true)]));
        assert!(last(&spread, &pod("a", "one"), &["a"]));
        let together = around("Local", &json!([endpoint("a", "one", true), endpoint("b", "one", true)]));
        assert!(!last(&together, &pod("a", "one"), &["a"]));
    }

    /// A DaemonSet: one pod on each of two nodes.
    fn last_of_its_node(spec: serde_json::Value) -> bool {
        let spread = behind(spec, &json!([endpoint("a", "one", true), endpoint("b", "two", true)]));
        last(&spread, &pod("a", "one"), &["a"])
    }

    #[test]
    fn a_daemon_sets_pod_is_the_last_of_its_node_where_requests_stay_on_their_node() {
        assert!(!last_of_its_node(json!({"type": "ClusterIP"})));
        assert!(last_of_its_node(json!({"type": "ClusterIP", "internalTrafficPolicy": "Local"})));
        for kind in ["NodePort", "LoadBalancer"] {
            assert!(!last_of_its_node(json!({"type": kind, "externalTrafficPolicy": "Cluster"})), "{kind}");
            assert!(last_of_its_node(json!({"type": kind, "externalTrafficPolicy": "Local"})), "{kind}");
        }
        assert!(last_of_its_node(json!({"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.1"]})));
    }

    #[test]
    fn a_policy_that_nobody_follows_and_a_preference_are_no_rule() {
        assert!(!last_of_its_node(json!({"type": "ClusterIP", "externalTrafficPolicy": "Local"})));
        assert!(!last_of_its_node(json!({"clusterIP": "None", "internalTrafficPolicy": "Local"})));
        for preference in ["PreferClose", "PreferSameZone", "PreferSameNode"] {
            assert!(
                !last_of_its_node(json!({"type": "LoadBalancer", "trafficDistribution": preference})),
                "{preference}"
            );
        }
    }

    #[test]
    fn a_second_ready_pod_of_the_node_is_enough_unless_it_goes_too() {
        let two = json!([endpoint("a", "one", true), endpoint("b", "one", true), endpoint("c", "two", true)]);
        let node = behind(json!({"type": "NodePort", "externalTrafficPolicy": "Local"}), &two);
        assert!(!last(&node, &pod("a", "one"), &["a"]));
        assert!(last(&node, &pod("a", "one"), &["a", "b"]));
        assert!(last(&node, &pod("c", "two"), &["c"]));
    }

    #[test]
    fn a_new_pod_must_be_ready_in_each_service_that_selects_it() {
        let half = around("Cluster", &json!([endpoint("a", "n", false)]));
        assert_eq!(missing_in(&half, &pod("a", "n")), Some("web".to_owned()));
        let whole = around("Cluster", &json!([endpoint("a", "n", true)]));
        assert_eq!(missing_in(&whole, &pod("a", "n")), None);
    }
}
