//! Every wait ends: what cannot be done by the deadline is given up, and a deletion is heard whatever else fails.

use super::world::{Row, brief, check, fresh, outcome, pod, run, unhealthy};
use crate::api::PodState::{Chosen, Draining};
use crate::api::{Code, Step, TimeoutPolicy};
use crate::machine::{Budget, Content, Copied, Decision, List, Lock, Observed, Pod, Role, Target};

fn planned(name: &str) -> Pod {
    pod(name, Role::Planned)
}

fn surging() -> Observed {
    run(Step::Surging, &[("a", Chosen)], vec![planned("a"), planned("b")])
}

fn back() -> Observed {
    run(Step::Restoring, &[], vec![planned("a").detached(), planned("b"), pod("c", Role::New)])
        .content(Content::Snapshot)
        .ending(outcome(Code::DrainTimeout, false))
}

#[test]
fn an_effect_that_is_never_possible_is_given_up_at_the_deadline() {
    let rows: Vec<Row> = vec![
        ("before it, it is tried again", surging().in_vain(), "detach a"),
        ("after it, the run fails", surging().in_vain().late(), "record Recovering/Restoring Internal a Chosen"),
        ("what works is done even after it", surging().late(), "detach a"),
        (
            "in Preparing nothing has been touched",
            run(Step::Preparing, &[], vec![planned("a")]).but(|o| o.finalizer = false).in_vain().late(),
            "record Recovering/Restoring Internal",
        ),
        (
            "a hook that cannot be started has failed",
            run(Step::PostHooks, &[], vec![pod("c", Role::New)]).in_vain().late(),
            "record Recovering/Restoring HookFailed",
        ),
        ("recovery says so once", back().in_vain().late(), "record Recovering/Restoring PutBackFailed"),
        (
            "and ends when it happens again",
            back().in_vain().late().cursor_but(|cursor| {
                cursor.outcome.as_mut().expect("it failed").not_restored = Some("a webhook".into());
            }),
            "record Recovering/Finishing Restored",
        ),
    ];
    check(rows);
}

#[test]
fn a_sidecar_that_takes_no_lease_holds_up_no_drain_beyond_the_deadline() {
    let draining =
        || run(Step::Draining, &[("a", Draining)], vec![planned("a").detached(), planned("b"), pod("c", Role::New)]);
    let rows: Vec<Row> = vec![
        ("before the deadline it is asked again", draining().in_vain(), "cordon a"),
        (
            "after it the run fails",
            draining().in_vain().late(),
            "record Recovering/Restoring SidecarUnavailable a Draining",
        ),
        (
            "or the pod goes all the same",
            draining().in_vain().late().but(|o| o.asked.on_timeout = TimeoutPolicy::Proceed),
            "record Restarting/Evicting Evicting a Overdue",
        ),
        (
            "with force it goes at once when it does not obey",
            draining().but(|o| {
                o.asked.force = true;
                o.pods[0] = planned("a").detached().silent(false);
            }),
            "record Restarting/Evicting Evicting a Forced",
        ),
    ];
    check(rows);
}

#[test]
fn a_deletion_is_heard_whatever_becomes_of_the_history() {
    let rows: Vec<Row> = vec![
        (
            "although the lock cannot be taken again",
            surging().held_by(Lock::Free).in_vain().but(|o| o.asked.deleting = true),
            "record Recovering/Restoring Deleted a Chosen",
        ),
        (
            "a run without a lock fails at the deadline",
            surging().held_by(Lock::Free).in_vain().late(),
            "record Recovering/Restoring Internal a Chosen",
        ),
        (
            "and its recovery says so, then goes on without",
            back().held_by(Lock::Free).in_vain().late(),
            "record Recovering/Restoring PutBackFailed",
        ),
        (
            "a result that cannot be written down keeps no run from its end",
            run(Step::Finishing, &[], vec![]).ending(unhealthy()).in_vain().late(),
            "record Failed/Finished Failed",
        ),
        (
            "nor a finished request from its deletion",
            run(Step::Finished, &[], vec![]).ending(unhealthy()).in_vain(),
            "remove finalizer",
        ),
    ];
    check(rows);
}

