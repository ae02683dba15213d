//! Restarting: replacements, evictions, verification.

use super::world::{Row, check, pod, run};
use crate::api::PodState::{Chosen, Drained, Forced, Overdue, Terminating};
use crate::api::{PodState, Step};
use crate::machine::{Budget, Content, List, Lock, Observed, RefusedEffect, Role, Soak, Target};

fn surging(change: impl FnOnce(crate::machine::Pod) -> crate::machine::Pod) -> Observed {
    let pods = vec![change(pod("a", Role::Planned)), pod("b", Role::Planned), pod("c", Role::New)];
    run(Step::Surging, &[("a", Chosen)], pods)
}

fn evicting(state: PodState, change: impl FnOnce(crate::machine::Pod) -> crate::machine::Pod) -> Observed {
    let pods = vec![change(pod("a", Role::Planned).detached()), pod("b", Role::Planned), pod("c", Role::New)];
    run(Step::Evicting, &[("a", state)], pods)
}

fn verifying() -> Observed {
    run(Step::Verifying, &[], vec![pod("c", Role::New), pod("d", Role::New)])
}

#[test]
fn surge_detaches_awaits_the_gate_and_asks_the_budget() {
    use crate::machine::Pod;
    let rows: Vec<Row> = vec![
        ("first the old pod is detached", surging(|pod| pod), "detach a"),
        ("then its replacement is awaited", surging(Pod::detached).waiting(), "wait"),
        (
            "until the deadline",
            surging(Pod::detached).waiting().late(),
            "record Recovering/Restoring ReplacementUnhealthy a Chosen",
        ),
        (
            "one that exits twice fails at once",
            surging(Pod::detached).failing(),
            "record Recovering/Restoring ReplacementUnhealthy a Chosen",
        ),
        ("then the budget is asked", surging(Pod::detached), "wait"),
        ("which may refuse", surging(Pod::detached).budget(Budget::Refused("0".into())), "wait"),
        (
            "until the deadline",
            surging(Pod::detached).budget(Budget::Refused("0".into())).late(),
            "record Recovering/Restoring BudgetExhausted a Chosen",
        ),
        (
            "then the drain begins",
            surging(Pod::detached).budget(Budget::Allowed(1)),
            "record WaitingRequests/Draining Draining a Draining",
        ),
        (
            "the last ready endpoint drains by termination",
            surging(|pod| pod.detached().last()).budget(Budget::Allowed(1)),
            "record WaitingRequests/Draining Draining a Terminating",
        ),
        (
            "with force too",
            surging(|pod| pod.detached().last()).budget(Budget::Allowed(1)).but(|o| o.asked.force = true),
            "record WaitingRequests/Draining Draining a Terminating",
        ),
        ("a lease that is left over ends first", surging(|pod| pod.detached().draining(0)), "release a"),
        ("a pod that died is passed over", surging(Pod::going), "record Restarting/Surging Surging b Chosen"),
    ];
    check(rows);
}

#[test]
fn only_what_the_status_calls_done_is_evicted() {
    use crate::machine::Pod;
    let rows: Vec<Row> = vec![
        ("a drained pod goes", evicting(Drained, |pod| pod.draining(0)), "evict a"),
        (
            "a late request sends it back",
            evicting(Drained, |pod| pod.overdue_with(1)),
            "record WaitingRequests/Draining Draining a Draining",
        ),
        ("or is waited for", evicting(Drained, |pod| pod.draining(1)), "wait"),
        (
            "a lease that ran out sends it back",
            evicting(Drained, |pod| pod),
            "record WaitingRequests/Draining Draining a Draining",
        ),
        (
            "a silent sidecar sends it back",
            evicting(Drained, |pod| pod.unready().silent(false)),
            "record WaitingRequests/Draining Draining a Draining",
        ),
        ("a lease is renewed", evicting(Drained, Pod::stale), "cordon a"),
        ("an overdue pod goes", evicting(Overdue, |pod| pod.overdue_with(2)), "evict a"),
        ("a forced pod goes", evicting(Forced, |pod| pod.draining(2)), "evict a"),
        ("the last ready endpoint goes while it serves", evicting(Terminating, Pod::last), "evict a"),
        (
            "an overdue pod that became the last ready endpoint does not",
            evicting(Overdue, |pod| pod.last().silent(true)),
            "record Restarting/Surging EndpointsLost a Chosen",
        ),
        (
            "in Surge a lost budget is waited for",
            evicting(Drained, |pod| pod.draining(0)).budget(Budget::Lost("1 of 2".into())),
            "wait",
        ),
        (
            "in Rolling it sends the batch back",
            evicting(Drained, |pod| pod.draining(0)).rolling().budget(Budget::Lost("1 of 2".into())),
            "record WaitingRequests/Reserving BudgetLost a Chosen",
        ),
        ("a lost replacement is awaited", evicting(Drained, |pod| pod.draining(0)).waiting(), "wait"),
        (
            "an eviction refused until the deadline fails",
            evicting(Drained, |pod| pod.draining(0)).late(),
            "record Recovering/Restoring BudgetExhausted a Drained",
        ),
        ("a pod on its way out is awaited", evicting(Drained, Pod::going), "wait"),
        ("until the deadline", evicting(Drained, Pod::going).late(), "record Restarting/Surging Surging b Chosen"),
        (
            "then the next batch begins",
            evicting(Drained, |pod| pod).but(|o| drop(o.pods.remove(0))),
            "record Restarting/Surging Surging b Chosen",
        ),
        (
            "Rolling awaits the replacement here",
            evicting(Drained, |pod| pod).rolling().waiting().but(|o| drop(o.pods.remove(0))),
            "wait",
        ),
        (
            "after the last one the new pods are watched",
            evicting(Drained, |pod| pod).but(|o| o.pods.retain(|pod| pod.role == Role::New)),
            "record Restarting/Verifying Verifying",
        ),
    ];
    check(rows);
}

