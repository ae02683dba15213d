//! The scenarios that are searched.
//!
//! **Invariant:** together they stay within the time of one test run; each says what it is about.

use crate::scenario::{Disturbance, HookPlan, Kind, Pdb, Scenario};
use restart_controller::api::{StrategyType, TimeoutPolicy};
use restart_controller::machine::RefusedEffect;

use Disturbance::{
    Break, BudgetLag, Cancel, ContainerRestart, Crash, Deadline, Delete, DrainTimeout, Edit, Lapse, LateRequest,
    LeaseExpiry, ListLost, LockFreed, LockStolen, LongRequest, Namespace, NoNode, NodeLeaves, PodDeath, Refusal,
    Removal, Revert, Rollout, ScaleDown, ScaleUp, Share, SidecarRestart, Silence, Sleep, TargetGone, Trigger, Verdict,
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

/// And what may happen to what a request can say.
pub const EVERYTHING: &[Disturbance] = &[
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
    Refusal(RefusedEffect::Restore),
    Refusal(RefusedEffect::Other),
    Namespace,
    Trigger,
    Lapse,
    Break,
    Revert,
    Share,
    ListLost,
    NodeLeaves,
];

/// For walks with many pods, which search nothing: the more the better.
pub const AT_RANDOM: &[Disturbance] = &[
    Crash,
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
    Refusal(RefusedEffect::Hook),
    Refusal(RefusedEffect::Other),
    Verdict,
    Namespace,
    Trigger,
    Lapse,
    Break,
    Revert,
    Share,
    BudgetLag,
    ListLost,
    NodeLeaves,
    Sleep,
];

/// What may happen to pods that have places.
const AROUND_PLACES: &[Disturbance] = &[
    Crash,
    Sleep,
    PodDeath,
    ContainerRestart,
    Break,
    Silence,
    LongRequest,
    Deadline,
    Edit,
    Delete,
    ScaleUp,
    ScaleDown,
    Lapse,
    Revert,
    NodeLeaves,
];

/// The plainest: the others differ in what they are about.
pub const SURGE: Scenario = Scenario {
    name: "one pod by Surge",
    kind: Kind::Deployment,
    strategy: StrategyType::Surge,
    max_parallel: 1,
    pods: 1,
    old_pods_stay: false,
    queued: false,
    queue: false,
    handled: false,
    ttl: false,
    pre: None,
    post: None,
    force: false,
    allow_disruption: false,
    reload: true,
    on_timeout: TimeoutPolicy::Fail,
    pdb: None,
    service: true,
    second: false,
    from: true,
    known_good: true,
    bad: false,
    incurable: false,
    budget: 2,
    disturbances: ANY,
};

const ROLLING: Scenario =
    Scenario { name: "two pods by Rolling", budget: 2, strategy: StrategyType::Rolling, pods: 2, ..SURGE };

const NONE: Option<Pdb> = Some(Pdb { max_unavailable: 0, always_allow: false });
const ONE: Option<Pdb> = Some(Pdb { max_unavailable: 1, always_allow: false });
const ALWAYS: Option<Pdb> = Some(Pdb { max_unavailable: 0, always_allow: true });

const JOB: Option<HookPlan> = Some(HookPlan { job: true, ignore: false, fails: false });
const HTTP: Option<HookPlan> = Some(HookPlan { job: false, ..*JOB.as_ref().expect("a hook") });
const FAILING_JOB: Option<HookPlan> = Some(HookPlan { fails: true, ..*JOB.as_ref().expect("a hook") });
const FAILING_HTTP: Option<HookPlan> = Some(HookPlan { fails: true, ..*HTTP.as_ref().expect("a hook") });
const IGNORED: Option<HookPlan> = Some(HookPlan { ignore: true, ..*FAILING_HTTP.as_ref().expect("a hook") });

/// What may happen to hooks.
const AROUND_HOOKS: &[Disturbance] = &[
    Crash,
    Sleep,
    PodDeath,
    ContainerRestart,
    Deadline,
    Edit,
    Delete,
    Cancel,
    ScaleUp,
    Rollout,
    TargetGone,
    LockStolen,
    LockFreed,
    Refusal(RefusedEffect::Hook),
    Verdict,
    Trigger,
    Lapse,
    Revert,
    Share,
    ListLost,
    Namespace,
];

/// What may happen before a run begins and after it has ended.
const AROUND_THE_RUN: &[Disturbance] =
    &[Crash, Sleep, Delete, Cancel, LockStolen, LockFreed, TargetGone, Verdict, Trigger, Edit, Namespace];

fn hooks() -> Vec<Scenario> {
    vec![
        Scenario { name: "hooks by HTTP", pre: HTTP, post: HTTP, disturbances: AROUND_HOOKS, ..SURGE },
        Scenario { name: "hooks as Jobs", pre: JOB, post: JOB, disturbances: AROUND_HOOKS, ..SURGE },
        Scenario { name: "a pre-hook that fails", pre: FAILING_JOB, disturbances: AROUND_HOOKS, ..SURGE },
        Scenario { name: "a post-hook that fails", post: FAILING_HTTP, disturbances: AROUND_HOOKS, ..SURGE },
        Scenario { name: "hooks whose failure is ignored", pre: IGNORED, post: IGNORED, budget: 1, ..SURGE },
    ]
}

fn turns() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "one pod by Surge, queued behind another run",
            queue: true,
            queued: true,
            disturbances: AROUND_THE_RUN,
            ..SURGE
        },
        Scenario { name: "one pod by Surge, armed again", disturbances: AROUND_THE_RUN, ..SURGE },
        Scenario { name: "a key that is known", handled: true, disturbances: AROUND_THE_RUN, ..SURGE },
        Scenario { name: "a time to live", ttl: true, disturbances: AROUND_THE_RUN, ..SURGE },
    ]
}

