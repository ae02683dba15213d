//! Scenarios in which the world is broken: pods that are not Ready when the run begins, and a cluster that errs and refuses.
//!
//! **Invariant:** what is ill says nothing about the configuration, and keeps no run from its end.

use crate::meanwhile::{AROUND_THE_ILL, UNFRIENDLY};
use crate::pod::Illness;
use crate::scenario::{Kind, Scenario};
use crate::scenarios::{NONE, ONE, ROLLING, STATEFUL, SURGE};

/// Pods that are not Ready when the run begins.
pub fn ill() -> Vec<Scenario> {
    let mut all = ill_deployments();
    all.extend(ill_places());
    all
}

fn ill_deployments() -> Vec<Scenario> {
    let surge = Scenario { pods: 2, ill: &[1], budget: 1, disturbances: AROUND_THE_ILL, ..SURGE };
    let rolling = Scenario { ill: &[0], budget: 1, disturbances: AROUND_THE_ILL, ..ROLLING };
    vec![
        Scenario { name: "two pods by Surge, one hangs", ..surge.clone() },
        Scenario { name: "two pods by Surge, both hang", ill: &[0, 1], ..surge.clone() },
        Scenario { name: "two pods by Surge, one hangs, maxUnavailable 0", pdb: NONE, ..surge.clone() },
        Scenario { name: "two pods by Surge, one on a lost node", illness: Illness::Lost, ..surge.clone() },
        Scenario { name: "two pods by Surge, one hangs, bad", bad: true, incurable: true, ..surge.clone() },
        Scenario { name: "two pods by Surge, one hangs, edited in place, bad", bad: true, from: false, ..surge },
        Scenario { name: "three pods by Rolling, one hangs, maxUnavailable 1", pods: 3, pdb: ONE, ..rolling.clone() },
        Scenario { name: "two pods by Rolling, both hang, force", ill: &[0, 1], force: true, ..rolling },
    ]
}

fn ill_places() -> Vec<Scenario> {
    let stateful = Scenario { ill: &[0], disturbances: AROUND_THE_ILL, ..STATEFUL };
    vec![
        Scenario { name: "three pods of a StatefulSet, the lowest hangs", ..stateful.clone() },
        Scenario {
            name: "three pods of a StatefulSet, the middle one on a lost node",
            ill: &[1],
            illness: Illness::Lost,
            ..stateful.clone()
        },
        Scenario { name: "one pod of a StatefulSet, it hangs", pods: 1, budget: 2, ..stateful.clone() },
        Scenario {
            name: "three pods of a StatefulSet in parallel, one on a lost node",
            kind: Kind::StatefulSet { ordered: false },
            ill: &[2],
            illness: Illness::Lost,
            ..stateful
        },
    ]
}

/// A world that errs and refuses.
pub fn unfriendly() -> Vec<Scenario> {
    let surge = Scenario { budget: 2, disturbances: UNFRIENDLY, ..SURGE };
    let rolling = Scenario { budget: 1, pdb: ONE, disturbances: UNFRIENDLY, ..ROLLING };
    let stateful = Scenario { pods: 2, bad: true, disturbances: UNFRIENDLY, ..STATEFUL };
    vec![
        Scenario { name: "an unfriendly world, by Surge", ..surge.clone() },
        Scenario { name: "an unfriendly world, by Surge, bad", bad: true, ..surge.clone() },
        Scenario { name: "an unfriendly world, edited, bad", from: false, bad: true, incurable: true, ..surge.clone() },
        Scenario { name: "an unfriendly world, by Surge, force", force: true, ..surge },
        Scenario { name: "an unfriendly world, two pods by Rolling", ..rolling },
        Scenario { name: "an unfriendly world, a StatefulSet, bad", ..stateful },
    ]
}
