//! The events that may make a workload's configuration good, or show that a restore was taken back.
//!
//! **Invariant:** of pods and ConfigMaps only metadata is watched and nothing is kept; an event that is lost costs a delay
//! until the next one, or until all workloads are looked at again.

use super::Loop;
use super::index::Key;
use crate::api::{RestartHistory, TargetKind, TargetRef, names};
use crate::controller::context::call;
use crate::controller::error::Error;
use crate::controller::orphans;
use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// Everything that happens in one namespace, or in all.
pub fn events(this: &Arc<Loop>, scope: Option<&str>) -> BoxStream<'static, ()> {
    let reader = &this.context.reader;
    let labelled = watcher::Config::default().labels(names::SIDECAR_LABEL);
    let (pods, maps, histories) = (this.clone(), this.clone(), this.clone());
    let pods = watched::<PartialObjectMeta<Pod>>(reader, scope, labelled).then(move |pod| {
        let this = pods.clone();
        async move { of_pod(&this, &pod.metadata).await }
    });
    let maps = watched::<PartialObjectMeta<ConfigMap>>(reader, scope, watcher::Config::default())
        .map(move |map| of_config_map(&maps, &map.metadata));
    let histories = watched::<DeserializeGuard<RestartHistory>>(reader, scope, watcher::Config::default())
        .filter_map(|guard| std::future::ready(guard.0.ok()))
        .map(move |history| of_history(&histories, &history));
    select_all([pods.boxed(), maps.boxed(), histories.boxed()]).boxed()
}

fn watched<K>(reader: &Client, scope: Option<&str>, config: watcher::Config) -> BoxStream<'static, K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let api: Api<K> = match scope {
        Some(namespace) => Api::namespaced(reader.clone(), namespace),
        None => Api::all(reader.clone()),
    };
    let objects = watcher(api, config).default_backoff().touched_objects();
    let told = |object: watcher::Result<K>| {
        std::future::ready(match object {
            Ok(object) => Some(object),
            Err(error) => {
                tracing::warn!(%error, kind = %K::kind(&()), "a watch for the baseline broke and is begun again");
                None
            }
        })
    };
    objects.filter_map(told).boxed()
}

/// Pods come and go in numbers: what they mean is looked at a little later.
async fn of_pod(this: &Loop, pod: &ObjectMeta) {
    let namespace = pod.namespace.clone().unwrap_or_default();
    match owner(this, &namespace, pod).await {
        Ok(Some(target)) => this.later(Key { namespace, target }),
        Ok(None) => {}
        Err(error) => tracing::warn!(namespace, pod = pod.name, %error, "whose pod it is was not found out"),
    }
}

/// At once: pods that do not exist yet will have started on what it holds.
fn of_config_map(this: &Loop, map: &ObjectMeta) {
    let (namespace, name) = (map.namespace.as_deref().unwrap_or_default(), map.name.as_deref().unwrap_or_default());
    for key in this.index.of_config_map(namespace, name) {
        this.now(key);
    }
}

/// A run has ended, or holds the workload and may have lost its request. A history that goes, by hand or with a run that held
/// it up, has held what is to be learnt again.
fn of_history(this: &Loop, history: &RestartHistory) {
    let namespace = history.metadata.namespace.clone().unwrap_or_default();
    let active = history.status.as_ref().is_some_and(|status| status.active.is_some());
    if active {
        orphans::look(&this.context, &namespace, &history.name_any());
    }
    if !active || history.metadata.deletion_timestamp.is_some() {
        this.later(Key { namespace, target: history.spec.target_ref.clone() });
    }
}

/// The workload that controls a pod.
async fn owner(this: &Loop, namespace: &str, pod: &ObjectMeta) -> Result<Option<TargetRef>, Error> {
    let Some(owner) = controller(pod) else { return Ok(None) };
    match owner.kind.as_str() {
        "ReplicaSet" => of_replica_set(this, namespace, owner).await,
        _ => Ok(target(owner)),
    }
}

async fn of_replica_set(this: &Loop, namespace: &str, set: &OwnerReference) -> Result<Option<TargetRef>, Error> {
    if let Some(known) = this.replica_set(&set.uid) {
        return Ok(known);
    }
    let api: Api<ReplicaSet> = Api::namespaced(this.context.reader.clone(), namespace);
    let what = format!("read ReplicaSet {namespace}/{}", set.name);
    let Some(found) = call(what, api.get_metadata_opt(&set.name)).await? else { return Ok(None) };
    let target = controller(&found.metadata).and_then(target);
    this.keep_replica_set(&set.uid, target.clone());
    Ok(target)
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn target(owner: &OwnerReference) -> Option<TargetRef> {
    let kind = match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("apps/v1", "Deployment") => TargetKind::Deployment,
        ("apps/v1", "StatefulSet") => TargetKind::StatefulSet,
        ("apps/v1", "DaemonSet") => TargetKind::DaemonSet,
        _ => return None,
    };
    Some(TargetRef { kind, name: owner.name.clone() })
}
