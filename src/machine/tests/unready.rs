//! Pods that were not Ready when the run began: they go first, hold up nothing, and say nothing about the configuration.

use super::world::{Row, brief, check, pod, run};
use crate::api::PodState::{Chosen, Drained, Draining, Overdue, Terminating};
use crate::api::{PodState, Step};
use crate::machine::{Budget, Decision, Drain, Effect, List, Observed, Pod, Replacement, Role, Soak, plan};

fn planned(name: &str) -> Pod {
    pod(name, Role::Planned)
}

fn passed_over(name: &str) -> Pod {
    pod(name, Role::PassedOver).lost()
}

/// Everything is prepared: the first batch is chosen.
fn begins(pods: Vec<Pod>) -> Observed {
    run(Step::Preparing, &[], pods)
}

/// `a` was chosen because it was not Ready, and stands like this.
fn chosen(step: Step, state: PodState, a: Pod) -> Observed {
    run(step, &[("a", state)], vec![a, planned("b"), pod("c", Role::New)]).unready_first()
}

fn listed(observed: &Observed) -> Vec<String> {
    let Decision::Act(effects) = plan(observed) else { return vec![brief(&plan(observed))] };
    let flags = |pod: &crate::machine::PlannedPod| match (pod.unready, pod.passed_over) {
        (false, false) => pod.name.clone(),
        (true, false) => format!("{} unready", pod.name),
        (_, true) => format!("{} passed over", pod.name),
    };
    match effects.as_slice() {
        [Effect::WritePlan(pods)] => pods.iter().map(flags).collect(),
        other => vec![format!("{other:?}")],
    }
}

#[test]
fn pods_that_serve_no_service_go_first_and_all_at_once() {
    let rows: Vec<Row> = vec![
        (
            "one, whatever its place in the order",
            begins(vec![planned("a"), planned("b").ailing()]),
            "record WaitingRequests/Draining ReplacingUnready b Draining",
        ),
        (
            "several, beyond maxParallel",
            begins(vec![planned("a").ailing(), planned("b"), planned("c").ailing()]),
            "record WaitingRequests/Draining ReplacingUnready a Draining c Draining",
        ),
        (
            "in a StatefulSet, too",
            begins(vec![planned("b"), planned("a").ailing()]).in_order(),
            "record WaitingRequests/Draining ReplacingUnready a Draining",
        ),
        (
            "one that was Ready for a moment and is not again goes before the batch that it holds up",
            run(
                Step::Surging,
                &[("a", Chosen)],
                vec![planned("a").detached(), planned("b").ailing(), pod("c", Role::New)],
            )
            .waiting(),
            "record WaitingRequests/Draining ReplacingUnready b Draining",
        ),
        (
            "one that has become Ready meanwhile waits for its turn",
            begins(vec![planned("a"), planned("b").ailing().but_ready()]),
            "record Restarting/Surging Surging a Chosen",
        ),
    ];
    check(rows);
}

#[test]
fn an_unready_pod_goes_without_a_replacement_and_without_asking_a_budget() {
    let lost = || Budget::Lost("2 of 3".into());
    let rows: Vec<Row> = vec![
        ("its sidecar is asked to drain", chosen(Step::Draining, Draining, planned("a").ailing()), "cordon a"),
        (
            "its requests are waited for",
            chosen(Step::Draining, Draining, planned("a").ailing().draining(3)).waiting().budget(lost()),
            "wait",
        ),
        (
            "then it is told to go, whatever the gate and the budget say",
            chosen(Step::Draining, Draining, planned("a").ailing().draining(0)).waiting().budget(lost()),
            "record Restarting/Evicting Evicting a Drained",
        ),
        (
            "by deletion, for its eviction would be refused",
            chosen(Step::Evicting, Drained, planned("a").ailing().draining(0)).waiting().budget(lost()),
            "delete a",
        ),
        (
            "requests that outlast the timeout fail the run as those of any other pod do",
            chosen(Step::Draining, Draining, planned("a").ailing().overdue_with(3)),
            "record Recovering/Restoring DrainTimeout a Draining",
        ),
        (
            "a sidecar that does not answer drains it while it terminates",
            chosen(Step::Draining, Draining, planned("a").ailing().silent(true)),
            "record Restarting/Evicting Evicting a Terminating",
        ),
        (
            "and until then it is waited for",
            chosen(Step::Draining, Draining, planned("a").ailing().silent(false)),
            "wait",
        ),
        (
            "but not on a lost node",
            chosen(Step::Draining, Draining, planned("a").ailing().lost().silent(false)),
            "record Restarting/Evicting Evicting a Terminating",
        ),
        ("it is deleted then", chosen(Step::Evicting, Terminating, planned("a").ailing().silent(true)), "delete a"),
        (
            "so is one whose wait ran out",
            chosen(Step::Evicting, Overdue, planned("a").ailing().overdue_with(1)),
            "delete a",
        ),
        (
            "one that serves again is given its turn",
            chosen(Step::Draining, Draining, planned("a").ailing().but_ready()),
            "record Restarting/Surging Surging a Chosen",
        ),
        (
            "the others wait until its replacement serves",
            run(Step::Evicting, &[("a", Drained)], vec![planned("b"), pod("c", Role::New).unready()])
                .unready_first()
                .waiting(),
            "wait",
        ),
        (
            "a lost node's pod is not awaited where its replacement is elsewhere",
            chosen(Step::Evicting, Terminating, planned("a").ailing().lost().going()),
            "record Restarting/Surging Surging b Chosen",
        ),
    ];
    check(rows);
}

