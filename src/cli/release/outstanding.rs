//! What a controller has left: requests and histories with its finalizer, detached pods, pods under a drain lease.
//!
//! **Invariant:** it is found by our own finalizer and annotations alone, so nothing of anybody else's is among it.

use super::{refused, within};
use crate::api::{RestartHistory, RestartRequest, TargetKind, TargetRef, names};
use crate::client::{Error, RestartClient};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, ObjectMeta};
use kube::core::PartialObjectMeta;
use std::collections::BTreeSet;

/// What is left in one namespace.
pub struct Outstanding {
    /// The caller, in that namespace.
    pub client: RestartClient,
    /// Requests with our finalizer.
    pub requests: Vec<RestartRequest>,
    /// Histories with our finalizer, or with a run in them.
    pub histories: Vec<RestartHistory>,
    /// Names of the pods that have no `ReplicaSet`.
    pub detached: Vec<String>,
}

/// Of all namespaces, one by one.
pub async fn everywhere(client: &RestartClient) -> Result<Vec<Outstanding>, Error> {
    let kube = client.kube().clone();
    let (requests, histories, pods) = futures::try_join!(
        listed::<RestartRequest>(Api::all(kube.clone()), "RestartRequests"),
        listed::<RestartHistory>(Api::all(kube.clone()), "RestartHistories"),
        pods(Api::all(kube)),
    )?;
    let requests: Vec<RestartRequest> = requests.into_iter().filter(|one| holds(&one.metadata)).collect();
    let histories: Vec<RestartHistory> = histories.into_iter().filter(locked).collect();
    let metas = requests.iter().map(|one| &one.metadata).chain(histories.iter().map(|one| &one.metadata)).chain(&pods);
    let spaces: BTreeSet<String> = metas.filter_map(|meta| meta.namespace.clone()).collect();
    let of = |meta: &ObjectMeta, space: &str| meta.namespace.as_deref() == Some(space);
    let one = |space: &String| Outstanding {
        client: within(client, space),
        requests: requests.iter().filter(|one| of(&one.metadata, space)).cloned().collect(),
        histories: histories.iter().filter(|one| of(&one.metadata, space)).cloned().collect(),
        detached: pods.iter().filter(|pod| of(pod, space)).filter_map(|pod| pod.name.clone()).collect(),
    };
    Ok(spaces.iter().map(one).collect())
}

impl Outstanding {
    /// Of these workloads of the client's namespace, or of all if none is named.
    pub async fn of(client: &RestartClient, which: &[TargetRef]) -> Result<Self, Error> {
        let (requests, histories, pods) = futures::try_join!(
            listed(client.requests(), "RestartRequests"),
            listed(client.histories(), "RestartHistories"),
            pods(Api::namespaced(client.kube().clone(), client.namespace())),
        )?;
        let meant = |target: &TargetRef| which.is_empty() || which.contains(target);
        let pod_meant = |pod: &ObjectMeta| {
            let owner = pod.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
            let target = owner.map(|owner| TargetRef { kind: TargetKind::Deployment, name: owner.name.clone() });
            which.is_empty() || target.is_some_and(|target| which.contains(&target))
        };
        Ok(Self {
            client: client.clone(),
            requests: requests.into_iter().filter(|one| holds(&one.metadata) && meant(&one.spec.target_ref)).collect(),
            histories: histories.into_iter().filter(|one| locked(one) && meant(&one.spec.target_ref)).collect(),
            detached: pods.into_iter().filter(pod_meant).filter_map(|pod| pod.name).collect(),
        })
    }

    /// Where it is.
    pub fn namespace(&self) -> &str {
        self.client.namespace()
    }

    /// Whether there is nothing of it.
    pub fn is_nothing(&self) -> bool {
        self.requests.is_empty() && self.histories.is_empty() && self.detached.is_empty()
    }

    /// Pods that are not detached and may be out of their Services: no key is needed for what ends by itself.
    pub fn under_lease(&self) -> Vec<(String, &'static str)> {
        let statuses = self.requests.iter().filter_map(|request| request.status.as_ref());
        let pods: BTreeSet<&String> = statuses.flat_map(|status| &status.pods).map(|pod| &pod.name).collect();
        let others = pods.into_iter().filter(|pod| !self.detached.contains(pod));
        others
            .map(|pod| (pod.clone(), "was being worked on; if it is cordoned, its lease ends by itself within 30 s"))
            .collect()
    }
}

async fn listed<K>(api: Api<K>, kind: &str) -> Result<Vec<K>, Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    Ok(api.list(&ListParams::default()).await.map_err(refused(&format!("list {kind}")))?.items)
}

/// Metadata of those that our annotation marks.
async fn pods(api: Api<Pod>) -> Result<Vec<ObjectMeta>, Error> {
    let all = api.list_metadata(&ListParams::default()).await.map_err(refused("list the metadata of Pods"))?;
    let ours = |pod: &PartialObjectMeta<Pod>| {
        pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(names::DETACHED_HASH))
    };
    Ok(all.items.into_iter().filter(ours).map(|pod| pod.metadata).collect())
}

/// Whether our finalizer is on it.
pub fn holds(meta: &ObjectMeta) -> bool {
    meta.finalizers.iter().flatten().any(|finalizer| finalizer == names::FINALIZER)
}

fn locked(history: &RestartHistory) -> bool {
    let active = history.status.as_ref().is_some_and(|status| status.active.is_some());
    active || holds(&history.metadata)
}