#[test]
fn the_new_pods_are_watched() {
    use crate::machine::Pod;
    let rows: Vec<Row> = vec![
        ("for a while", verifying(), "wait"),
        ("then the run is complete", verifying().but(|o| o.soak = Soak::Over), "record Restarting/Finishing Verified"),
        (
            "a restart fails it",
            verifying().but(|o| o.pods[0].restarted = true),
            "record Recovering/Restoring ReplacementUnhealthy",
        ),
        ("a pod that is not Ready is awaited", verifying().waiting(), "wait"),
        ("until the deadline", verifying().waiting().late(), "record Recovering/Restoring ReplacementUnhealthy"),
        (
            "an old pod on its way out is awaited",
            verifying().but(|o| o.pods.push(pod("a", Role::Planned).going())),
            "wait",
        ),
        (
            "one that is not Ready for a moment has failed",
            verifying().but(|o| o.pods[0].lapsed = true),
            "record Recovering/Restoring ReplacementUnhealthy",
        ),
        (
            "not one that was told to go",
            verifying().but(|o| (o.pods[0].lapsed, o.pods[0].terminating, o.soak) = (true, true, Soak::Over)),
            "record Restarting/Finishing Verified",
        ),
        (
            "an old pod that was passed over gets its turn",
            verifying().but(|o| o.pods.push(pod("a", Role::Planned))),
            "record Restarting/Surging Surging a Chosen",
        ),
        (
            "one that another rollout owns does not",
            verifying().but(|o| {
                o.soak = Soak::Over;
                o.pods.push(Pod::foreign(pod("a", Role::New)));
            }),
            "record Restarting/Finishing Verified",
        ),
        (
            "a workload without pods needs no watching",
            verifying().but(|o| o.pods.clear()).cursor_but(|cursor| cursor.plan.as_mut().expect("a plan").pods = 0),
            "record Restarting/Finishing Verified",
        ),
    ];
    check(rows);
}

#[test]
fn what_may_happen_at_any_time() {
    use crate::machine::Pod;
    let rows: Vec<Row> = vec![
        (
            "a late cancel is answered",
            surging(Pod::detached).but(|o| o.asked.cancel = true),
            "record Restarting/Surging CancelRejected a Chosen",
        ),
        (
            "once",
            surging(|pod| pod).but(|o| o.asked.cancel = true).cursor_but(|cursor| cursor.cancel_rejected = true),
            "detach a",
        ),
        (
            "a deleted request is undone",
            surging(Pod::detached).but(|o| o.asked.deleting = true),
            "record Recovering/Restoring Deleted a Chosen",
        ),
        (
            "a foreign rollout ends the run",
            surging(Pod::detached).target(Target::RollingOut),
            "record Recovering/Restoring RolloutConflict a Chosen",
        ),
        (
            "so does the end of the workload",
            surging(Pod::detached).target(Target::Gone),
            "record Recovering/Restoring TargetInvalid a Chosen",
        ),
        (
            "a refused effect ends the run",
            surging(|pod| pod).refused(RefusedEffect::Other),
            "record Recovering/Restoring Internal a Chosen",
        ),
        (
            "a list that somebody deleted ends the run: nobody knows who is left",
            surging(Pod::detached).but(|o| o.plan.list = List::Absent),
            "record Recovering/Restoring Internal a Chosen",
        ),
        ("another trigger waits for the end", surging(Pod::detached).but(|o| o.asked.triggered = true), "wait"),
        (
            "configuration that must not change has changed",
            surging(Pod::detached).content(Content::Other).but(|o| o.asked.reload = false),
            "record Recovering/Restoring ConfigDrift a Chosen",
        ),
        (
            "or is gone",
            surging(Pod::detached).content(Content::Missing).but(|o| o.asked.reload = false),
            "record Recovering/Restoring ConfigDrift a Chosen",
        ),
        ("otherwise it may", surging(Pod::detached).content(Content::Other), "wait"),
        ("a lock that somebody deleted is taken again", surging(|pod| pod).held_by(Lock::Free), "take lock"),
        (
            "one that another run has is lost",
            surging(|pod| pod).held_by(Lock::Other("first".into())),
            "record Recovering/Finishing LockLost a Chosen",
        ),
        (
            "a terminating namespace is let go at once",
            surging(Pod::detached).but(|o| o.asked.namespace_terminating = true),
            "remove finalizer",
        ),
    ];
    check(rows);
}
