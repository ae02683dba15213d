//! Lists of objects page by page, and of each only what the controller uses.
//!
//! **Invariant:** what a page holds beyond that is gone before the next one is asked for; nothing that a decision reads is
//! left out, and a field that is left out is written by nobody here (pods are patched, never replaced).

use super::context::call;
use super::error::Error;
use crate::api::names;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::Resource;
use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Objects of one page.
const PAGE: u32 = 50;

/// All objects that `params` selects, each made smaller by `trim` as soon as its page is there.
///
/// # Errors
/// When the API server does not answer, or takes the list from under us (410): the next pass begins anew.
pub async fn all<K>(api: &Api<K>, params: ListParams, what: &str, trim: impl Fn(&mut K)) -> Result<Vec<K>, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let (mut found, mut params) = (vec![], params.limit(PAGE));
    loop {
        let page = call(what, api.list(&params)).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        found.extend(page.items.into_iter().map(|mut object| {
            object.meta_mut().managed_fields = None;
            trim(&mut object);
            object
        }));
        let Some(token) = next else { return Ok(found) };
        params = params.continue_token(&token);
    }
}

/// Of a pod: who it is, where, how it stands, and its sidecar. Its images, environment and volumes are the largest part.
pub fn pod(pod: &mut Pod) {
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|name, _| name.contains(names::GROUP) || name == names::DELETION_COST);
    }
    if let Some(spec) = &mut pod.spec {
        spec.volumes = None;
        spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(container);
    }
    if let Some(status) = &mut pod.status {
        let containers = status.container_statuses.iter_mut().flatten();
        containers.chain(status.init_container_statuses.iter_mut().flatten()).for_each(container_status);
    }
}

/// The arguments of other containers than the sidecar are nobody's business.
fn container(container: &mut Container) {
    let Container { name, command, args, lifecycle, ports, restart_policy, readiness_probe, .. } =
        std::mem::take(container);
    let sidecar = name == names::SIDECAR_CONTAINER;
    let (command, args) = if sidecar { (command, args) } else { (None, None) };
    *container =
        Container { name, command, args, lifecycle, ports, restart_policy, readiness_probe, ..Container::default() };
}

fn container_status(status: &mut ContainerStatus) {
    (status.image, status.image_id) = (String::new(), String::new());
    (status.allocated_resources, status.allocated_resources_status, status.resources) = (None, None, None);
    (status.volume_mounts, status.user) = (None, None);
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
        let mut pod: Pod = serde_json::from_value(whole.clone()).unwrap();
        super::pod(&mut pod);
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
