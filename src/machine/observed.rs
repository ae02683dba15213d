//! What the machine sees: small values, each doubt one of them.
//!
//! **Invariant:** no Kubernetes object and no time: clocks have become [`Deadline`], [`Soak`] and the fields of [`Drain`].

use crate::api::{
    Code, HookProgress, HookTime, Outcome, Phase, Plan, PodProgress, Snapshot, SnapshotEntry, Step, StrategyType,
    TimeoutPolicy,
};

/// Everything that a decision may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observed {
    /// What the user asks now.
    pub asked: Asked,
    /// Where the run stands; absent for a request that nobody has looked at.
    pub cursor: Option<Cursor>,
    /// Whether the request carries our finalizer.
    pub finalizer: bool,
    /// Who holds the workload.
    pub lock: Lock,
    /// The workload.
    pub target: Target,
    /// Why the restart may not begin; looked for until it has.
    pub verdict: Option<Verdict>,
    /// Why the restart has to wait before it begins.
    pub hold: Option<Hold>,
    /// A run with this request's key has ended before, under an object that is gone.
    pub handled: Option<Handled>,
    /// The hooks, in the order in which they run.
    pub hooks: Vec<HookView>,
    /// The ConfigMaps.
    pub config: Vec<ConfigMapView>,
    /// The lists of pods.
    pub plan: PlanView,
    /// The workload's pods that exist, detached ones included, in the order in which they are restarted: oldest first, in a
    /// StatefulSet the highest ordinal first.
    pub pods: Vec<Pod>,
    /// That order holds even for pods whose nodes are being drained: a StatefulSet's.
    pub ordered: bool,
    /// How the workload's controller replaces a pod that goes.
    pub replacement: Replacement,
    /// Whether the workload's own pods are all there and serving.
    pub gate: Gate,
    /// Whether the batch may go; asked only where it matters.
    pub budget: Budget,
    /// `progressDeadlineSeconds`, since the present step was entered.
    pub deadline: Deadline,
    /// `verify.soakSeconds`, since all pods were first seen Ready in this step.
    pub soak: Soak,
    /// An effect that the cluster will never allow.
    pub refusal: Option<Refusal>,
    /// What kept the last effects from being carried out; absent once they are, or when none were tried in this step.
    pub trouble: Option<String>,
}

/// How a workload's controller replaces a pod that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replacement {
    /// At once, on any node: a Deployment's.
    Anywhere,
    /// When the pod is gone, in its place: a DaemonSet's, and a StatefulSet's whose pods are managed in parallel.
    InPlace,
    /// When the pod is gone and every pod below it is Ready: a StatefulSet's (kubernetes/kubernetes#67250).
    InOrder,
}

/// What the user asks now.
#[allow(clippy::struct_excessive_bools)] // each is a field of the spec or of the metadata, independent of the others
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The request is being deleted.
    pub deleting: bool,
    /// The namespace is being deleted.
    pub namespace_terminating: bool,
    /// `spec.cancel`.
    pub cancel: bool,
    /// `spec.force`.
    pub force: bool,
    /// `spec.onTimeout`.
    pub on_timeout: TimeoutPolicy,
    /// `spec.concurrencyPolicy` is Queue.
    pub queue: bool,
    /// `spec.strategy.allowDisruption`.
    pub allow_disruption: bool,
    /// `spec.config.reload`.
    pub reload: bool,
    /// `spec.trigger` is another one than the run began with.
    pub triggered: bool,
    /// The run has ended, and `spec.ttlSecondsAfterFinished` is over.
    pub expired: bool,
    /// The strategy, resolved.
    pub strategy: StrategyType,
    /// The largest batch, resolved; at least 1.
    pub max_parallel: usize,
    /// The status is about an older generation.
    pub generation_unseen: bool,
}

/// Where the run stands, as its status says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The step.
    pub step: Step,
    /// How the run ends, once that is certain.
    pub outcome: Option<Outcome>,
    /// The pods being worked on.
    pub batch: Vec<PodProgress>,
    /// The copies, once recorded.
    pub snapshot: Option<Snapshot>,
    /// The lists, once recorded.
    pub plan: Option<Plan>,
    /// The hooks that have been started.
    pub hooks: Vec<HookProgress>,
    /// Pods are being replaced once more, because they started on the bad configuration.
    pub again: bool,
    /// A cancel that came too late has been answered.
    pub cancel_rejected: bool,
}

/// Who holds the workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lock {
    /// Nobody.
    Free,
    /// This run.
    Ours,
    /// Another request, by name.
    Other(String),
    /// Nobody; this run held it, and its result is on record.
    Done,
}