const STATEFUL: Scenario = Scenario {
    name: "three pods of a StatefulSet",
    kind: Kind::StatefulSet { ordered: true },
    pods: 3,
    budget: 1,
    disturbances: EVERYTHING,
    ..ROLLING
};

fn stateful() -> Vec<Scenario> {
    vec![
        STATEFUL,
        Scenario { name: "three pods of a StatefulSet, bad and incurable", bad: true, incurable: true, ..STATEFUL },
        Scenario {
            name: "two pods of a StatefulSet, edited in place, bad",
            pods: 2,
            from: false,
            bad: true,
            budget: 2,
            disturbances: AROUND_PLACES,
            ..STATEFUL
        },
        Scenario {
            name: "two pods of a StatefulSet, incurable",
            pods: 2,
            incurable: true,
            budget: 2,
            disturbances: AROUND_PLACES,
            ..STATEFUL
        },
        Scenario {
            name: "three pods of a StatefulSet, in parallel, two at once, bad",
            kind: Kind::StatefulSet { ordered: false },
            max_parallel: 2,
            bad: true,
            ..STATEFUL
        },
        Scenario {
            name: "one pod of a StatefulSet, allowDisruption",
            pods: 1,
            allow_disruption: true,
            budget: 2,
            ..STATEFUL
        },
        Scenario { name: "one pod of a StatefulSet", pods: 1, budget: 2, ..STATEFUL },
    ]
}

/// What one budget, one Service or one ConfigMap does not show.
fn surroundings() -> Vec<Scenario> {
    const LAG: &[Disturbance] =
        &[BudgetLag, Crash, PodDeath, ContainerRestart, Silence, LeaseExpiry, Deadline, ScaleUp, Delete];
    vec![
        Scenario { name: "two pods by Surge, two Services", pods: 2, second: true, budget: 1, ..SURGE },
        Scenario { name: "two pods by Rolling, two Services", second: true, budget: 1, ..ROLLING },
        Scenario { name: "two pods by Surge, a budget that lags", pods: 2, pdb: NONE, disturbances: LAG, ..SURGE },
        Scenario { name: "three pods by Rolling, a budget that lags", pods: 3, pdb: ONE, disturbances: LAG, ..ROLLING },
        Scenario { name: "reload is false", from: false, reload: false, disturbances: EVERYTHING, ..SURGE },
    ]
}

