//! Worlds and ends in words.
//!
//! **Invariant:** for people alone; nothing is decided by it but which ends differ.

use crate::pod::Pod;
use crate::world::World;
use std::fmt::Write as _;

/// How a run ended, in a few words.
pub fn end(world: &World) -> String {
    let Some(status) = world.status else { return "gone before it began".into() };
    let code = status.outcome.and_then(|end| end.code).map_or("", |code| code.reason());
    let left =
        status.outcome.and_then(|end| end.not_restored).map_or(String::new(), |why| format!(" not restored: {why}"));
    format!("{:?} {code}{left}", status.phase)
}

/// A world on one line.
pub fn shown(world: &World) -> String {
    let mut text = match world.status {
        None => "no status".to_owned(),
        Some(status) => {
            format!("{:?}/{:?} {:?}", status.phase, status.step, status.outcome.map(|end| (end.code, end.not_restored)))
        }
    };
    let _ = write!(text, " lock {:?} {:?} x{} live {:?}", world.holder, world.workload, world.replicas, world.live);
    if let Some(status) = world.status {
        let _ = write!(text, " hooks {:?} {:?} {:?} {:?}", status.pre, world.pre, status.post, world.post);
    }
    for (flag, word) in [
        (world.finalizer, "finalizer"),
        (world.triggered, "triggered"),
        (world.expired, "expired"),
        (world.shared, "shared"),
        (world.held, "held"),
        (world.cancel, "cancel"),
        (world.deleting, "deleting"),
        (world.gone, "gone"),
        (world.deadline, "deadline"),
        (world.soaked, "soaked"),
        (world.trouble, "trouble"),
        (world.erring, "erring"),
    ] {
        if flag {
            let _ = write!(text, " {word}");
        }
    }
    for (index, pod) in world.pods.iter().enumerate() {
        let _ = write!(text, "\n        {index} {}", one(pod));
    }
    text
}

fn one(pod: &Pod) -> String {
    let mut text = format!("{} {:?} on {:?}", pod.ordinal, pod.place, pod.runs);
    for (flag, word) in [
        (pod.planned, "planned"),
        (pod.late, "late"),
        (pod.again, "again"),
        (pod.terminating, "TERMINATING"),
        (pod.ready, "ready"),
        (pod.in_slices, "in-slices"),
        (pod.in_second, "in-second"),
        (pod.lapsed, "lapsed"),
        (pod.leaving, "leaving"),
        (pod.homeless, "homeless"),
        (pod.busy, "busy"),
        (pod.stuck, "stuck"),
        (pod.overdue, "overdue"),
        (pod.silent, "silent"),
        (pod.noted, "noted"),
        (pod.passed, "passed-over"),
        (pod.unready, "unready-batch"),
        (pod.refuses, "refuses"),
        (pod.refused, "refused"),
        (pod.expendable, "expendable"),
        (pod.restarted, "restarted"),
        (pod.broken, "broken"),
    ] {
        if flag {
            let _ = write!(text, " {word}");
        }
    }
    let _ = write!(text, " {:?} lease {:?} {:?} {:?}", pod.illness, pod.lease, pod.batch, pod.asleep);
    text
}