/// The workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// It is the one that the run began with, or the run has not begun.
    Same {
        /// `spec.replicas`.
        replicas: usize,
    },
    /// Its newest `ReplicaSet` is another one than the run began with.
    RollingOut,
    /// It is gone, or another one has its name.
    Gone,
}

/// Why the restart may not begin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The code.
    pub code: Code,
    /// What is wrong, with which object, and what to do.
    pub message: String,
}

/// Why the restart has to wait before it begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// What it waits for.
    pub message: String,
    /// Whether the wait ends at `progressDeadlineSeconds`.
    pub bounded: bool,
}

/// A run that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handled {
    /// Completed, Failed or Cancelled.
    pub result: Phase,
    /// Why it failed.
    pub code: Option<Code>,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HookView {
    /// Before or after the pods.
    pub time: HookTime,
    /// Its name.
    pub name: String,
    /// `onFailure` is Ignore.
    pub ignore: bool,
    /// What is seen of it.
    pub run: HookRun,
}

/// What is seen of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HookRun {
    /// Nothing: it has to be started, or started again with the same key because the process that asked is gone.
    Absent,
    /// It is running.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed; what it said.
    Failed(String),
}

/// One ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConfigMapView {
    /// What the status records, or will.
    pub entry: SnapshotEntry,
    /// The pod template refers to it, so that a pod may have failed on it.
    pub referred: bool,
    /// The copy that a restore writes.
    pub snapshot: Copied,
    /// The copy of what new pods start on.
    pub candidate: Copied,
    /// What the ConfigMap holds now.
    pub content: Content,
    /// Another workload that has been restarted onto the candidate, or is being.
    pub shared_with: Option<String>,
    /// The tool that applies it from Git.
    pub applied_by: Option<String>,
}

/// What has become of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copied {
    /// It does not exist.
    Absent,
    /// It exists and holds exactly what the status records, or will.
    Held,
    /// An object of its name exists and holds something else.
    Altered,
}

/// What a ConfigMap holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// What a restore would write.
    Snapshot,
    /// What new pods start on in this run.
    Candidate,
    /// Something else: somebody edited it.
    Other,
    /// It is gone.
    Missing,
}

/// The lists of pods, each an immutable ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanView {
    /// Name of the list of pods to replace.
    pub name: String,
    /// What has become of it.
    pub list: List,
    /// Name of the list of pods to replace once more.
    pub again_name: String,
    /// What has become of that one.
    pub again: List,
    /// How many pods of the first list were not Ready when it was written.
    pub unready: usize,
}

/// What has become of a list of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// It does not exist.
    Absent,
    /// It exists.
    Written,
    /// An object of its name exists and cannot be read as a list of pods.
    Altered,
}

/// One pod of the workload.
#[allow(clippy::struct_excessive_bools)] // each is seen on its own: all combinations happen
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The resourceVersion at which all the rest was seen.
    pub version: String,
    /// Which list names it.
    pub role: Role,
    /// Whose it is.
    pub attachment: Attachment,
    /// Its node takes no new pods: it is being drained.
    pub leaving: bool,
    /// It has a node, so that its configuration may be what keeps it from being Ready.
    pub scheduled: bool,
    /// Its condition Ready.
    pub ready: bool,
    /// It holds no drain lease, and the kubelet's last probe was told that it is not ready: its condition, and the slices,
    /// may be about to say so.
    pub told_unready: bool,
    /// It has a deletionTimestamp.
    pub terminating: bool,
    /// Some `EndpointSlice` shows it ready.
    pub in_slices: bool,
    /// It is in the batch, and without the batch some Service (or node under a Local policy) would have no ready endpoint.
    pub last_endpoint: bool,
    /// What its sidecar says.
    pub drain: Drain,
    /// Its deletion cost is the lowest.
    pub expendable: bool,
    /// How often its containers were restarted.
    pub restarts: i32,
    /// More often than when the list that names it was written; at all, if none does.
    pub restarted: bool,
    /// It was Ready in the soak and is not any more.
    pub lapsed: bool,
    /// A container of it exited twice; what it said.
    pub broken: Option<String>,
    /// It was not Ready when the list was written.
    pub unready_at_start: bool,
    /// Its node is not Ready, or it has been terminating for longer than its grace period: when it goes cannot be told.
    pub unreachable: bool,
    /// Why it is not Ready, for people.
    pub ailment: Option<String>,
}

