//! What the machine decides: one status write, or effects, or a wait.
//!
//! **Invariant:** no decision is both a write of the status and an effect (DESIGN 7).

use super::observed::Pod;
use crate::api::{HookProgress, HookTime, Outcome, Phase, Plan, PodProgress, Snapshot, Step};
use serde::{Deserialize, Serialize};

/// What happens next.
#[allow(clippy::large_enum_variant)] // one exists per pass
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Write the status.
    Record(Change),
    /// Do these, in any order, together; each may be repeated.
    Act(Vec<Effect>),
    /// Nothing to do until the world changes; what is waited for, for people.
    Wait(String),
    /// Nothing to do, ever.
    Rest,
}

/// One write of the status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The phase afterwards.
    pub phase: Phase,
    /// The step afterwards.
    pub step: Step,
    /// One word: why.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// The pods being worked on from now on.
    pub batch: Vec<PodProgress>,
    /// The end, if it has become certain or more is known of it.
    pub outcome: Option<Outcome>,
    /// The copies, if they have been made.
    pub snapshot: Option<Snapshot>,
    /// The lists, if they have been written.
    pub plan: Option<Plan>,
    /// The hooks, if one of them was started or has ended.
    pub hooks: Option<Vec<HookProgress>>,
    /// A cancel that came too late is answered.
    pub cancel_rejected: bool,
    /// A run begins: whatever the status said before is about an earlier one.
    pub begins: bool,
}

impl Change {
    /// A move to `step` that is about no pod and records nothing more.
    #[must_use]
    pub fn new(phase: Phase, step: Step, reason: &'static str, message: String) -> Self {
        Self {
            phase,
            step,
            reason,
            message,
            batch: vec![],
            outcome: None,
            snapshot: None,
            plan: None,
            hooks: None,
            cancel_rejected: false,
            begins: false,
        }
    }
}

/// A pod as it was seen: every effect on it carries both as preconditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodRef {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub version: String,
}

impl From<&Pod> for PodRef {
    fn from(pod: &Pod) -> Self {
        Self { name: pod.name.clone(), uid: pod.uid.clone(), version: pod.version.clone() }
    }
}

/// A pod in a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedPod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// How often its containers had been restarted.
    pub restarts: i32,
    /// It was not Ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unready: bool,
    /// It cannot be replaced: it is listed so that nothing waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passed_over: bool,
}

impl From<&Pod> for PlannedPod {
    fn from(pod: &Pod) -> Self {
        Self {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            restarts: pod.restarts,
            unready: !pod.ready,
            passed_over: false,
        }
    }
}

/// One change to the world. Each is idempotent and names what it is about by UID or digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Delete the request: its `ttlSecondsAfterFinished` is over.
    DeleteRequest,
    /// Put our finalizer on the request.
    AddFinalizer,
    /// Take it off.
    RemoveFinalizer,
    /// Make this run the active one of the workload's `RestartHistory`, creating that if it is absent.
    TakeLock,
    /// Write the result into the `RestartHistory` and make it idle; these ConfigMaps are known to be good as they are.
    ReleaseLock(Vec<String>),
    /// Copy all ConfigMaps that have no copy of the present content.
    CopyConfigMaps,
    /// Write the list of pods to replace.
    WritePlan(Vec<PlannedPod>),
    /// Write the list of pods to replace once more.
    WritePlanAgain(Vec<PlannedPod>),
    /// Write the candidate over that ConfigMap.
    Promote(String),
    /// Write the snapshot over that ConfigMap.
    Restore(String),
    /// Start that hook.
    RunHook(HookTime, String),
    /// Move the pod's hash label into an annotation and make the Deployment its controller.
    Detach(PodRef),
    /// The way back.
    Reattach(PodRef),
    /// Give the sidecar a drain lease, or renew it.
    Cordon(PodRef),
    /// End the lease.
    Release(PodRef),
    /// Give the pod the lowest deletion cost.
    MarkExpendable(PodRef),
    /// Evict it.
    Evict(PodRef),
    /// Delete it: it is not Ready, an eviction would ask a budget that it has already cost.
    Delete(PodRef),
}
