//! Pending: may the restart begin?

use super::world::{Row, check, fresh, pod, run};
use crate::api::{Code, Step};
use crate::machine::{Lock, Observed, Role};

fn asked() -> Observed {
    fresh(vec![pod("a", Role::New), pod("b", Role::New)])
}

fn queued() -> Observed {
    run(Step::Queued, &[], vec![pod("a", Role::New)]).but(|observed| observed.finalizer = false).held_by(Lock::Free)
}

#[test]
fn a_request_begins_waits_or_is_refused() {
    let rows: Vec<Row> = vec![
        ("nothing stands in the way", asked(), "record Preparing/Preparing Preparing"),
        (
            "a cancelled request ends before it begins",
            asked().but(|o| o.asked.cancel = true),
            "record Cancelled/Finished Cancelled",
        ),
        ("a deleted request is left alone", asked().but(|o| o.asked.deleting = true), "rest"),
        (
            "a deleted request gets rid of our finalizer",
            asked().but(|o| (o.asked.deleting, o.finalizer) = (true, true)),
            "remove finalizer",
        ),
        ("a verdict ends it", asked().judged(Code::TargetInvalid), "record Failed/Finished TargetInvalid"),
        (
            "another run holds the workload",
            asked().held_by(Lock::Other("first".into())).judged(Code::SidecarUnavailable),
            "record Failed/Finished AlreadyRestarting",
        ),
        (
            "which it waits for if it says Queue",
            asked().held_by(Lock::Other("first".into())).but(|o| o.asked.queue = true),
            "record Pending/Queued Queued",
        ),
        (
            "for as long as it takes",
            queued().held_by(Lock::Other("first".into())).but(|o| o.asked.queue = true).late(),
            "wait",
        ),
        ("until that has ended", queued().but(|o| o.asked.queue = true), "record Preparing/Preparing Preparing"),
        (
            "a cancel ends that wait too",
            queued().held_by(Lock::Other("first".into())).but(|o| (o.asked.queue, o.asked.cancel) = (true, true)),
            "record Cancelled/Finished Cancelled",
        ),
        (
            "another trigger is the one that it waits with",
            queued().held_by(Lock::Other("first".into())).but(|o| (o.asked.queue, o.asked.triggered) = (true, true)),
            "record Pending/Queued Triggered",
        ),
        (
            "a key that is known gets its result, whoever holds the workload",
            asked().held_by(Lock::Other("first".into())).known(),
            "record Failed/Finished AlreadyHandled",
        ),
        (
            "and whatever it asks for",
            asked().known().but(|o| (o.asked.queue, o.asked.cancel) = (true, true)),
            "record Failed/Finished AlreadyHandled",
        ),
        ("a rollout of its own is waited for", asked().on_hold(true), "record Pending/Queued Queued"),
        ("once queued it waits", queued().on_hold(true), "wait"),
        ("until the deadline", queued().on_hold(true).late(), "record Failed/Finished RolloutConflict"),
        ("a wait for others has no deadline", queued().on_hold(false).late(), "wait"),
        ("its turn comes", queued(), "record Preparing/Preparing Preparing"),
        (
            "a cancel ends the wait",
            queued().on_hold(true).but(|o| o.asked.cancel = true),
            "record Cancelled/Finished Cancelled",
        ),
        ("a terminating namespace is let go", asked().but(|o| o.asked.namespace_terminating = true), "rest"),
    ];
    check(rows);
}
