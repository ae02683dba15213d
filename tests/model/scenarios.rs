//! The scenarios that are searched.
//!
//! **Invariant:** together they stay within the time of one test run; each says what it is about.

use crate::ill::{ill, unfriendly};
use crate::meanwhile::{ANY, AROUND_HOOKS, AROUND_PLACES, AROUND_THE_RUN, EVERYTHING};
use crate::pod::Illness;
use crate::scenario::{Disturbance, HookPlan, Kind, Pdb, Scenario};
use restart_controller::api::{StrategyType, TimeoutPolicy};

use Disturbance::{
    BudgetLag, Cancel, ContainerRestart, Crash, Deadline, Delete, LeaseExpiry, LockFreed, PodDeath, ScaleUp, Silence,
    Sleep,
};

/// The plainest: the others differ in what they are about.
pub const SURGE: Scenario = Scenario {
    name: "one pod by Surge",
    kind: Kind::Deployment,
    strategy: StrategyType::Surge,
    max_parallel: 1,
    pods: 1,
    ill: &[],
    illness: Illness::Hung,
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

pub const ROLLING: Scenario =
    Scenario { name: "two pods by Rolling", budget: 2, strategy: StrategyType::Rolling, pods: 2, ..SURGE };

pub const NONE: Option<Pdb> = Some(Pdb { max_unavailable: 0, always_allow: false });
pub const ONE: Option<Pdb> = Some(Pdb { max_unavailable: 1, always_allow: false });
const ALWAYS: Option<Pdb> = Some(Pdb { max_unavailable: 0, always_allow: true });

pub const JOB: Option<HookPlan> = Some(HookPlan { job: true, ignore: false, fails: false });
pub const HTTP: Option<HookPlan> = Some(HookPlan { job: false, ..*JOB.as_ref().expect("a hook") });
pub const FAILING_JOB: Option<HookPlan> = Some(HookPlan { fails: true, ..*JOB.as_ref().expect("a hook") });
pub const FAILING_HTTP: Option<HookPlan> = Some(HookPlan { fails: true, ..*HTTP.as_ref().expect("a hook") });
const IGNORED: Option<HookPlan> = Some(HookPlan { ignore: true, ..*FAILING_HTTP.as_ref().expect("a hook") });

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

pub const STATEFUL: Scenario = Scenario {
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
    let mut all = surge();
    all.extend(rolling());
    all.extend(hooks());
    all.extend(turns());
    all.extend(stateful());
    all.extend(surroundings());
    all.extend(ill());
    all.extend(unfriendly());
    all
}

fn surge() -> Vec<Scenario> {
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
    ]
}

fn rolling() -> Vec<Scenario> {
    vec![
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
