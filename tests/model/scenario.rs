//! What a search is about: a workload, a request, and what may disturb them.
//!
//! **Invariant:** does not change along a path.

use restart_controller::api::{StrategyType, TimeoutPolicy};
use restart_controller::machine::RefusedEffect;

/// What does not change along a path.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Scenario {
    /// A sentence for people.
    pub name: &'static str,
    pub strategy: StrategyType,
    pub max_parallel: usize,
    /// Pods at the start.
    pub pods: u8,
    /// Nothing happens that could stop an old pod: none may stop.
    pub old_pods_stay: bool,
    /// Something has to end before the run begins.
    pub queued: bool,
    pub force: bool,
    pub on_timeout: TimeoutPolicy,
    pub pdb: Option<Pdb>,
    /// A Service selects the pods.
    pub service: bool,
    /// The request names a candidate ConfigMap.
    pub from: bool,
    /// An earlier run has recorded last-known-good.
    pub known_good: bool,
    /// A pod that starts on the new content never becomes Ready.
    pub bad: bool,
    /// Disturbances per path.
    pub budget: u8,
    /// Which disturbances.
    pub disturbances: &'static [Disturbance],
}

/// A `PodDisruptionBudget` by `maxUnavailable`.
#[derive(Clone, Copy, Debug)]
pub struct Pdb {
    pub max_unavailable: u8,
    pub always_allow: bool,
}

/// What the environment may do to a run, each at a price of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The controller dies: before, between and after effects.
    Crash,
    /// A decision is carried out later than it was made: a stale cache, or a leader that was asleep.
    Sleep,
    /// A pod is lost with its node.
    PodDeath,
    /// No node takes a new pod.
    NoNode,
    /// A pod's container is restarted, on whatever the ConfigMap holds.
    ContainerRestart,
    /// A sidecar stops answering.
    Silence,
    /// A sidecar is restarted: lease and count are gone.
    SidecarRestart,
    /// A request arrives late at a drained pod.
    LateRequest,
    /// A request never ends.
    LongRequest,
    /// `timeoutSeconds` pass.
    DrainTimeout,
    /// `progressDeadlineSeconds` pass.
    Deadline,
    /// The controller is paused and a lease runs out.
    LeaseExpiry,
    /// Somebody edits the ConfigMap.
    Edit,
    /// Somebody deletes the ConfigMap.
    Removal,
    /// The request is deleted.
    Delete,
    /// The request is cancelled.
    Cancel,
    /// One replica more.
    ScaleUp,
    /// One replica less.
    ScaleDown,
    /// Somebody else's rollout begins.
    Rollout,
    /// The workload is deleted.
    TargetGone,
    /// The history is edited: another run holds the workload.
    LockStolen,
    /// The history is edited: nobody holds the workload.
    LockFreed,
    /// The cluster refuses a kind of effect for good.
    Refusal(RefusedEffect),
    /// A check fails.
    Verdict,
    /// The namespace is deleted.
    Namespace,
}
