//! RestartRequest: one restart asked for. The doc comments here are what `kubectl explain` prints.
//!
//! **Invariant:** no default stands here for what depends on the workload's kind or on the controller's configuration;
//! what an absent field became is shown in `status.resolved`.

use super::Phase;
use super::bounds::NAME;
use super::names::{FINALIZER, LABEL, SUBDOMAIN};
use super::status::RestartRequestStatus;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which workload is restarted, why and how.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "restart-controller.dev",
    version = "v1alpha1",
    kind = "RestartRequest",
    doc = "RestartRequest asks for one restart of one workload without losing a request: its ConfigMaps are copied, its pods leave their Services, finish their requests and are replaced; on any failure configuration and pods go back.",
    plural = "restartrequests",
    shortname = "rr",
    category = "restart",
    namespaced,
    status = "RestartRequestStatus",
    derive = "PartialEq",
    selectable = ".spec.targetRef.kind",
    selectable = ".spec.targetRef.name",
    selectable = ".status.phase",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "In-Flight", type_ = "integer", json_path = ".status.inFlight"),
    printcolumn(name = "Requested-By", type_ = "string", json_path = ".status.requestedBy"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.targetRef == oldSelf.targetRef").message("targetRef never changes: create another RestartRequest"),
    validation = Rule::new(FROZEN).message("spec never changes but for cancel and ttlSecondsAfterFinished, or together with a new trigger: set another trigger, or create another RestartRequest"),
    validation = Rule::new("!has(oldSelf.trigger) || has(self.trigger)").message("trigger never goes away: set another one, or create another RestartRequest"),
    validation = Rule::new("!has(self.strategy) || !has(self.strategy.type) || self.strategy.type != 'Surge' || self.targetRef.kind == 'Deployment'").message("strategy.type Surge is for Deployments: pods of a StatefulSet or DaemonSet have no room for a second one; use Rolling"),
    validation = Rule::new("self.config.reload || !has(self.config.configMaps) || self.config.configMaps.all(map, !has(map.from))").message("config.reload: false forbids new configuration, so that nothing can be promoted: remove from")
)]
pub struct RestartRequestSpec {
    /// The workload to restart, in the namespace of this object. Never changes.
    pub target_ref: TargetRef,
    /// Why; shown to everybody who looks at the restart.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// The run's key: a new value on a finished request asks for one more run. Absent: one run per object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub trigger: Option<String>,
    /// Do not wait for in-flight requests. Snapshot, order, budget, gate and restore stay as they are.
    #[serde(default)]
    pub force: bool,
    /// Longest wait for one pod's in-flight requests, in seconds. Absent: the controller's default; at most its maxWaitSeconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<i32>,
    /// What happens when that wait runs out: the restart fails and is undone, or the pod goes all the same.
    #[serde(default)]
    pub on_timeout: TimeoutPolicy,
    /// What happens to requests that still arrive at a cordoned pod: served, or answered 503 with Retry-After.
    #[serde(default)]
    pub new_requests: NewRequestsPolicy,
    /// How much evidence of silence is asked for before a pod goes.
    #[serde(default)]
    pub drain: Drain,
    /// What happens when the workload is already being restarted: refused, or queued.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How pods are replaced. Absent: Surge for Deployments, else Rolling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Which configuration the restart is about.
    #[serde(default)]
    pub config: Config,
    /// What else runs before and after.
    #[serde(default)]
    pub hooks: Hooks,
    /// What must hold after the last pod.
    #[serde(default)]
    pub verify: Verify,
    /// Longest wait for a replacement, a budget or somebody else's rollout, in seconds.
    #[serde(default = "default_progress_deadline")]
    #[schemars(range(min = 1, max = 86_400))]
    pub progress_deadline_seconds: i32,
    /// Cancel the restart; has an effect in Pending and Preparing only, later it is refused and the run goes on.
    #[serde(default)]
    pub cancel: bool,
    /// Delete this object so many seconds after it has finished. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Who asked; stamped at admission, never written by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub requested_by: Option<String>,
}

/// What stands between the scheme and the end has no space and no control character in it.
const URL: &str = r"^https?://[^\s\x00-\x1f]+$";
/// An absolute path that a container can have for a mount.
const DIRECTORY: &str = r"^/[^:\x00-\x1f]+$";

/// A new trigger asks for another run, which may differ in everything. Else every field but `cancel` and
/// `ttlSecondsAfterFinished` is frozen; optional ones are compared by presence and value.
const FROZEN: &str = "has(self.trigger) && (!has(oldSelf.trigger) || self.trigger != oldSelf.trigger) || self.reason == oldSelf.reason && self.force == oldSelf.force && self.onTimeout == oldSelf.onTimeout \
&& self.newRequests == oldSelf.newRequests && self.drain == oldSelf.drain && self.concurrencyPolicy == oldSelf.concurrencyPolicy \
&& self.config == oldSelf.config && self.hooks == oldSelf.hooks && self.verify == oldSelf.verify \
&& self.progressDeadlineSeconds == oldSelf.progressDeadlineSeconds \
&& has(self.timeoutSeconds) == has(oldSelf.timeoutSeconds) && (!has(self.timeoutSeconds) || self.timeoutSeconds == oldSelf.timeoutSeconds) \
&& has(self.strategy) == has(oldSelf.strategy) && (!has(self.strategy) || self.strategy == oldSelf.strategy) \
&& has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)";

impl RestartRequest {
    /// The phase that its status says; absent before anybody has looked at it.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.status.as_ref()?.phase
    }

    /// Its trigger is another one than the run began with.
    #[must_use]
    pub fn triggered(&self) -> bool {
        let begun = self.status.as_ref().filter(|status| status.phase.is_some());
        begun.is_some_and(|status| status.last_handled_trigger != self.spec.trigger)
    }

    /// It carries our finalizer.
    #[must_use]
    pub fn held(&self) -> bool {
        self.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
    }
}

