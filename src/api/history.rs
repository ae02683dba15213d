//! RestartHistory: one per workload, kept by the controller: lock, last results, last-known-good configuration.
//!
//! **Invariant:** users never write it; it outlives requests and dies with its workload.

use super::names::SUBDOMAIN;
use super::{Code, Phase, TargetRef, bounds};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which workload it is about.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "restart-controller.dev",
    version = "v1alpha1",
    kind = "RestartHistory",
    doc = "RestartHistory is kept by the controller for each workload: which restart holds it, how the last ones ended, and with which configuration it is known to run well. Read it; nobody but the controller writes it.",
    plural = "restarthistories",
    shortname = "rh",
    category = "restart",
    namespaced,
    status = "RestartHistoryStatus",
    derive = "PartialEq",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.targetRef.kind"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.active.request"),
    printcolumn(name = "Last-Result", type_ = "string", json_path = ".status.lastResult"),
    printcolumn(name = "Last-Run", type_ = "date", json_path = ".status.lastRunAt")
)]
#[serde(rename_all = "camelCase")]
pub struct RestartHistorySpec {
    /// The workload.
    pub target_ref: TargetRef,
}

/// What the controller remembers of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartHistoryStatus {
    /// `Idle`, or the phase of the run that holds the workload.
    #[schemars(length(max = 32))]
    pub state: String,
    /// The run that holds the workload: the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveRun>,
    /// Result of the last run.
    #[schemars(length(max = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_result: Option<String>,
    /// When the last run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<Time>,
    /// The last runs, newest first.
    #[schemars(length(max = 100))]
    pub runs: Vec<RunRecord>,
    /// The results of the last 512 runs that had a trigger, newest first: a request made anew with one of their keys ends at
    /// once with that result.
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub handled: Vec<HandledRun>,
    /// The configuration that the workload is known to run well with: that of its last successful run, or of pods that were
    /// all seen Ready on it.
    #[schemars(length(max = bounds::CONFIG_MAPS), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["configMap"]))]
    pub last_known_good: Vec<LastKnownGood>,
}

impl RestartHistoryStatus {
    /// `state` when no run holds the workload.
    pub const IDLE: &'static str = "Idle";
}

impl Default for RestartHistoryStatus {
    fn default() -> Self {
        Self {
            state: Self::IDLE.to_owned(),
            active: None,
            last_result: None,
            last_run_at: None,
            runs: vec![],
            handled: vec![],
            last_known_good: vec![],
        }
    }
}

/// The run that holds the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRun {
    /// Name of its request.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub request: String,
    /// UID of its request.
    #[schemars(length(max = bounds::ID))]
    pub uid: String,
    /// The generation of the request's spec that the run began with.
    #[serde(default)]
    pub generation: i64,
    /// The request's spec when the run started.
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub spec: serde_json::Value,
    /// The request's status as it was last written: with it the run is put back even if the request is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub status: Option<serde_json::Value>,
}

/// One run that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Name of its request.
    #[schemars(length(max = bounds::NAME))]
    pub request: String,
    /// UID of its request.
    #[schemars(length(max = bounds::ID))]
    pub uid: String,
    /// The generation of the request's spec that the run began with.
    #[serde(default)]
    pub generation: i64,
    /// The run's key, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub trigger: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub requested_by: Option<String>,
    /// Why.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Completed, Failed or Cancelled.
    pub result: Phase,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What happened, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// ConfigMaps that the run put back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = bounds::CONFIG_MAPS))]
    pub restored: Vec<RestoredMap>,
}

/// A ConfigMap that a failed run put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoredMap {
    /// The ConfigMap.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub config_map: String,
    /// Digest of the content that failed.
    #[schemars(length(max = bounds::ID))]
    pub failed_sha256: String,
    /// It holds the content that failed again: somebody, such as a GitOps tool, took the restore back.
    #[serde(default)]
    pub reverted: bool,
}

/// A run whose key is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandledRun {
    /// The first 32 characters of sha256(name of the request, line feed, trigger).
    #[schemars(length(max = 32))]
    pub key: String,
    /// Completed, Failed or Cancelled.
    pub result: Phase,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// A ConfigMap's content that the workload is known to run well with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastKnownGood {
    /// The ConfigMap.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub config_map: String,
    /// The immutable copy.
    #[schemars(length(max = bounds::NAME), regex(pattern = SUBDOMAIN))]
    pub snapshot: String,
    /// Digest of its data and binaryData.
    #[schemars(length(max = bounds::ID))]
    pub sha256: String,
}
