//! What must hold of every write, as the proxy saw it.
//!
//! **Invariant:** a write that the API server has refused has done nothing.

use super::Before;
use crate::proxy::{Kind, Seen};
use crate::world::pods::Pods;
use std::collections::{BTreeMap, BTreeSet};

/// The sentences of what does not hold.
pub fn wrong(seen: &[Seen], pods: &Pods, before: &Before, completed: bool) -> Vec<String> {
    let mut wrong: Vec<String> = seen.iter().filter_map(unguarded).collect();
    wrong.extend(foreign(seen, pods));
    let (evicted, repeated) = evicted(seen);
    wrong.extend(repeated);
    if completed && evicted != before.pods {
        wrong.push(format!("planned were the pods {:?}, evicted {evicted:?}", before.pods));
    }
    wrong
}

/// A write without the UID or the resourceVersion that was seen.
fn unguarded(seen: &Seen) -> Option<String> {
    let excused = seen.kind.is_made_once() || matches!(seen.kind, Kind::Event | Kind::Lease | Kind::Key);
    if seen.kind == Kind::Unknown {
        return Some(format!("a write of no known kind: {}", seen.call.line));
    }
    (!excused && !seen.call.guarded)
        .then(|| format!("a {} carries no precondition: {}", seen.kind.name(), seen.call.line))
}

/// A pod that was written to and is none of the workload's.
fn foreign(seen: &[Seen], pods: &Pods) -> Vec<String> {
    let known: BTreeSet<String> = pods.lives().into_keys().collect();
    let of_pods = seen.iter().filter(|seen| touches_pods(seen.kind) && seen.is_accepted());
    let foreign = of_pods.filter(|seen| seen.call.uid.as_ref().is_none_or(|uid| !known.contains(uid)));
    foreign.map(|seen| format!("a {} of a pod that was never seen: {}", seen.kind.name(), seen.call.line)).collect()
}

fn touches_pods(kind: Kind) -> bool {
    matches!(kind, Kind::Detach | Kind::PutBack | Kind::Expend | Kind::Evict | Kind::PodDelete)
}

/// The UIDs that were evicted or deleted, and what went twice.
fn evicted(seen: &[Seen]) -> (BTreeSet<String>, Vec<String>) {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let gone = seen.iter().filter(|seen| matches!(seen.kind, Kind::Evict | Kind::PodDelete) && seen.is_accepted());
    for uid in gone.filter_map(|seen| seen.call.uid.clone()) {
        *times.entry(uid).or_default() += 1;
    }
    let twice = times.iter().filter(|(_, times)| **times > 1);
    let twice = twice.map(|(uid, times)| format!("pod {uid} was evicted {times} times")).collect();
    (times.into_keys().collect(), twice)
}
