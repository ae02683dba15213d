//! What a search is about: a workload, a request, and what may disturb them.
//!
//! **Invariant:** does not change along a path.

use crate::pod::Illness;
use restart_controller::api::{HookTime, StrategyType, TimeoutPolicy};
use restart_controller::machine::RefusedEffect;

/// What does not change along a path.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Scenario {
    /// A sentence for people.
    pub name: &'static str,
    pub kind: Kind,
    pub strategy: StrategyType,
    pub max_parallel: usize,
    /// Pods at the start.
    pub pods: u8,
    /// Which of them are ill from the start, and how.
    pub ill: &'static [u8],
    pub illness: Illness,
    /// Nothing happens that could stop an old pod: none may stop.
    pub old_pods_stay: bool,
    /// Something has to end before the run begins.
    pub queued: bool,
    /// Another run holds the workload when the request is made; what it says of that is Queue.
    pub queue: bool,
    /// The workload's history knows the request's key.
    pub handled: bool,
    /// The request goes when its time is over.
    pub ttl: bool,
    pub pre: Option<HookPlan>,
    pub post: Option<HookPlan>,
    pub force: bool,
    pub allow_disruption: bool,
    /// Changed configuration may be picked up.
    pub reload: bool,
    pub on_timeout: TimeoutPolicy,
    pub pdb: Option<Pdb>,
    /// A Service selects the pods.
    pub service: bool,
    /// Another Service does, too; its slices follow in their own time.
    pub second: bool,
    /// The request names a candidate ConfigMap.
    pub from: bool,
    /// An earlier run has recorded last-known-good.
    pub known_good: bool,
    /// A pod that starts on the new content never becomes Ready.
    pub bad: bool,
    /// Nor does it after a restart of its containers on other content: it has to be deleted.
    pub incurable: bool,
    /// Disturbances per path.
    pub budget: u8,
    /// Which disturbances.
    pub disturbances: &'static [Disturbance],
}

impl Scenario {
    /// The request's hook of that time.
    pub fn hook(&self, time: HookTime) -> Option<HookPlan> {
        match time {
            HookTime::Pre => self.pre,
            HookTime::Post => self.post,
        }
    }
}

/// What kind of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Deployment,
    /// Pods have places; a place is filled anew when its pod is gone, in order of the places or all at once.
    StatefulSet {
        ordered: bool,
    },
}

/// A hook of the request.
#[derive(Clone, Copy, Debug)]
pub struct HookPlan {
    /// A Job, which outlives the controller's process; else HTTP, of which only that process knows.
    pub job: bool,
    pub ignore: bool,
    pub fails: bool,
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
    /// Another trigger is set.
    Trigger,
    /// A pod is not Ready for a moment.
    Lapse,
    /// A pod on the new content breaks after it has been Ready.
    Break,
    /// Somebody writes the failed content back after the restore.
    Revert,
    /// Another workload is restarted onto the candidate.
    Share,
    /// The budget's status stays as it is for a while.
    BudgetLag,
    /// Somebody deletes the lists of pods.
    ListLost,
    /// A pod's node is being drained.
    NodeLeaves,
    /// A pod's node is not Ready any more.
    NodeLost,
    /// A sidecar answers and obeys no command any more.
    Refuses,
    /// Effects are carried out, and what is heard of them is an error.
    ReplyLost,
    /// Somebody deletes the copies of the configuration.
    CopiesLost,
    /// From now on the API server errs when it is asked whether a pod may be evicted.
    BudgetErrs,
}
