//! Reads the workload, whichever of the three kinds the request names, and its pods.
//!
//! **Invariant:** what stands between a workload and its pods (a `ReplicaSet`, a revision) counts only if the workload
//! controls it: other people's objects may carry the same labels.

use crate::api::{TargetKind, TargetRef, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::PodFacts;
use crate::controller::slim;
use crate::controller::workload::{Workload, ordinal, selected};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::{Api, ListParams};
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use std::cmp::Reverse;
use std::fmt::Debug;

/// The workload, if it exists.
pub async fn read(ctx: &Context, namespace: &str, target: &TargetRef) -> Result<Option<Workload>, Error> {
    match target.kind {
        TargetKind::Deployment => deployment(ctx, namespace, &target.name).await,
        TargetKind::StatefulSet => {
            Ok(get::<StatefulSet>(ctx, namespace, &target.name).await?.map(Workload::StatefulSet))
        }
        TargetKind::DaemonSet => daemon_set(ctx, namespace, &target.name).await,
    }
}

async fn deployment(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Workload>, Error> {
    let Some(deployment) = get::<Deployment>(ctx, namespace, name).await? else { return Ok(None) };
    let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
    let mut sets: Vec<ReplicaSet> = controlled(ctx, namespace, &deployment.metadata, selector).await?;
    sets.sort_by_key(|set| Reverse(number(set)));
    let others = sets.split_off(sets.len().min(1));
    Ok(Some(Workload::Deployment { deployment, newest: sets.pop().map(Box::new), others }))
}

/// The Deployment controller numbers its `ReplicaSets`; going back to an old template makes the old one the newest.
fn number(set: &ReplicaSet) -> i64 {
    let annotation = set.metadata.annotations.as_ref().and_then(|all| all.get("deployment.kubernetes.io/revision"));
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A DaemonSet's status names no revision: the one with the highest number is that of its present template.
async fn daemon_set(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Workload>, Error> {
    let Some(daemon_set) = get::<DaemonSet>(ctx, namespace, name).await? else { return Ok(None) };
    let selector = daemon_set.spec.as_ref().map(|spec| &spec.selector);
    let revisions: Vec<ControllerRevision> = controlled(ctx, namespace, &daemon_set.metadata, selector).await?;
    let newest = revisions.into_iter().max_by_key(|revision| revision.revision);
    Ok(Some(Workload::DaemonSet { daemon_set, newest: newest.map(Box::new) }))
}

async fn get<K>(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Box<K>>, Error>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(ctx.reader.clone(), namespace);
    let read = call(format!("read {} {namespace}/{name}", K::kind(&())), api.get_opt(name)).await?;
    Ok(read.map(Box::new))
}

/// Objects that carry the workload's labels and that it controls.
async fn controlled<K>(
    ctx: &Context,
    namespace: &str,
    owner: &ObjectMeta,
    selector: Option<&LabelSelector>,
) -> Result<Vec<K>, Error>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(ctx.reader.clone(), namespace);
    let name = owner.name.as_deref().unwrap_or_default();
    let what = format!("list {} of {namespace}/{name}", K::plural(&()));
    let mut all = slim::all(&api, selected(selector), &what).await?;
    all.retain(|object| {
        let mut owners = object.meta().owner_references.iter().flatten();
        owners.any(|reference| Some(&reference.uid) == owner.uid.as_ref() && reference.controller == Some(true))
    });
    Ok(all)
}

/// The workload's pods by its selector, in the order in which they are to be restarted; without a workload, those that
/// still say they are detached.
pub async fn pods(ctx: &Context, namespace: &str, workload: Option<&Workload>) -> Result<Vec<PodFacts>, Error> {
    let params = workload.map_or_else(ListParams::default, |workload| selected(workload.selector()));
    let mut all = slim::pods(&ctx.reader, namespace, params, &format!("list pods in {namespace}")).await?;
    let detached = |pod: &Pod| annotated(pod, names::DETACHED_BY);
    all.retain(|pod| (workload.is_some() || detached(pod)) && !ended(pod));
    sort(workload.map(Workload::kind), &mut all);
    Ok(all.into_iter().map(PodFacts::from).collect())
}

/// Oldest first. Of a StatefulSet the highest ordinal first, as its own rollouts go: applications that choose a leader
/// often begin with the lowest.
fn sort(kind: Option<TargetKind>, pods: &mut [Pod]) {
    pods.sort_by(|a, b| {
        (&a.metadata.creation_timestamp, &a.metadata.name).cmp(&(&b.metadata.creation_timestamp, &b.metadata.name))
    });
    match kind {
        Some(TargetKind::StatefulSet) => pods.sort_by_key(|pod| Reverse(ordinal(&pod.metadata))),
        Some(TargetKind::Deployment | TargetKind::DaemonSet) | None => {}
    }
}

fn annotated(pod: &Pod, name: &str) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(name))
}

/// Evicted by a node or finished: nobody counts it any more.
fn ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sorted(kind: Option<TargetKind>, pods: &[(&str, &str)]) -> Vec<String> {
        let pod = |(name, born): &(&str, &str)| {
            serde_json::from_value(json!({"metadata": {"name": name, "creationTimestamp": born}})).unwrap()
        };
        let mut pods: Vec<Pod> = pods.iter().map(pod).collect();
        sort(kind, &mut pods);
        pods.into_iter().filter_map(|pod| pod.metadata.name).collect()
    }

    #[test]
    fn a_stateful_set_goes_by_ordinal_highest_first_and_others_by_age() {
        let at = |second: i32| format!("2026-11-22T10:00:{second:02}Z");
        let (first, second, third) = (at(1), at(2), at(3));
        let pods = [("web-9", second.as_str()), ("web-10", &first), ("web-2", &third)];
        assert_eq!(sorted(Some(TargetKind::StatefulSet), &pods), ["web-10", "web-9", "web-2"]);
        assert_eq!(sorted(Some(TargetKind::DaemonSet), &pods), ["web-10", "web-9", "web-2"]);
        let pods = [("web-0", first.as_str()), ("web-10", &third), ("web-2", &second)];
        assert_eq!(sorted(Some(TargetKind::StatefulSet), &pods), ["web-10", "web-2", "web-0"]);
        assert_eq!(sorted(Some(TargetKind::DaemonSet), &pods), ["web-0", "web-2", "web-10"]);
        assert_eq!(sorted(Some(TargetKind::Deployment), &pods), ["web-0", "web-2", "web-10"]);
    }
}
