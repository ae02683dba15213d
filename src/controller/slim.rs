//! Lists of objects page by page, and of each only what the controller uses.
//!
//! **Invariant:** what a page holds beyond that is gone before the next one is asked for; nothing that a decision reads is
//! left out, and a field that is left out is written by nobody here (pods are patched, never replaced).

use super::context::call;
use super::error::Error;
use crate::api::names;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, Lifecycle, Pod, PodCondition, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, OwnerReference, Time};
use kube::api::{Api, ListParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Objects of one page.
const PAGE: u32 = 50;

/// All objects that `params` selects, without the owners of their fields.
///
/// # Errors
/// When the API server does not answer, or takes the list from under us (410): the next pass begins anew.
pub async fn all<K>(api: &Api<K>, params: ListParams, what: &str) -> Result<Vec<K>, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let (mut found, mut params) = (vec![], params.limit(PAGE));
    loop {
        let page = call(what, api.list(&params)).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        found.extend(page.items.into_iter().map(|mut object| {
            object.meta_mut().managed_fields = None;
            object
        }));
        let Some(token) = next else { return Ok(found) };
        params = params.continue_token(&token);
    }
}

/// All pods that `params` selects. What is left out of them is never built: images, environment and volumes are the largest
/// part, and passing over their text takes a fraction of the time.
///
/// # Errors
/// As [`all`].
pub async fn pods(client: &Client, namespace: &str, params: ListParams, what: &str) -> Result<Vec<Pod>, Error> {
    let (mut found, mut params) = (vec![], params.limit(PAGE));
    loop {
        let request = Request::new(Pod::url_path(&(), Some(namespace))).list(&params);
        let request =
            request.map_err(|error| Error::Kube { what: what.to_owned(), source: kube::Error::BuildRequest(error) })?;
        let page: Page = call(what, client.request(request)).await?;
        found.extend(page.items.into_iter().map(Pod::from));
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else { return Ok(found) };
        params = params.continue_token(&token);
    }
}

#[derive(Deserialize)]
struct Page {
    metadata: ListMeta,
    items: Vec<Slim>,
}

/// Of a pod: who it is, where, how it stands, and its sidecar.
#[derive(Deserialize)]
struct Slim {
    metadata: Meta,
    spec: Option<Spec>,
    status: Option<State>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    #[serde(default)]
    containers: Vec<Of>,
    init_containers: Option<Vec<Of>>,
    termination_grace_period_seconds: Option<i64>,
}

#[derive(Deserialize)]
struct Of {
    name: String,
    command: Option<Vec<String>>,
    args: Option<Vec<String>>,
    lifecycle: Option<Lifecycle>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    phase: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Option<Vec<PodCondition>>,
    container_statuses: Option<Vec<Standing>>,
    init_container_statuses: Option<Vec<Standing>>,
}

/// How a container stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    name: String,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    restart_count: i32,
    started: Option<bool>,
    state: Option<ContainerState>,
    last_state: Option<ContainerState>,
}

impl From<Slim> for Pod {
    fn from(Slim { metadata, spec, status }: Slim) -> Self {
        Self { metadata: metadata.into(), spec: spec.map(PodSpec::from), status: status.map(PodStatus::from) }
    }
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        let ours = |name: &String| name.contains(names::GROUP) || name == names::DELETION_COST;
        let annotations = meta.annotations.map(|all| all.into_iter().filter(|(name, _)| ours(name)).collect());
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            creation_timestamp: meta.creation_timestamp,
            deletion_timestamp: meta.deletion_timestamp,
            deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
            labels: meta.labels,
            annotations,
            owner_references: meta.owner_references,
            ..Self::default()
        }
    }
}

impl From<Spec> for PodSpec {
    fn from(spec: Spec) -> Self {
        let all = |all: Vec<Of>| all.into_iter().map(Container::from).collect();
        Self {
            node_name: spec.node_name,
            containers: all(spec.containers),
            init_containers: spec.init_containers.map(all),
            termination_grace_period_seconds: spec.termination_grace_period_seconds,
            ..Self::default()
        }
    }
}

impl From<Of> for Container {
    fn from(Of { name, command, args, lifecycle }: Of) -> Self {
        // The arguments of other containers than the sidecar are nobody's business.
        let sidecar = name == names::SIDECAR_CONTAINER;
        let (command, args) = if sidecar { (command, args) } else { (None, None) };
        Self { name, command, args, lifecycle, ..Self::default() }
    }
}

impl From<State> for PodStatus {
    fn from(state: State) -> Self {
        let all = |all: Vec<Standing>| all.into_iter().map(ContainerStatus::from).collect();
        Self {
            phase: state.phase,
            reason: state.reason,
            message: state.message,
            pod_ip: state.pod_ip,
            conditions: state.conditions,
            container_statuses: state.container_statuses.map(all),
            init_container_statuses: state.init_container_statuses.map(all),
            ..Self::default()
        }
    }
}

impl From<Standing> for ContainerStatus {
    fn from(of: Standing) -> Self {
        Self {
            name: of.name,
            ready: of.ready,
            restart_count: of.restart_count,
            started: of.started,
            state: of.state,
            last_state: of.last_state,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_a_pod_what_decisions_read_is_left() {
        let whole = json!({
            "metadata": {"name": "web-1", "uid": "u", "resourceVersion": "1", "labels": {"app": "web"},
                "annotations": {names::DETACHED_BY: "r", names::DELETION_COST: "1", "notes": "long"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs"}]},
            "spec": {"nodeName": "n", "volumes": [{"name": "v"}], "initContainers": [{"name": names::SIDECAR_CONTAINER,
                "args": ["run", "--mode=tcp"], "image": "i", "env": [{"name": "A", "value": "b"}]}],
                "containers": [{"name": "app", "args": ["long"], "lifecycle": {"preStop": {"httpGet": {"path": "/wait-drained", "port": 8022}}}}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "app", "image": "i", "imageID": "i", "ready": true, "restartCount": 2,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 3}}}]},
        });
        let pod = Pod::from(serde_json::from_value::<Slim>(whole.clone()).unwrap());
        let left = serde_json::to_value(&pod).unwrap();
        for path in [
            "/metadata/uid",
            "/metadata/labels",
            "/metadata/ownerReferences",
            "/spec/nodeName",
            "/spec/initContainers/0/args",
            "/spec/containers/0/lifecycle",
            "/status/phase",
            "/status/podIP",
            "/status/conditions",
            "/status/containerStatuses/0/restartCount",
            "/status/containerStatuses/0/state",
            "/status/containerStatuses/0/lastState",
        ] {
            assert_eq!(left.pointer(path), whole.pointer(path), "{path}");
        }
        for path in
            ["/metadata/annotations/notes", "/spec/volumes", "/spec/initContainers/0/env", "/spec/containers/0/args"]
        {
            assert_eq!(left.pointer(path), None, "{path}");
        }
        assert_eq!(left["metadata"]["annotations"].as_object().unwrap().len(), 2);
    }
}
