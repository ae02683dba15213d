//! Preparing: finalizer, lock, copies, list, promotion.

use super::world::{Row, check, pod, run};
use crate::api::{Code, Step};
use crate::machine::{Content, Copied, List, Lock, Observed, RefusedEffect, Role};

/// Everything done but the beginning.
fn ready() -> Observed {
    run(Step::Preparing, &[], vec![pod("a", Role::Planned), pod("b", Role::Planned)])
}

fn unpromoted() -> Observed {
    ready().content(Content::Snapshot)
}

fn unlisted() -> Observed {
    unpromoted().cursor_but(|cursor| cursor.plan = None)
}

fn uncopied() -> Observed {
    unlisted().cursor_but(|cursor| cursor.snapshot = None).but(|o| o.plan.list = List::Absent)
}

#[test]
fn one_thing_comes_after_the_other() {
    let rows: Vec<Row> = vec![
        ("first the finalizer", uncopied().but(|o| o.finalizer = false).held_by(Lock::Free), "add finalizer"),
        ("then the lock", uncopied().held_by(Lock::Free), "take lock"),
        ("then the copies", uncopied().but(|o| o.config[0].candidate = Copied::Absent), "copy"),
        ("which are recorded", uncopied(), "record Preparing/Preparing SnapshotTaken"),
        ("then the list", unlisted().but(|o| o.plan.list = List::Absent), "write plan a+b"),
        (
            "which takes detached pods that an earlier run left, and none of others or on the way out",
            unlisted().but(|o| {
                o.plan.list = List::Absent;
                o.pods = vec![
                    pod("a", Role::New).detached(),
                    pod("b", Role::New).foreign(),
                    pod("c", Role::New).going(),
                    pod("d", Role::New),
                ];
            }),
            "write plan a+d",
        ),
        ("which is recorded", unlisted(), "record Preparing/Preparing Planned"),
        ("then the promotion", unpromoted(), "promote web"),
        ("then the first batch", ready(), "record Restarting/Surging Surging a Chosen"),
        ("as large as asked for", ready().parallel(2), "record Restarting/Surging Surging a Chosen b Chosen"),
        ("Rolling asks for leave first", ready().rolling(), "record WaitingRequests/Reserving Reserving a Chosen"),
        (
            "pods born since the list are recorded first",
            ready().but(|o| o.pods.push(pod("c", Role::New))),
            "record Preparing/Preparing Planned",
        ),
        (
            "once",
            ready().but(|o| o.pods.push(pod("d", Role::New))).cursor_but(|cursor| {
                cursor.plan.as_mut().expect("a plan").late = vec!["c".into()];
            }),
            "record Restarting/Surging Surging a Chosen",
        ),
        (
            "no pods: nothing but the end to verify",
            ready().but(|o| o.pods.clear()),
            "record Restarting/Verifying Verifying",
        ),
    ];
    check(rows);
}

#[test]
fn until_the_copies_are_recorded_it_may_lose_its_turn() {
    let other = || Lock::Other("first".into());
    let queue = |observed: Observed| observed.held_by(other()).but(|o| o.asked.queue = true);
    let triggered = |observed: Observed| observed.but(|o| o.asked.triggered = true);
    let bare = |observed: Observed| observed.but(|o| o.finalizer = false);
    let rows: Vec<Row> = vec![
        ("another run was faster: the finalizer goes", queue(uncopied()), "remove finalizer"),
        ("then it queues", queue(bare(uncopied())), "record Pending/Queued Queued"),
        (
            "unless it was cancelled",
            queue(uncopied()).but(|o| o.asked.cancel = true),
            "record Preparing/Finishing Cancelled",
        ),
        ("later it has lost", queue(unlisted()), "record Preparing/Finishing AlreadyRestarting"),
        ("another trigger was set: the finalizer goes", triggered(uncopied()).held_by(Lock::Free), "remove finalizer"),
        ("then it begins anew", bare(triggered(uncopied())).held_by(Lock::Free), "record Pending/Queued Triggered"),
        ("with the lock it goes on", triggered(uncopied()), "record Preparing/Preparing SnapshotTaken"),
    ];
    check(rows);
}

#[test]
fn what_stops_it_puts_back_a_promotion_and_nothing_else() {
    let rows: Vec<Row> = vec![
        (
            "cancel before the promotion",
            unpromoted().but(|o| o.asked.cancel = true),
            "record Preparing/Finishing Cancelled",
        ),
        ("cancel after it", ready().but(|o| o.asked.cancel = true), "record Recovering/Restoring Cancelled"),
        ("deletion after it", ready().but(|o| o.asked.deleting = true), "record Recovering/Restoring Cancelled"),
        (
            "another run took the lock",
            unlisted().held_by(Lock::Other("first".into())),
            "record Preparing/Finishing AlreadyRestarting",
        ),
        (
            "the history says that this run has ended",
            uncopied().held_by(Lock::Done),
            "record Preparing/Finishing Internal",
        ),
        ("a check fails", uncopied().judged(Code::SidecarUnavailable), "record Preparing/Finishing SidecarUnavailable"),
        ("a copy is refused", uncopied().refused(RefusedEffect::Copy), "record Preparing/Finishing BackupFailed"),
        (
            "a promotion is refused",
            unpromoted().refused(RefusedEffect::Promotion),
            "record Preparing/Finishing RestoreConflict",
        ),
        ("a list is refused", unlisted().refused(RefusedEffect::Other), "record Preparing/Finishing Internal"),
        (
            "somebody edits what is to be promoted",
            unpromoted().content(Content::Other),
            "record Preparing/Finishing RestoreConflict",
        ),
        ("or the list", unpromoted().but(|o| o.plan.list = List::Absent), "record Preparing/Finishing Internal"),
        (
            "also after the promotion",
            ready().but(|o| o.plan.list = List::Absent),
            "record Recovering/Restoring Internal",
        ),
        ("or deletes it", unpromoted().content(Content::Missing), "record Preparing/Finishing RestoreConflict"),
    ];
    check(rows);
}