/// Which list names a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// To be replaced.
    Planned,
    /// The first one, as a pod that cannot be replaced: it is left as it is, and nothing waits for it.
    PassedOver,
    /// None: it was born after the list.
    New,
    /// To be replaced once more.
    Again,
}

/// Whose a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attachment {
    /// The `ReplicaSet`'s that the run began with.
    Attached,
    /// The Deployment's own: detached by us.
    Detached,
    /// Another `ReplicaSet`'s, or nobody's.
    Foreign,
}

/// What a pod's sidecar says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drain {
    /// It does not answer, or what it answers cannot be trusted: never taken for zero.
    Unknown {
        /// It has been so for longer than `timeoutSeconds` since this pod's drain began.
        overdue: bool,
    },
    /// It answers and holds no lease.
    Open,
    /// It holds a lease.
    Cordoned {
        /// The lease should be renewed.
        stale: bool,
        /// Requests in flight.
        in_flight: u64,
        /// No new request for the quiet window, all Services without it all the while, and the shortest drain is over.
        quiet: bool,
        /// `timeoutSeconds` are over.
        overdue: bool,
    },
}

/// Whether the workload's own pods number `spec.replicas`, all available and ready in every `EndpointSlice`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// They are.
    Open,
    /// Not yet; what is missing.
    Waiting(String),
    /// They will not be: a pod that this run started fails; what it said.
    Failing(String),
}

/// Whether the batch may go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Nobody asked.
    NotAsked,
    /// So many of the batch may go now; at least 1.
    Allowed(usize),
    /// None may; what the API server said.
    Refused(String),
    /// Another run takes pods out of the same Service or budget, or is first; who, for people.
    Taken(String),
    /// The batch is cordoned and the budget is below what it asks for.
    Lost(String),
}

/// A deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// Not reached.
    Ahead,
    /// Reached.
    Passed,
}

/// The soak at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Soak {
    /// Not long enough yet.
    Running,
    /// Long enough.
    Over,
}

/// An effect that the cluster refused for good (403, 422 or the like).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Which.
    pub effect: RefusedEffect,
    /// What the API server said.
    pub message: String,
}

/// Effects whose refusal ends the run, by what they were about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedEffect {
    /// A copy of the configuration.
    Copy,
    /// A promotion.
    Promotion,
    /// A restore.
    Restore,
    /// A hook.
    Hook,
    /// Anything else.
    Other,
}

impl Observed {
    /// The pod of that UID, if it still exists.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.uid == uid)
    }

    /// What has kept the last effects from being carried out until the deadline.
    #[must_use]
    pub fn overdue_trouble(&self) -> Option<&str> {
        self.trouble.as_deref().filter(|_| self.deadline == Deadline::Passed)
    }
}

impl ConfigMapView {
    /// New pods start on something else than what a restore would write.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.entry.sha256 != self.entry.candidate_sha256
    }

    /// Both copies exist and hold what they should.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        self.snapshot == Copied::Held && self.candidate == Copied::Held
    }

    /// The name of a copy in whose place something else stands.
    #[must_use]
    pub fn altered_copy(&self) -> Option<&str> {
        match (self.snapshot, self.candidate) {
            (Copied::Altered, _) => Some(&self.entry.snapshot),
            (_, Copied::Altered) => Some(&self.entry.candidate),
            (Copied::Absent | Copied::Held, Copied::Absent | Copied::Held) => None,
        }
    }
}

impl Pod {
    /// It exists and nobody has told it to go.
    #[must_use]
    pub fn alive(&self) -> bool {
        !self.terminating
    }

    /// It has not been Ready since the list was written, serves no Service, and is to be replaced: it needs no replacement
    /// before it goes.
    #[must_use]
    pub fn is_ailing(&self) -> bool {
        let serves = self.ready || self.in_slices || self.cordoned();
        self.unready_at_start && self.role == Role::Planned && self.attachment == Attachment::Attached && !serves
    }

    /// Its sidecar holds a drain lease.
    #[must_use]
    pub fn cordoned(&self) -> bool {
        matches!(self.drain, Drain::Cordoned { .. })
    }

    /// In flight 0 for the quiet window and in no Service: it may go.
    #[must_use]
    pub fn drained(&self) -> bool {
        matches!(self.drain, Drain::Cordoned { in_flight: 0, quiet: true, .. }) && !self.in_slices
    }

    /// Its wait has lasted for `timeoutSeconds`.
    #[must_use]
    pub fn overdue(&self) -> bool {
        matches!(self.drain, Drain::Cordoned { overdue: true, .. } | Drain::Unknown { overdue: true })
    }
}