#[test]
fn a_copy_or_a_list_that_is_lost_ends_the_run_with_a_reason() {
    let restoring =
        || run(Step::Restoring, &[], vec![planned("a"), planned("b")]).ending(outcome(Code::HookFailed, true));
    let preparing = || run(Step::Preparing, &[], vec![planned("a"), planned("b")]);
    let rows: Vec<Row> = vec![
        (
            "recovery without the copy",
            restoring().but(|o| o.config[0].snapshot = Copied::Absent),
            "record Recovering/Restoring CopyLost",
        ),
        (
            "with another object in its place",
            restoring().but(|o| o.config[0].snapshot = Copied::Altered),
            "record Recovering/Restoring CopyLost",
        ),
        (
            "the candidate's copy is not needed for it",
            restoring().but(|o| o.config[0].candidate = Copied::Absent),
            "restore web",
        ),
        (
            "promotion without its candidate",
            preparing().content(Content::Snapshot).but(|o| o.config[0].candidate = Copied::Absent),
            "record Preparing/Finishing BackupFailed",
        ),
        (
            "another object in the place of a copy that is to be made",
            preparing()
                .cursor_but(|c| c.snapshot = None)
                .content(Content::Snapshot)
                .but(|o| o.config[0].snapshot = Copied::Altered),
            "record Preparing/Finishing BackupFailed",
        ),
        (
            "another object in the place of the list",
            preparing().cursor_but(|c| c.plan = None).content(Content::Snapshot).but(|o| o.plan.list = List::Altered),
            "record Preparing/Finishing Internal",
        ),
        (
            "the list is altered in mid-run",
            surging().but(|o| o.plan.list = List::Altered),
            "record Recovering/Restoring Internal a Chosen",
        ),
        (
            "the list of pods to replace once more is something else",
            restoring().content(Content::Snapshot).but(|o| o.plan.again = List::Altered),
            "record Recovering/Restoring PodsNotReplaced",
        ),
        (
            "a foreground deletion takes the workload first",
            surging().but(|o| (o.plan.list, o.target) = (List::Absent, Target::Gone)),
            "record Recovering/Restoring TargetInvalid a Chosen",
        ),
    ];
    check(rows);
}

#[test]
fn a_budget_that_errs_is_waited_for_until_the_deadline() {
    let refused = || {
        let pods = vec![planned("a").detached(), planned("b"), pod("c", Role::New)];
        run(Step::Surging, &[("a", Chosen)], pods).budget(Budget::Refused("more than one PodDisruptionBudget".into()))
    };
    let rows: Vec<Row> = vec![
        ("before it", refused(), "wait"),
        ("after it", refused().late(), "record Recovering/Restoring BudgetExhausted a Chosen"),
        (
            "a deletion is heard meanwhile",
            refused().but(|o| o.asked.deleting = true),
            "record Recovering/Restoring Deleted a Chosen",
        ),
        ("nothing has begun", fresh(vec![]).but(|o| o.asked.deleting = true), "rest"),
    ];
    check(rows);
}

/// What becomes of a run around which nothing can be read.
fn unseen(observed: &Observed) -> String {
    brief(&crate::machine::blind(observed, "pods is forbidden"))
}

#[test]
fn a_run_whose_surroundings_cannot_be_read_lets_go_at_the_deadline() {
    assert_eq!(unseen(&surging()), "wait");
    assert_eq!(unseen(&surging().late()), "record Failed/Finished Unreadable");
    let deleted = surging().late().but(|o| o.asked.deleting = true);
    assert_eq!(unseen(&deleted), "record Cancelled/Finished Unreadable");
    let new = || fresh(vec![]);
    assert_eq!(unseen(&new()), "wait");
    assert_eq!(unseen(&new().late()), "record Failed/Finished Internal");
    assert_eq!(unseen(&new().but(|o| o.asked.deleting = true)), "rest");
    let finished = run(Step::Finished, &[], vec![]).ending(unhealthy());
    assert_eq!(unseen(&finished), "remove finalizer", "however soon");
    let Decision::Record(change) = crate::machine::blind(&surging().late(), "pods is forbidden") else {
        panic!("late")
    };
    let outcome = change.outcome.expect("an end");
    assert_eq!(outcome.not_restored_reason.as_deref(), Some("Unreadable"));
    assert!(outcome.message.contains("pods is forbidden"));
}