pub fn all() -> Vec<Scenario> {
    let mut all = basic();
    all.extend(hooks());
    all.extend(turns());
    all.extend(stateful());
    all.extend(surroundings());
    all
}

fn basic() -> Vec<Scenario> {
    vec![
        Scenario { disturbances: EVERYTHING, ..SURGE },
        Scenario { name: "one pod by Surge, queued", queued: true, budget: 1, ..SURGE },
        Scenario { name: "one pod by Surge onto a bad candidate", bad: true, disturbances: EVERYTHING, ..SURGE },
        Scenario {
            name: "one pod by Surge, edited in place, bad",
            from: false,
            bad: true,
            incurable: true,
            disturbances: EVERYTHING,
            ..SURGE
        },
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
    const BROKEN: &[Disturbance] = &[Break, Lapse, Crash, Sleep];
    vec![
        Scenario { name: "two pods by Surge, bad", pods: 2, bad: true, disturbances: MEANWHILE, ..SURGE },
        Scenario { name: "one pod by Surge, bad in place", from: false, bad: true, disturbances: MEANWHILE, ..SURGE },
        Scenario { name: "two pods by Rolling, bad", bad: true, disturbances: FINITE, ..ROLLING },
        Scenario {
            name: "a pre-hook that fails",
            pre: FAILING_HTTP,
            disturbances: &[Crash, Sleep, Cancel, Delete],
            ..SURGE
        },
        Scenario { name: "a post-hook that fails", post: FAILING_JOB, disturbances: FINITE, ..SURGE },
        Scenario { name: "a cancel during the pre-hook", pre: JOB, disturbances: &[Cancel, Crash, Sleep], ..SURGE },
        Scenario { name: "a pod that breaks in the soak", incurable: true, disturbances: BROKEN, ..SURGE },
        Scenario {
            name: "two pods of a StatefulSet, one breaks in the soak",
            pods: 2,
            incurable: true,
            budget: 2,
            disturbances: BROKEN,
            ..STATEFUL
        },
        Scenario {
            name: "three pods of a StatefulSet, bad, to be deleted",
            bad: true,
            incurable: true,
            disturbances: FINITE,
            ..STATEFUL
        },
        Scenario {
            name: "configuration that must not change",
            from: false,
            reload: false,
            disturbances: &[Edit, Crash, Sleep, Delete],
            ..SURGE
        },
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
        Scenario { name: "a post-hook that fails", post: FAILING_HTTP, disturbances: CRASHES, ..SURGE },
        Scenario {
            name: "two pods of a StatefulSet, bad, to be deleted",
            pods: 2,
            bad: true,
            incurable: true,
            budget: 2,
            disturbances: CRASHES,
            ..STATEFUL
        },
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

pub fn planted_hooks() -> Scenario {
    Scenario { name: "a planted bug in hooks", pre: JOB, post: HTTP, budget: 1, disturbances: &[Crash], ..SURGE }
}

pub fn planted_restore() -> Scenario {
    Scenario { name: "a planted bug after a restore", bad: true, budget: 1, disturbances: &[Revert], ..SURGE }
}

pub fn planted_places() -> Scenario {
    Scenario { name: "a planted bug in a StatefulSet", pods: 2, disturbances: &[Crash], ..STATEFUL }
}

pub fn planted_queue() -> Scenario {
    Scenario { name: "a planted bug in the queue", queue: true, budget: 1, disturbances: &[LockStolen], ..SURGE }
}
