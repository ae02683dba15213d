//! Which plans there are, and an even sample of them.
//!
//! **Invariant:** the same `PLANS=N` and the same `undisturbed.json` give the same plans.

use crate::fault::{Fault, Window};
use crate::judge::oracle::Known;
use crate::path::Path;
use crate::plan::{Injection, Plan, Point};
use crate::proxy::Kind;

/// Leases are renewed for as long as a run takes: the first few stand for all.
const MOST_LEASES: u32 = 3;

/// Every so many plans of a sample have two faults.
const PAIRED: usize = 4;

/// The undisturbed run of each path.
pub fn undisturbed() -> Vec<Plan> {
    Path::all().into_iter().map(|path| Plan { path, injections: vec![] }).collect()
}

/// Every fault at every write of every path.
pub fn all(known: &Known) -> Vec<Plan> {
    let mut plans = vec![];
    for path in Path::all() {
        let Some(undisturbed) = known.get(&path.to_string()) else { continue };
        for point in points(undisturbed) {
            let faults = if point.kind.is_to_a_sidecar() { Fault::of_sidecars() } else { Fault::all() };
            let faults = faults.into_iter().filter(|fault| means_something(*fault, point.kind));
            plans.extend(faults.map(|fault| Plan { path, injections: vec![Injection { fault, point }] }));
        }
    }
    plans
}

fn points(undisturbed: &crate::judge::oracle::Undisturbed) -> Vec<Point> {
    // The key is written at a process' start, which is before the request.
    let kinds = Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Key | Kind::Unknown));
    let count = |kind: Kind| undisturbed.writes.get(kind.name()).copied().unwrap_or_default();
    let of = |kind: Kind| {
        let most = if kind == Kind::Lease { count(kind).min(MOST_LEASES) } else { count(kind) };
        (1..=most).map(move |nth| Point { kind, nth })
    };
    kinds.flat_map(of).collect()
}

/// An Event or a Lease is no place to begin what concerns reads: the writes beside it are.
fn means_something(fault: Fault, kind: Kind) -> bool {
    match fault {
        Fault::Window(Window::BlackHole)
        | Fault::Kill(_)
        | Fault::Reset(_)
        | Fault::Status(..)
        | Fault::Garbage
        | Fault::Latency(..) => true,
        Fault::Stop(_) | Fault::Window(_) => kind.is_of_a_run(),
    }
}

/// So many of them, evenly: one of each stretch of the list, at a place in it that wanders as the golden ratio does. Their order
/// wanders in the same way, so that a sweep that is broken off has been even too.
pub fn sample(plans: &[Plan], count: usize) -> Vec<Plan> {
    let (total, count) = (plans.len(), count.min(plans.len()));
    let wandering = |index: usize| index * 618_034 % 1_000_000;
    let place = |index: usize| {
        let (start, end) = (index * total / count, (index + 1) * total / count);
        start + wandering(index) * (end - start) / 1_000_000
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|index| wandering(*index));
    let mut chosen: Vec<Plan> = order.into_iter().map(|index| plans[place(index)].clone()).collect();
    (0..chosen.len()).step_by(PAIRED).for_each(|index| pair(&mut chosen, index));
    chosen
}

/// Adds the fault of the next plan of the same path, at another point.
fn pair(chosen: &mut [Plan], index: usize) {
    let (head, tail) = chosen.split_at_mut(index + 1);
    let plan = &mut head[index];
    let next = tail.iter().filter(|next| next.path == plan.path).flat_map(|next| &next.injections);
    let other = next.copied().find(|other| plan.injections.iter().all(|one| one.point != other.point));
    plan.injections.extend(other);
}
