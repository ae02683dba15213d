//! The end: result, lock, finalizer.

use super::world::{Row, check, outcome, pod, run, unhealthy};
use crate::api::{Code, Outcome, Phase, Step};
use crate::machine::{Content, Lock, Observed, Role, Target};

fn completed() -> Outcome {
    Outcome { result: Phase::Completed, code: None, ..outcome(Code::Internal, false) }
}

fn ending(step: Step, outcome: Outcome) -> Observed {
    run(step, &[], vec![pod("c", Role::New)]).ending(outcome)
}

#[test]
fn the_result_is_written_the_lock_released_and_the_finalizer_removed() {
    let done = |outcome| ending(Step::Finishing, outcome).held_by(Lock::Done);
    let over = |outcome| ending(Step::Finished, outcome).held_by(Lock::Done);
    let rows: Vec<Row> = vec![
        ("success makes the configuration known to be good", ending(Step::Finishing, completed()), "release lock web"),
        (
            "an edit since then is not known to be good",
            ending(Step::Finishing, completed()).content(Content::Other),
            "release lock",
        ),
        ("failure makes nothing good", ending(Step::Finishing, unhealthy()), "release lock"),
        (
            "the lock of a deleted workload is released too",
            ending(Step::Finishing, unhealthy()).target(Target::Gone),
            "release lock",
        ),
        ("then the end is written", done(completed()), "record Completed/Finished Completed"),
        ("failed", done(unhealthy()), "record Failed/Finished Failed"),
        ("cancelled", done(Outcome { result: Phase::Cancelled, ..unhealthy() }), "record Cancelled/Finished Cancelled"),
        ("then the finalizer goes", over(completed()), "remove finalizer"),
        ("a lock taken by a leader that was asleep goes before", over(completed()).held_by(Lock::Ours), "release lock"),
        ("then nothing happens any more", over(completed()).but(|o| o.finalizer = false), "rest"),
        (
            "but that a new generation is noticed",
            over(completed()).but(|o| (o.finalizer, o.asked.generation_unseen) = (false, true)),
            "record Completed/Finished Completed",
        ),
        (
            "another trigger asks for another run",
            over(completed()).but(|o| (o.finalizer, o.asked.triggered) = (false, true)),
            "record Pending/Queued Triggered",
        ),
        ("after the finalizer is gone", over(completed()).but(|o| o.asked.triggered = true), "remove finalizer"),
        (
            "not of a request that is being deleted",
            over(completed()).but(|o| (o.finalizer, o.asked.triggered, o.asked.deleting) = (false, true, true)),
            "rest",
        ),
        (
            "when its time is over the request is deleted",
            over(completed()).but(|o| (o.finalizer, o.asked.expired) = (false, true)),
            "delete request",
        ),
        ("not before the finalizer is gone", over(completed()).but(|o| o.asked.expired = true), "remove finalizer"),
        (
            "once",
            over(completed()).but(|o| (o.finalizer, o.asked.expired, o.asked.deleting) = (false, true, true)),
            "rest",
        ),
        (
            "not when another run is asked for",
            over(completed()).but(|o| (o.finalizer, o.asked.expired, o.asked.triggered) = (false, true, true)),
            "record Pending/Queued Triggered",
        ),
        ("a cancel changes nothing", over(completed()).but(|o| (o.finalizer, o.asked.cancel) = (false, true)), "rest"),
    ];
    check(rows);
}
