//! The scenarios that are searched.
//!
//! **Invariant:** together they stay within the time of one test run; each says what it is about.

use crate::scenario::{Disturbance, Pdb, Scenario};
use restart_controller::api::{StrategyType, TimeoutPolicy};
use restart_controller::machine::RefusedEffect;

use Disturbance::{
    Cancel, ContainerRestart, Crash, Deadline, Delete, DrainTimeout, Edit, LateRequest, LeaseExpiry, LockFreed,
    LockStolen, LongRequest, Namespace, NoNode, PodDeath, Refusal, Removal, Rollout, ScaleDown, ScaleUp,
    SidecarRestart, Silence, Sleep, TargetGone, Verdict,
};

/// Everything that may happen.
pub const ANY: &[Disturbance] = &[
    Crash,
    Sleep,
    PodDeath,
    NoNode,
    ContainerRestart,
    Silence,
    SidecarRestart,
    LateRequest,
    LongRequest,
    DrainTimeout,
    Deadline,
    LeaseExpiry,
    Edit,
    Removal,
    Delete,
    Cancel,
    ScaleUp,
    ScaleDown,
    Rollout,
    TargetGone,
    LockStolen,
    LockFreed,
    Refusal(RefusedEffect::Copy),
    Refusal(RefusedEffect::Promotion),
    Refusal(RefusedEffect::Restore),
    Refusal(RefusedEffect::Other),
    Verdict,
    Namespace,
];

const SURGE: Scenario = Scenario {
    name: "one pod by Surge",
    strategy: StrategyType::Surge,
    max_parallel: 1,
    pods: 1,
    old_pods_stay: false,
    queued: false,
    force: false,
    on_timeout: TimeoutPolicy::Fail,
    pdb: None,
    service: true,
    from: true,
    known_good: true,
    bad: false,
    budget: 2,
    disturbances: ANY,
};

const ROLLING: Scenario =
    Scenario { name: "two pods by Rolling", budget: 2, strategy: StrategyType::Rolling, pods: 2, ..SURGE };

const NONE: Option<Pdb> = Some(Pdb { max_unavailable: 0, always_allow: false });
const ONE: Option<Pdb> = Some(Pdb { max_unavailable: 1, always_allow: false });
const ALWAYS: Option<Pdb> = Some(Pdb { max_unavailable: 0, always_allow: true });

pub fn all() -> Vec<Scenario> {
    vec![
        SURGE,
        Scenario { name: "one pod by Surge, queued", queued: true, budget: 1, ..SURGE },
        Scenario { name: "one pod by Surge onto a bad candidate", bad: true, ..SURGE },
        Scenario { name: "one pod by Surge, edited in place, bad", from: false, bad: true, ..SURGE },
        Scenario {
            name: "one pod by Surge, edited in place, bad, no baseline",
            from: false,
            bad: true,
            known_good: false,
            ..SURGE
        },
        Scenario {
            name: "one pod by Surge, maxUnavailable 0, Proceed",
            pdb: NONE,
            on_timeout: TimeoutPolicy::Proceed,
            ..SURGE
        },
        Scenario { name: "one pod by Surge, force", force: true, ..SURGE },
        Scenario { name: "two pods by Surge, bad", pods: 2, bad: true, ..SURGE },
        Scenario { name: "two pods by Surge at once, bad", pods: 2, max_parallel: 2, bad: true, budget: 1, ..SURGE },
        Scenario { name: "two pods by Surge, maxUnavailable 0, AlwaysAllow", pods: 2, pdb: ALWAYS, budget: 1, ..SURGE },
        Scenario { name: "three pods by Surge at once", pods: 3, max_parallel: 3, budget: 1, ..SURGE },
        Scenario {
            name: "three pods by Surge, two at once, bad",
            pods: 3,
            max_parallel: 2,
            bad: true,
            budget: 1,
            ..SURGE
        },
        Scenario {
            name: "three pods by Surge, the first replacement fails",
            pods: 3,
            bad: true,
            old_pods_stay: true,
            disturbances: &[Crash, Sleep, Delete, Cancel, ScaleUp, LockFreed, Deadline],
            ..SURGE
        },
        Scenario { budget: 1, ..ROLLING },
        Scenario { name: "two pods by Rolling onto a bad candidate", bad: true, ..ROLLING },
        Scenario { name: "two pods by Rolling, maxUnavailable 1", pdb: ONE, ..ROLLING },
        Scenario { name: "two pods by Rolling, maxUnavailable 0", pdb: NONE, budget: 1, ..ROLLING },
        Scenario {
            name: "one pod by Rolling, no Service, maxUnavailable 1",
            pods: 1,
            service: false,
            pdb: ONE,
            ..ROLLING
        },
        Scenario { name: "two pods by Rolling, force", force: true, budget: 1, ..ROLLING },
        Scenario {
            name: "two pods by Rolling at once, Proceed",
            max_parallel: 2,
            on_timeout: TimeoutPolicy::Proceed,
            ..ROLLING
        },
        Scenario {
            name: "three pods by Rolling, two at once, bad",
            pods: 3,
            max_parallel: 2,
            bad: true,
            budget: 1,
            ..ROLLING
        },
        Scenario {
            name: "three pods by Rolling, edited in place, bad",
            pods: 3,
            from: false,
            bad: true,
            budget: 1,
            ..ROLLING
        },
    ]
}

/// What fails by itself, disturbed by what leaves the cluster able to put everything back.
pub fn failing() -> Vec<Scenario> {
    const MEANWHILE: &[Disturbance] = &[Crash, Sleep, LateRequest, LongRequest, DrainTimeout, LeaseExpiry, Delete];
    // In Rolling a pod on the bad configuration whose requests never end keeps it: that is told, and not undone.
    const FINITE: &[Disturbance] = &[Crash, Sleep, LateRequest, LeaseExpiry, Delete];
    vec![
        Scenario { name: "two pods by Surge, bad", pods: 2, bad: true, disturbances: MEANWHILE, ..SURGE },
        Scenario { name: "one pod by Surge, bad in place", from: false, bad: true, disturbances: MEANWHILE, ..SURGE },
        Scenario { name: "two pods by Rolling, bad", bad: true, disturbances: FINITE, ..ROLLING },
    ]
}

/// What fails by itself, with a controller that crashes and falls asleep.
pub fn unwinding() -> Vec<Scenario> {
    const CRASHES: &[Disturbance] = &[Crash, Sleep];
    vec![
        Scenario {
            name: "two pods by Surge at once, bad",
            pods: 2,
            max_parallel: 2,
            bad: true,
            disturbances: CRASHES,
            ..SURGE
        },
        Scenario { name: "two pods by Rolling, bad", bad: true, disturbances: CRASHES, ..ROLLING },
        Scenario {
            name: "one pod by Surge, bad, no baseline",
            from: false,
            known_good: false,
            bad: true,
            disturbances: CRASHES,
            ..SURGE
        },
    ]
}

/// For planted bugs: what fails in recovery is seen with one disturbance.
pub fn planted_surge() -> Scenario {
    Scenario {
        name: "a planted bug in Surge",
        budget: 2,
        disturbances: &[Edit, Silence, DrainTimeout, Delete],
        ..SURGE
    }
}

pub fn planted_rolling() -> Scenario {
    Scenario {
        name: "a planted bug in Rolling",
        max_parallel: 2,
        budget: 1,
        disturbances: &[Silence, DrainTimeout, LongRequest],
        ..ROLLING
    }
}
