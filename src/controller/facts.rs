//! What one pass has read: Kubernetes objects and sidecar reports, before the machine's view is made of them.
//!
//! **Invariant:** plain data; who reads it is `observe`, who uses it is `act` and `record`, and they never meet otherwise.

use crate::api::{Resolved, RestartHistory, RestartRequest, SnapshotEntry, names};
use crate::controller::contents::Seen;
use crate::controller::workload::Workload;
use crate::machine::{self, HookView, PlannedPod};
use crate::wire::InFlightReport;
use k8s_openapi::api::core::v1::{Container, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that one pass has read.
#[allow(clippy::struct_excessive_bools)] // each was seen on its own: all combinations happen
#[derive(Clone, Debug)]
pub struct Facts {
    /// The request, read live.
    pub request: RestartRequest,
    /// The request is gone: this one is made of what the history holds of the run.
    pub orphan: bool,
    /// The trigger in the object is another one than the run began with.
    pub triggered: bool,
    /// An older request that waits for the same workload; looked for only where requests queue.
    pub ahead: Option<String>,
    /// The hooks and what has become of them.
    pub hooks: Vec<HookView>,
    /// Why some hook can only fail; looked for until the run begins.
    pub bad_hook: Option<String>,
    /// The namespace of everything.
    pub namespace: String,
    /// That namespace is being deleted.
    pub namespace_terminating: bool,
    /// The workload, if it exists.
    pub workload: Option<Workload>,
    /// What absent fields of the spec became, as recorded or as they would be.
    pub resolved: Resolved,
    /// The workload's history, if there is one.
    pub history: Option<RestartHistory>,
    /// The workload's pods, detached ones included, in the order in which they are to be restarted.
    pub pods: Vec<PodFacts>,
    /// Names of nodes that take no new pods; looked for once there is a list of pods to choose from.
    pub leaving_nodes: Vec<String>,
    /// Names of nodes that are not Ready, of those that pods of the workload which are not Ready are on.
    pub lost_nodes: Vec<String>,
    /// Services, slices and budgets of the namespace.
    pub surroundings: Surroundings,
    /// The ConfigMaps.
    pub config: Vec<ConfigMapFacts>,
    /// ConfigMaps that the restart is about and that do not exist.
    pub missing_config_maps: Vec<String>,
    /// Other workloads that run on a ConfigMap's present content, by its name; looked for only where a restore may follow.
    pub shared: BTreeMap<String, String>,
    /// Another request holds the workload in the history, and that request no longer exists.
    pub holder_gone: bool,
    /// The list of pods to replace.
    pub plan: List,
    /// The list of pods to replace once more.
    pub again: List,
    /// Other requests of this namespace that are under way.
    pub others_under_way: usize,
    /// Claims of the pod template that only one node may mount (Surge alone).
    pub exclusive_claims: Vec<String>,
    /// Services, budgets and policies that select by `pod-template-hash` (Surge alone).
    pub hash_selectors: Vec<String>,
    /// Controllers that would adopt a detached pod (Surge alone).
    pub adopters: Vec<String>,
}

impl Facts {
    /// What is known of a workload before anything around it has been read.
    #[must_use]
    pub fn new(namespace: &str, request: RestartRequest, workload: Option<Workload>, resolved: Resolved) -> Self {
        Self {
            request,
            orphan: false,
            triggered: false,
            ahead: None,
            hooks: vec![],
            bad_hook: None,
            namespace: namespace.to_owned(),
            namespace_terminating: false,
            workload,
            resolved,
            history: None,
            pods: vec![],
            surroundings: Surroundings::default(),
            config: vec![],
            missing_config_maps: vec![],
            shared: BTreeMap::new(),
            holder_gone: false,
            plan: List::Absent,
            again: List::Absent,
            others_under_way: 0,
            exclusive_claims: vec![],
            hash_selectors: vec![],
            adopters: vec![],
            leaving_nodes: vec![],
            lost_nodes: vec![],
        }
    }

    /// Name of the request.
    #[must_use]
    pub fn name(&self) -> &str {
        self.request.metadata.name.as_deref().unwrap_or_default()
    }

    /// UID of the request: the run's identity.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.request.metadata.uid.as_deref().unwrap_or_default()
    }

    /// UID of the workload that the run began with.
    #[must_use]
    pub fn workload_uid(&self) -> &str {
        &self.resolved.workload_uid
    }

    /// The pod with this UID.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&PodFacts> {
        self.pods.iter().find(|pod| pod.uid() == uid)
    }
}

/// A list of pods, as the ConfigMap of its name holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    /// There is no such ConfigMap.
    Absent,
    /// The list.
    Written(Vec<PlannedPod>),
    /// The ConfigMap holds something else.
    Altered,
}

impl List {
    /// Its pods; none where there is no list.
    #[must_use]
    pub fn pods(&self) -> &[PlannedPod] {
        match self {
            Self::Written(pods) => pods,
            Self::Absent | Self::Altered => &[],
        }
    }

    /// What has become of it, for the machine.
    #[must_use]
    pub fn state(&self) -> machine::List {
        match self {
            Self::Absent => machine::List::Absent,
            Self::Written(_) => machine::List::Written,
            Self::Altered => machine::List::Altered,
        }
    }
}

/// A pod and what its sidecar said.
#[derive(Clone, Debug)]
pub struct PodFacts {
    /// The pod.
    pub pod: Pod,
    /// Its sidecar was asked in this pass.
    pub asked: bool,
    /// What it answered, if it did.
    pub report: Option<InFlightReport>,
    /// Why there is no answer.
    pub silence: String,
}

impl From<Pod> for PodFacts {
    /// A pod whose sidecar has not been asked.
    fn from(pod: Pod) -> Self {
        Self { pod, asked: false, report: None, silence: String::new() }
    }
}

impl PodFacts {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its address, once it has one.
    #[must_use]
    pub fn ip(&self) -> Option<&str> {
        self.pod.status.as_ref()?.pod_ip.as_deref()
    }

    /// The container of its sidecar, if it has one.
    #[must_use]
    pub fn sidecar(&self) -> Option<&Container> {
        let spec = self.pod.spec.as_ref()?;
        let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
        all.find(|container| container.name == names::SIDECAR_CONTAINER)
    }

    /// It is being deleted.
    #[must_use]
    pub fn terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }
}

/// What stands around the workload, in its namespace.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// All Services.
    pub services: Vec<Service>,
    /// All EndpointSlices.
    pub slices: Vec<EndpointSlice>,
    /// All PodDisruptionBudgets.
    pub budgets: Vec<PodDisruptionBudget>,
}

/// A ConfigMap that the restart is about, with its copies; of none of them the data.
#[derive(Clone, Debug)]
pub struct ConfigMapFacts {
    /// As recorded in the status, or as it will be.
    pub entry: SnapshotEntry,
    /// The pods start without it; said only of what the pod template refers to, before the copies are recorded.
    pub optional: bool,
    /// The pod template refers to it.
    pub referred: bool,
    /// The ConfigMap that the pods use.
    pub live: Option<Arc<Seen>>,
    /// What is promoted over it; looked at only until the copies are recorded.
    pub from: Option<Arc<Seen>>,
    /// The digest of `live`; empty without it.
    pub digest: String,
    /// The copy that a restore writes back.
    pub snapshot: Option<Arc<Seen>>,
    /// The copy of what new pods start on.
    pub candidate: Option<Arc<Seen>>,
}