#[test]
fn what_cannot_be_replaced_is_listed_as_passed_over() {
    let begin =
        |pods: Vec<Pod>| begins(pods).cursor_but(|cursor| cursor.plan = None).but(|o| o.plan.list = List::Absent);
    let of = |pods: Vec<Pod>| listed(&begin(pods));
    let new = |name: &str| pod(name, Role::New);
    assert_eq!(of(vec![new("a"), new("b").unready()]), ["a", "b unready"]);
    assert_eq!(of(vec![new("a"), new("b").lost()]), ["a", "b unready"], "its replacement starts elsewhere");
    assert_eq!(of(vec![new("a"), new("b").going()]), ["a"], "a Deployment has its replacement already");
    let homeless = Pod { scheduled: false, ..new("b").unready() };
    assert_eq!(
        of(vec![new("a"), homeless]),
        ["a", "b passed over"],
        "it starts on the new configuration when it starts"
    );
    let set = |pods: Vec<Pod>| listed(&begin(pods).in_order());
    let three = |one: Pod| vec![new("web-2"), one, new("web-0")];
    assert_eq!(set(three(new("web-1").lost())), ["web-2 passed over", "web-1 passed over", "web-0"]);
    assert_eq!(set(three(new("web-1").unready())), ["web-2", "web-1 unready", "web-0"]);
    assert_eq!(set(three(new("web-1").going())), ["wait"], "it is gone in a moment");
    assert_eq!(
        set(three(Pod { unreachable: true, ..new("web-1").going() })),
        ["web-2 passed over", "web-1 passed over", "web-0"]
    );
    let mut daemon = begin(three(new("web-1").lost())).rolling();
    daemon.replacement = Replacement::InPlace;
    assert_eq!(listed(&daemon), ["web-2", "web-1 passed over", "web-0"]);
    let late = begin(three(new("web-1").going())).in_order().late();
    assert_eq!(
        listed(&late),
        ["web-2 passed over", "web-1 passed over", "web-0"],
        "not waited for beyond the deadline"
    );
}

#[test]
fn what_was_passed_over_is_reported_at_the_end() {
    let observed = run(Step::Verifying, &[], vec![passed_over("a"), pod("c", Role::New)])
        .but(|observed| observed.soak = Soak::Over);
    let Decision::Record(change) = plan(&observed) else { panic!("the run is over") };
    assert_eq!(
        change.message,
        "2 pods restarted; passed over, as they cannot be replaced now: a (a: its node is not Ready)"
    );
    let lapsed = observed.but(|observed| observed.pods[0].lapsed = true);
    assert_eq!(brief(&plan(&lapsed)), "record Restarting/Finishing Verified");
}

#[test]
fn only_a_pod_that_started_in_the_run_puts_the_configuration_under_suspicion() {
    let suspects = |old: Pod| {
        let pods = vec![old, planned("b").detached().draining(0), pod("c", Role::New)];
        let Decision::Record(change) = plan(&run(Step::Evicting, &[("b", Drained)], pods).waiting().late()) else {
            panic!("the deadline is over")
        };
        change.outcome.expect("it failed").suspect_configuration
    };
    assert!(!suspects(planned("a").ailing()), "it was not Ready when the run began");
    assert!(!suspects(planned("a").ailing().exited()), "and has exited ever since");
    assert!(!suspects(planned("a").unready()), "it hangs, and has not started on anything new");
    assert!(!suspects(passed_over("a").exited()));
    assert!(suspects(planned("a").exited()), "its container was restarted on the new content");
    assert!(suspects(pod("a", Role::New).unready()));
    assert!(!suspects(pod("a", Role::New).lost()), "its node was lost, and the content has nothing to do with that");
    assert!(suspects(pod("a", Role::New).lost().exited()), "its container had exited before");
}

#[test]
fn a_run_that_fails_does_not_wait_for_what_was_ill_before() {
    let back = |pods: Vec<Pod>| {
        run(Step::Restoring, &[], pods)
            .content(crate::machine::Content::Snapshot)
            .ending(super::world::outcome(crate::api::Code::ReplacementUnhealthy, false))
            .waiting()
            .but(|observed| {
                observed.plan.unready = 1;
                observed.config.clear();
            })
    };
    let observed = back(vec![planned("b"), pod("c", Role::New).exited()]);
    let Decision::Record(change) = plan(&observed) else { panic!("nothing to wait for: {}", brief(&plan(&observed))) };
    assert_eq!(
        (change.step, change.message.as_str()),
        (Step::Finishing, "it failed; c not Ready, as when the restart began")
    );
    let rows: Vec<Row> = vec![
        ("one that may yet start is waited for", back(vec![planned("b"), pod("c", Role::New).unready()]), "wait"),
        (
            "so are more than were ill",
            back(vec![planned("b"), pod("c", Role::New).exited(), pod("d", Role::New).exited()]),
            "wait",
        ),
        ("and pods that are missing", back(vec![pod("c", Role::New).exited()]), "wait"),
    ];
    check(rows);
}

#[test]
fn a_drain_that_a_lost_node_ends_names_the_node() {
    let lost = planned("a").detached().silent(true).lost();
    let Decision::Record(change) = plan(&run(Step::Draining, &[("a", Draining)], vec![lost, pod("c", Role::New)]))
    else {
        panic!("its wait is over")
    };
    let outcome = change.outcome.expect("it failed");
    assert_eq!(
        outcome.message,
        "the sidecar of a did not answer, or did not obey, for timeoutSeconds: its node is not Ready"
    );
    assert!(!outcome.suspect_configuration);
}

impl Pod {
    fn but_ready(self) -> Self {
        Self { ready: true, in_slices: true, drain: Drain::Open, ..self }
    }
}