fn default_progress_deadline() -> i32 {
    600
}

/// A workload of apps/v1 in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// Deployment, StatefulSet or DaemonSet.
    pub kind: TargetKind,
    /// Its name.
    #[schemars(length(min = 1, max = NAME), regex(pattern = SUBDOMAIN))]
    pub name: String,
}

/// Kinds of workloads, all of apps/v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

/// What happens when in-flight requests outlast `timeoutSeconds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TimeoutPolicy {
    /// The restart fails and is undone.
    #[default]
    Fail,
    /// The pod goes all the same; the history says so.
    Proceed,
}

/// What happens to requests that still arrive at a cordoned pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NewRequestsPolicy {
    /// They are served.
    #[default]
    Serve,
    /// They are answered 503 with Retry-After.
    Reject,
}

/// What happens when the workload is already being restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// This request is refused.
    #[default]
    Forbid,
    /// This request waits.
    Queue,
}

/// The evidence asked for before a drained pod goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Shortest time without any new request, in seconds. Absent: the controller's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 300))]
    pub quiet_seconds: Option<i32>,
    /// Shortest drain, in seconds. Absent: 30 when a headless Service selects the pod, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub min_seconds: Option<i32>,
}

/// How pods are replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// Surge: each pod gets its replacement first. Rolling: it does not. Absent: Surge for Deployments.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub strategy_type: Option<StrategyType>,
    /// Largest batch, as a count or a percentage of the replicas. Absent: the Deployment's maxSurge, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "type(self) == int ? self >= 1 && self <= 1000 : self.matches('^([1-9][0-9]?|100)%$')",
        "message": "must be 1 to 1000, or 1% to 100%"
    }]), extend("maxLength" = 4))]
    pub max_parallel: Option<IntOrString>,
    /// Permit what interrupts service, such as taking a Service's last ready endpoint.
    #[serde(default)]
    pub allow_disruption: bool,
}

/// How pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StrategyType {
    /// A replacement is Ready before a pod leaves.
    Surge,
    /// A pod leaves, then its replacement comes.
    Rolling,
}

/// Which configuration the restart is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// false: the restart may not pick up changed configuration.
    #[serde(default = "yes")]
    pub reload: bool,
    /// The ConfigMaps to copy and, on failure, to restore. Absent: all that the pod template refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub config_maps: Option<Vec<ConfigMapRef>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { reload: true, config_maps: None }
    }
}

fn yes() -> bool {
    true
}

/// A ConfigMap, and what to promote over it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.from) || self.from != self.name", "from must be another ConfigMap"))]
pub struct ConfigMapRef {
    /// The ConfigMap that the pods use.
    #[schemars(length(min = 1, max = NAME), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// The candidate whose data is written over it before any pod is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME), regex(pattern = SUBDOMAIN))]
    pub from: Option<String>,
}

/// What else runs before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// Before any pod is touched, one after the other.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pre: Vec<Hook>,
    /// After the last pod and the soak, one after the other.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub post: Vec<Hook>,
}

/// One hook: exactly one of `http` and `job`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.http) != has(self.job)", "exactly one of http and job"))]
pub struct Hook {
    /// Its name in the history.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub name: String,
    /// An HTTP request; 2xx is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpHook>,
    /// A Job; its completion is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobHook>,
    /// Longest time it may take, in seconds.
    #[serde(default = "default_hook_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: i32,
    /// What its failure means.
    #[serde(default)]
    pub on_failure: FailurePolicy,
}

fn default_hook_timeout() -> i32 {
    30
}

/// An HTTP request. POST and PUT carry JSON: request, run, hook, time, phase, target, reason, requestedBy and trigger. Each
/// has the header Idempotency-Key, the same however often it is sent: a controller that is restarted meanwhile sends it
/// again, and a receiver that honours the key acts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHook {
    /// Where to: `http://` or `https://`, a Service of the cluster or any other host; a name without a dot is a Service of
    /// this namespace. Loopback and link-local addresses are refused, redirects are not followed.
    #[schemars(length(min = 1, max = 2048), regex(pattern = URL))]
    pub url: String,
    /// Its method.
    #[serde(default)]
    pub method: HttpMethod,
}

/// Methods of an HTTP hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpMethod {
    /// GET.
    #[serde(rename = "GET")]
    Get,
    /// POST.
    #[default]
    #[serde(rename = "POST")]
    Post,
    /// PUT.
    #[serde(rename = "PUT")]
    Put,
}

/// A Job, made once for each run and deleted an hour after its end unless its template says otherwise. Its pods run as the
/// namespace's service account default, without its token unless the template mounts it, are not tried again unless
/// backoffLimit says so, and must not have the labels of the workload's pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobHook {
    /// A batch/v1 Job's template: metadata (labels, annotations) and spec.
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub template: serde_json::Value,
    /// A directory: every container of the Job finds the configuration that new pods start on below it, each ConfigMap's
    /// keys as files of a directory of its name. Absent: nothing is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 512), regex(pattern = DIRECTORY))]
    pub mount_candidate_at: Option<String>,
}

/// What the failure of a hook means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// The restart fails and is undone.
    #[default]
    Fail,
    /// It goes on; the history says so.
    Ignore,
}

/// What must hold after the last pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {
    /// How long all pods must stay Ready, with no container restarting, in seconds.
    #[serde(default = "default_soak")]
    #[schemars(range(min = 0, max = 3600))]
    pub soak_seconds: i32,
}

impl Default for Verify {
    fn default() -> Self {
        Self { soak_seconds: default_soak() }
    }
}

fn default_soak() -> i32 {
    10
}
