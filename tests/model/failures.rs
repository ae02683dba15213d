//! Scenarios that fail: by themselves, or because a bug is planted.
//!
//! **Invariant:** what disturbs them leaves the cluster able to put everything back.

use crate::scenario::{Disturbance, Scenario};
use crate::scenarios::{FAILING_HTTP, FAILING_JOB, HTTP, JOB, ROLLING, STATEFUL, SURGE};

use Disturbance::{
    Break, Cancel, Crash, Delete, DrainTimeout, Edit, Lapse, LateRequest, LeaseExpiry, LockStolen, LongRequest, Revert,
    Silence, Sleep,
};

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
