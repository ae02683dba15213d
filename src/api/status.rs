//! RestartRequest's status: what people and the next pass of the controller read.
//!
//! **Invariant:** never a ConfigMap's data, only names and digests; timestamps are for people, no decision reads them.

use super::names::SUBDOMAIN;
use super::{Code, Phase, Step, StrategyType, bounds};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The end is the end (I6), but for a run that another trigger asks for.
const TERMINAL: &str = "!has(oldSelf.phase) || !(oldSelf.phase in ['Completed', 'Failed', 'Cancelled']) \
|| has(self.phase) && self.phase == oldSelf.phase \
|| has(self.lastHandledTrigger) && (!has(oldSelf.lastHandledTrigger) || self.lastHandledTrigger != oldSelf.lastHandledTrigger)";

/// What has become of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": TERMINAL, "message": "a restart that has ended stays ended: set another trigger in its spec"}]))]
pub struct RestartRequestStatus {
    /// The generation of the spec that this status is about; -1 until the controller has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the restart stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The step inside the phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// RESTART_00n when refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// A sentence for people.
    #[schemars(length(max = bounds::MESSAGE))]
    pub message: String,
    /// Pods restarted / planned.
    #[schemars(length(max = bounds::PROGRESS))]
    pub progress: String,
    /// Requests in flight in the pods that are being drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<i64>,
    /// What absent fields became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Who asked, as the spec said when the run started.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// When the run started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How long the run was expected to take when it started, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_seconds: Option<i64>,
    /// The generation of the spec that the run began with: with the UID it names the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_generation: Option<i64>,
    /// The trigger of the last run.
    #[schemars(length(max = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_trigger: Option<String>,
    /// The copies of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// The pods to replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The pods being worked on: a batch, and in recovery as many replacements again.
    #[schemars(length(max = bounds::WORKED_ON))]
    pub pods: Vec<PodProgress>,
    /// The hooks that have been started.
    #[schemars(length(max = bounds::HOOKS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookProgress>,
    /// What is certain about the end, from the moment it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Every phase with its times; the oldest entries are merged when there are more than 64.
    #[schemars(length(max = bounds::HISTORY), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<HistoryEntry>,
    /// Ready, Reconciling and Stalled as kstatus reads them; Succeeded; and what has been reached.
    #[schemars(length(max = bounds::CONDITIONS), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What absent fields of the spec became when the run started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// How pods are replaced.
    pub strategy: StrategyType,
    /// Largest batch, in pods.
    #[schemars(range(min = 1, max = bounds::PARALLEL))]
    pub max_parallel: i32,
    /// Longest wait for one pod's in-flight requests, in seconds.
    pub timeout_seconds: i32,
    /// Shortest silence asked for, in seconds.
    pub quiet_seconds: i32,
    /// Shortest drain, in seconds.
    pub min_seconds: i32,
    /// What tells the pod template that the run began with from others: a Deployment's `pod-template-hash`, the
    /// `updateRevision` of a StatefulSet, the `controller-revision-hash` of a DaemonSet.
    #[schemars(length(max = bounds::NAME))]
    pub revision: String,
    /// UID of the workload that the run began with.
    #[schemars(length(max = bounds::ID))]
    pub workload_uid: String,
}

/// The copies of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// One entry per ConfigMap.
    #[schemars(length(max = bounds::CONFIG_MAPS))]
    pub config_maps: Vec<SnapshotEntry>,
}

/// One ConfigMap's copy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotEntry {
    /// The ConfigMap that the pods use.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// The immutable copy that a restore writes back.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub snapshot: String,
    /// Digest of that copy's data and binaryData.
    #[schemars(length(max = bounds::ID))]
    pub sha256: String,
    /// Where the copy comes from.
    pub source: SnapshotSource,
    /// The immutable copy of what new pods start on.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub candidate: String,
    /// Digest of what new pods start on: the content at request time, or what is promoted.
    #[schemars(length(max = bounds::ID))]
    pub candidate_sha256: String,
    /// Whether the run writes the candidate over the ConfigMap.
    pub promoted: bool,
    /// The ConfigMap has been seen to hold the copy again: it is restored once, and no second time if somebody takes that back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
}

/// Where the content that a restore writes comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotSource {
    /// The copy recorded by the last successful run.
    LastKnownGood,
    /// The content when the run began.
    AtRequest,
}

/// The pods to replace, fixed at the start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The immutable ConfigMap that lists their UIDs.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub config_map: String,
    /// How many they are.
    pub pods: i64,
    /// UIDs of pods born between the list and the promotion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::LATE), inner(length(max = bounds::ID)))]
    pub late: Vec<String>,
    /// The immutable ConfigMap that lists the pods to replace once more, because they started on the bad configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub again: Option<String>,
}

/// A pod being worked on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodProgress {
    /// Its name.
    #[schemars(length(max = bounds::NAME))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = bounds::ID))]
    pub uid: String,
    /// What is happening to it.
    pub state: PodState,
    /// It has not been Ready since the run began, so that it goes first and needs no replacement before it goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unready: bool,
}

/// What is happening to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PodState {
    /// It serves and waits for its replacement or for a budget.
    Chosen,
    /// It is out of its Services and finishes its requests.
    Draining,
    /// It finished its requests and may go.
    Drained,
    /// Its requests outlasted the timeout; it goes all the same because onTimeout is Proceed.
    Overdue,
    /// It goes without a wait because the request says force.
    Forced,
    /// It drains while it terminates: it is the last ready endpoint, or it has not been Ready since the run began and its
    /// sidecar does not answer.
    Terminating,
    /// A replacement that goes so that the old pod can come back.
    Expendable,
}

/// A hook that has been started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookProgress {
    /// Before or after the pods.
    pub time: HookTime,
    /// Its name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// What has become of it.
    pub state: HookState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = bounds::SENTENCE))]
    pub message: String,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum HookTime {
    /// Before any pod is touched.
    Pre,
    /// After the last pod and the soak.
    Post,
}

/// What has become of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum HookState {
    /// It was started, or is about to be.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It failed and onFailure is Ignore.
    Ignored,
}

/// How the run ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Completed, Failed or Cancelled.
    pub result: Phase,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// A sentence for people.
    #[schemars(length(max = bounds::SENTENCE))]
    pub message: String,
    /// Pods failed on the configuration, so that a changed one is restored.
    pub suspect_configuration: bool,
    /// What could not be put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::SENTENCE))]
    pub not_restored: Option<String>,
    /// One word for it: NoBaseline, RestoreConflict, PodsNotReady, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = bounds::WORD))]
    pub not_restored_reason: Option<String>,
}

/// One phase that the run went through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The phase.
    pub phase: Phase,
    /// One word: the step, or why the phase was entered.
    #[schemars(length(max = bounds::WORD))]
    pub reason: String,
    /// A sentence for people.
    #[schemars(length(max = bounds::ENTRY_MESSAGE))]
    pub message: String,
    /// When it was entered.
    pub started_at: Time,
    /// When it was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The pods it was about, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::ENTRY_PODS), inner(length(max = bounds::NAME)))]
    pub pods: Vec<String>,
    /// How many entries were merged into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<i64>,
}

/// A condition as every Kubernetes tool reads it (metav1.Condition).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    #[schemars(length(max = bounds::WORD))]
    pub condition_type: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// One word.
    #[schemars(length(max = bounds::WORD))]
    pub reason: String,
    /// A sentence for people.
    #[schemars(length(max = bounds::SENTENCE))]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// The generation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Three-valued truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}
