//! Detached pods: which of them can go back to their `ReplicaSet`, and the way back.
//!
//! **Invariant:** no pod goes back if its `ReplicaSet` might delete one that is Ready because of it. A `ReplicaSet` that has too
//! many pods deletes those that are not Ready first; among Ready ones it may choose the one that came back. Without the
//! controller's key this program cannot drain the other one, so such a pod stays, and serves, until a user deletes it.

use super::refused;
use crate::api::names;
use crate::client::{Error, FIELD_MANAGER, RestartClient};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// A drain lease lasts at most so long, and the kubelet's next probe comes a second later.
const LEASE_ENDS: Duration = Duration::from_secs(33);
const LOOK: Duration = Duration::from_secs(1);

/// What becomes of a detached pod.
pub enum Verdict {
    /// It goes back.
    Back(Box<Back>),
    /// It stays as it is, and why.
    Stays(String),
    /// It is gone, being deleted, or not detached any more.
    Gone,
}

/// A pod that can go back, as it was seen.
pub struct Back {
    pod: Pod,
    set: String,
    hash: String,
}

impl Back {
    /// The name of its `ReplicaSet`.
    pub fn set(&self) -> String {
        self.set.clone()
    }
}

/// The detached pods of a namespace, and those that have gone back.
pub struct Detached {
    pods: Api<Pod>,
    sets: Api<ReplicaSet>,
    namespace: String,
    returned: BTreeSet<String>,
}

impl Detached {
    /// None has gone back yet.
    pub fn new(client: &RestartClient) -> Self {
        let namespace = client.namespace().to_owned();
        let pods = Api::namespaced(client.kube().clone(), &namespace);
        let sets = Api::namespaced(client.kube().clone(), &namespace);
        Self { pods, sets, namespace, returned: BTreeSet::new() }
    }

    /// Waits until these are Ready, as they are when their leases have ended. One that is broken does not get so.
    pub async fn ready_again(&self, names: &[String]) -> Result<(), Error> {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < LEASE_ENDS {
            let all = self.all().await?;
            let waits = |pod: &&Pod| names.contains(pod.metadata.name.as_ref().unwrap_or(&String::new()));
            if all.iter().filter(waits).all(|pod| !is_alive(pod) || is_ready(pod)) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Pod>, Error> {
        let what = format!("list Pods in namespace {}", self.namespace);
        Ok(self.pods.list(&ListParams::default()).await.map_err(refused(&what))?.items)
    }

    /// What becomes of this one, as everything is now.
    pub async fn verdict(&self, name: &str) -> Result<Verdict, Error> {
        let all = self.all().await?;
        let Some(pod) = all.iter().find(|pod| pod.metadata.name.as_deref() == Some(name)).filter(|pod| is_alive(pod))
        else {
            return Ok(Verdict::Gone);
        };
        let hash = pod.metadata.annotations.as_ref().and_then(|all| all.get(names::DETACHED_HASH));
        let Some(hash) = hash else { return Ok(Verdict::Gone) };
        let params = ListParams::default().labels(&format!("{}={hash}", names::POD_TEMPLATE_HASH));
        let what = format!("list ReplicaSets in namespace {}", self.namespace);
        let sets = self.sets.list(&params).await.map_err(refused(&what))?.items;
        let deployment = controller(pod.metadata.owner_references.as_deref()).map(|owner| owner.uid.as_str());
        let of = |set: &&ReplicaSet| {
            controller(set.metadata.owner_references.as_deref()).map(|owner| owner.uid.as_str()) == deployment
        };
        let Some(set) = sets.iter().find(of) else {
            return Ok(Verdict::Stays("its ReplicaSet does not exist any more".to_owned()));
        };
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let own = |other: &&Pod| {
            let owner = controller(other.metadata.owner_references.as_deref());
            owner.is_some_and(|owner| owner.uid == uid) || self.has_returned(other)
        };
        let own: Vec<&Pod> = all.iter().filter(|other| is_alive(other)).filter(own).collect();
        let wanted = usize::try_from(set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)).unwrap_or(0);
        let unready = own.iter().filter(|pod| !is_ready(pod)).count();
        let set = set.metadata.name.clone().unwrap_or_default();
        Ok(match stays(&set, wanted, own.len(), unready, is_ready(pod)) {
            Some(why) => Verdict::Stays(why),
            None => Verdict::Back(Box::new(Back { pod: pod.clone(), set, hash: hash.clone() })),
        })
    }

    fn has_returned(&self, pod: &Pod) -> bool {
        pod.metadata.uid.as_ref().is_some_and(|uid| self.returned.contains(uid))
    }

    /// Gives it its label back and drops the Deployment's reference; the `ReplicaSet` makes itself the controller again.
    pub async fn put_back(&mut self, back: Box<Back>) -> Result<(), Error> {
        let metadata = &back.pod.metadata;
        let owners = metadata.owner_references.iter().flatten().filter(|owner| owner.controller != Some(true));
        let owners: Vec<&OwnerReference> = owners.collect();
        let patch = Patch::Merge(json!({"metadata": {
            "uid": metadata.uid, "resourceVersion": metadata.resource_version,
            "labels": {names::POD_TEMPLATE_HASH: back.hash},
            "annotations": {names::DETACHED_HASH: null, names::DETACHED_BY: null},
            "ownerReferences": owners,
        }}));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let name = metadata.name.as_deref().unwrap_or_default();
        let what = format!("put back Pod {}/{name}", self.namespace);
        self.pods.patch(name, &params, &patch).await.map_err(refused(&what))?;
        self.count(back);
        Ok(())
    }

    /// It counts among the pods of its `ReplicaSet` from now on, which may take a moment to see it.
    pub fn count(&mut self, back: Box<Back>) {
        self.returned.extend(back.pod.metadata.uid);
    }
}

/// Why a pod does not go back to a `ReplicaSet` that wants `wanted` pods and has `own`, of which `unready` are not Ready.
fn stays(set: &str, wanted: usize, own: usize, unready: usize, ready: bool) -> Option<String> {
    let surplus = (own + 1).saturating_sub(wanted);
    if surplus == 0 || surplus <= unready && ready {
        return None;
    }
    let why = if surplus <= unready {
        "is not Ready, nor is its replacement".to_owned()
    } else {
        "its replacement is Ready".to_owned()
    };
    Some(format!("{why}: ReplicaSet {set} wants {wanted} pods, has {own} without it, and would delete one of them"))
}

fn controller(owners: Option<&[OwnerReference]>) -> Option<&OwnerReference> {
    owners.into_iter().flatten().find(|owner| owner.controller == Some(true))
}

fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_goes_back_where_there_is_room_or_where_an_unready_one_goes_instead() {
        for (wanted, own, unready, ready) in [(2, 1, 0, true), (2, 1, 0, false), (2, 2, 1, true), (2, 3, 2, true)] {
            assert_eq!(stays("web", wanted, own, unready, ready), None, "{wanted} {own} {unready} {ready}");
        }
    }

    #[test]
    fn a_pod_stays_where_a_ready_one_might_be_deleted_for_it() {
        for (wanted, own, unready, ready) in [(2, 2, 0, true), (2, 3, 1, true), (0, 0, 0, true), (2, 2, 1, false)] {
            assert!(stays("web", wanted, own, unready, ready).is_some(), "{wanted} {own} {unready} {ready}");
        }
    }
}
