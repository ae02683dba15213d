//! WaitingRequests: leave in Rolling, the drain in both.

use super::world::{Row, check, pod, run};
use crate::api::PodState::{Chosen, Draining, Terminating};
use crate::api::{Step, TimeoutPolicy};
use crate::machine::{Budget, Observed, Pod, Role};

fn reserving(first: Pod) -> Observed {
    run(Step::Reserving, &[("a", Chosen)], vec![first, pod("b", Role::Planned)]).rolling()
}

fn old() -> Pod {
    pod("a", Role::Planned)
}

fn draining(first: Pod) -> Observed {
    let pods = vec![first.detached(), pod("b", Role::Planned), pod("c", Role::New)];
    run(Step::Draining, &[("a", Draining)], pods)
}

#[test]
fn rolling_asks_for_leave_while_the_pod_serves() {
    let rows: Vec<Row> = vec![
        ("the budget is asked", reserving(old()), "wait"),
        (
            "and allows it",
            reserving(old()).budget(Budget::Allowed(1)),
            "record WaitingRequests/Draining Draining a Draining",
        ),
        ("or refuses", reserving(old()).budget(Budget::Refused("0".into())), "wait"),
        ("another run is first", reserving(old()).budget(Budget::Taken("b".into())), "wait"),
        ("and has taken the other endpoints", reserving(old().last()).budget(Budget::Taken("b".into())), "wait"),
        (
            "until the deadline",
            reserving(old()).budget(Budget::Refused("0".into())).late(),
            "record Recovering/Restoring BudgetExhausted a Chosen",
        ),
        ("all others have to serve", reserving(old()).waiting().budget(Budget::Allowed(1)), "wait"),
        (
            "the last ready endpoint does not go",
            reserving(old().last()).budget(Budget::Allowed(1)),
            "record Recovering/Restoring LastEndpoint a Chosen",
        ),
        (
            "unless that may be: it drains while it terminates",
            reserving(old().last()).budget(Budget::Allowed(1)).but(|o| o.asked.allow_disruption = true),
            "record WaitingRequests/Draining Draining a Terminating",
        ),
        ("a lease that is left over ends first", reserving(old().draining(0)), "release a"),
        (
            "a batch that died is passed over",
            reserving(old().going()),
            "record WaitingRequests/Reserving Reserving b Chosen",
        ),
    ];
    check(rows);
    let both =
        run(Step::Reserving, &[("a", Chosen), ("b", Chosen)], vec![old().last(), pod("b", Role::Planned).last()]);
    check(vec![
        (
            "a smaller batch leaves an endpoint",
            both.clone().rolling().parallel(2),
            "record WaitingRequests/Reserving Reserving a Chosen",
        ),
        (
            "also where the last may go",
            both.clone().rolling().parallel(2).but(|o| o.asked.allow_disruption = true),
            "record WaitingRequests/Reserving Reserving a Chosen",
        ),
        (
            "the budget may allow fewer",
            both.but(|o| o.pods.iter_mut().for_each(|pod| pod.last_endpoint = false))
                .rolling()
                .budget(Budget::Allowed(1)),
            "record WaitingRequests/Draining Draining a Draining",
        ),
    ]);
}

#[test]
fn the_batch_leaves_its_services_and_finishes_its_requests() {
    let rows: Vec<Row> = vec![
        ("first the lease", draining(old()), "cordon a"),
        ("which is renewed", draining(old().stale()), "cordon a"),
        ("requests are waited for", draining(old().draining(2)), "wait"),
        ("quiet is waited for", draining(Pod { in_slices: true, ..old().draining(0) }), "wait"),
        ("then it is drained", draining(old().draining(0)), "record Restarting/Evicting Evicting a Drained"),
        (
            "requests that outlast the timeout fail the run",
            draining(old().overdue_with(2)),
            "record Recovering/Restoring DrainTimeout a Draining",
        ),
        (
            "so does a pod that is never quiet",
            draining(old().overdue_with(0)),
            "record Recovering/Restoring DrainTimeout a Draining",
        ),
        (
            "unless onTimeout is Proceed",
            draining(old().overdue_with(2)).but(|o| o.asked.on_timeout = TimeoutPolicy::Proceed),
            "record Restarting/Evicting Evicting a Overdue",
        ),
        ("a silent sidecar is waited for", draining(old().unready().silent(false)), "wait"),
        (
            "and fails the run",
            draining(old().unready().silent(true)),
            "record Recovering/Restoring SidecarUnavailable a Draining",
        ),
        ("force takes the pod out of its Services", draining(old()).but(|o| o.asked.force = true), "cordon a"),
        (
            "and does not wait",
            draining(old().draining(2)).but(|o| o.asked.force = true),
            "record Restarting/Evicting Evicting a Forced",
        ),
    ];
    check(rows);
}

#[test]
fn what_is_lost_meanwhile_gives_the_batch_back() {
    let last = run(Step::Draining, &[("a", Terminating)], vec![old().detached().last(), pod("c", Role::New)]);
    let rows: Vec<Row> = vec![
        (
            "the budget",
            draining(old().draining(2)).budget(Budget::Lost("1 of 2".into())),
            "record Restarting/Surging BudgetLost a Chosen",
        ),
        ("the other endpoints", draining(old().draining(2).last()), "record Restarting/Surging EndpointsLost a Chosen"),
        ("others before the lease", draining(old()).waiting(), "record Restarting/Surging PodsLost a Chosen"),
        ("in Rolling too", draining(old()).rolling().waiting(), "record WaitingRequests/Reserving PodsLost a Chosen"),
        ("a replacement is awaited with the lease held", draining(old().draining(0)).waiting(), "wait"),
        ("a pod that died is passed over", draining(old().going()), "record Restarting/Surging Surging b Chosen"),
        ("a pod that drains by termination gets no lease", last, "record Restarting/Evicting Evicting a Terminating"),
    ];
    check(rows);
}
