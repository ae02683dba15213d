//! What happens around the controller: the calm part, which Kubernetes does by itself, and the disturbances.
//!
//! **Invariant:** calm moves always end: each brings a pod nearer to where its lease and its configuration let it be.

use crate::pod::{Illness, Lease, Place, Pod};
use crate::scenario::{Disturbance, Kind, Scenario};
use crate::world::{Data, Holder, HookRuns, Workload, World};
use restart_controller::api::{HookTime, PodState, Step};

/// What happened, and to which pod; a sentence is made of it only for a path that is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Calm(&'static str, Option<usize>),
    Disturbed(Disturbance, Option<usize>),
}

/// What the `ReplicaSet` does when it has too many pods.
pub const DELETES: &str = "the ReplicaSet deletes";

/// A move and the world after it.
pub type Moved = (Event, World);

pub fn moved(world: &World, event: Event, change: impl FnOnce(&mut World)) -> Moved {
    let mut next = world.clone();
    change(&mut next);
    (event, next)
}

fn changed(world: &World, what: &'static str, pod: Option<usize>, change: impl FnOnce(&mut World)) -> Moved {
    moved(world, Event::Calm(what, pod), change)
}

/// What Kubernetes does by itself.
pub fn calm(world: &World, scenario: &Scenario) -> Vec<Moved> {
    let mut moves = vec![];
    for index in 0..world.pods.len() {
        if index > 0 && world.pods[index] == world.pods[index - 1] {
            continue;
        }
        moves.extend(of_pod(world, scenario, index));
    }
    moves.extend(calm_around(world, scenario));
    moves
}

/// What happens to no pod in particular.
pub fn calm_around(world: &World, scenario: &Scenario) -> Vec<Moved> {
    let mut moves = vec![];
    match scenario.kind {
        Kind::Deployment => replica_set(world, &mut moves),
        Kind::StatefulSet { ordered } => moves.extend(stateful_set(world, ordered)),
    }
    around(world, scenario, &mut moves);
    moves
}

/// What ends by itself.
fn around(world: &World, scenario: &Scenario, moves: &mut Vec<Moved>) {
    if world.held && world.step().is_none_or(|step| step == Step::Queued) {
        moves.push(changed(world, "what the request waited for ends", None, |next| next.held = false));
    }
    if scenario.queue && world.holder == Holder::Other {
        moves.push(changed(world, "the other run ends", None, |next| {
            next.holder = Holder::Free;
            next.history_changed();
        }));
    }
    for (time, runs, what) in
        [(HookTime::Pre, world.pre, "the pre-hook ends"), (HookTime::Post, world.post, "the post-hook ends")]
    {
        if runs == HookRuns::Running {
            moves.push(changed(world, what, None, |next| *next.hook(time) = HookRuns::Over));
        }
    }
    if world.lagging.is_some() {
        moves.push(changed(world, "the budget's status follows", None, |next| next.lagging = None));
    }
    let over = world.step() == Some(Step::Finished) && !world.triggered && !world.deleting;
    if scenario.ttl && over && !world.expired {
        moves.push(changed(world, "ttlSecondsAfterFinished pass", None, |next| next.expired = true));
    }
}

pub fn healthy(scenario: &Scenario, pod: &Pod) -> bool {
    pod.illness == Illness::None && !(scenario.bad && pod.runs == Data::New) && pod.runs != Data::Missing
}

pub fn of_pod(world: &World, scenario: &Scenario, index: usize) -> Vec<Moved> {
    let pod = world.pods[index];
    let on = |label: &'static str, change: &dyn Fn(&mut Pod)| {
        changed(world, label, Some(index), |next| change(&mut next.pods[index]))
    };
    if pod.terminating && pod.illness == Illness::Lost {
        return vec![];
    }
    if pod.terminating {
        return vec![changed(world, "gone", Some(index), |next| {
            next.pods.remove(index);
        })];
    }
    let mut moves = vec![];
    if world.workload == Workload::Gone && pod.place != Place::Foreign {
        moves.push(on("garbage collected", &Pod::terminate));
    }
    moves.extend(kubelet(world, scenario, index, &pod));
    if scenario.service && pod.in_slices != pod.ready {
        let ready = pod.ready;
        moves.push(on("slices follow", &|pod| pod.in_slices = ready));
    }
    if scenario.second && pod.in_second != pod.ready {
        let ready = pod.ready;
        moves.push(on("the second Service's slices follow", &|pod| pod.in_second = ready));
    }
    if pod.lease != Lease::None && pod.busy && !pod.stuck && !pod.in_any() {
        moves.push(on("drained and quiet", &|pod| pod.busy = false));
    }
    if (pod.silent || pod.refuses) && pod.lease != Lease::None {
        moves.push(on("lease of a sidecar that does not obey runs out", &|pod| {
            (pod.lease, pod.busy, pod.stuck) = (Lease::None, false, false);
        }));
    }
    moves
}

fn kubelet(world: &World, scenario: &Scenario, index: usize, pod: &Pod) -> Option<Moved> {
    if pod.homeless || pod.illness == Illness::Lost && !pod.ready {
        return None;
    }
    let (healthy, live) = (healthy(scenario, pod), world.live);
    let wanted = healthy && pod.lease == Lease::None;
    let on = |label: &'static str, change: &dyn Fn(&mut Pod)| {
        changed(world, label, Some(index), |next| {
            change(&mut next.pods[index]);
            next.pods[index].touched();
        })
    };
    if pod.ready != wanted {
        return Some(on(if wanted { "ready" } else { "not ready" }, &|pod| pod.ready = wanted));
    }
    if !healthy && !pod.broken && pod.runs != Data::Missing && pod.illness == Illness::None {
        return Some(on("exits twice", &|pod| (pod.broken, pod.restarted) = (true, true)));
    }
    let good = live != Data::Missing && !(scenario.bad && live == Data::New);
    let cured = good && !healthy && !scenario.incurable && pod.illness == Illness::None;
    cured.then(|| on("restarts on the present configuration", &|pod| pod.runs = live))
}

/// Creates when too few, deletes when too many: not ready, then cheapest, then any (crowded nodes, notes on putting back).
fn replica_set(world: &World, moves: &mut Vec<Moved>) {
    let foreign = world.pods.iter().filter(|pod| pod.place == Place::Foreign && !pod.terminating).count();
    let (wanted, own) = (usize::from(world.replicas), world.own());
    let wanted = match world.workload {
        Workload::Gone => return,
        Workload::Same => wanted,
        Workload::RollingOut => wanted.saturating_sub(foreign),
    };
    if world.namespace_terminating {
        return;
    }
    let create =
        |place: Place| changed(world, "a pod is created", None, |next| next.pods.push(Pod::new(next.live, place)));
    if world.workload == Workload::RollingOut && foreign < usize::from(world.replicas) {
        moves.push(create(Place::Foreign));
    }
    if own < wanted {
        moves.push(create(Place::Attached));
    }
    if own > wanted {
        moves.extend(too_many(world));
    }
}

/// Fills the places, in their order if that is asked for, and takes the highest away when there are too many.
fn stateful_set(world: &World, ordered: bool) -> Option<Moved> {
    if world.workload == Workload::Gone || world.namespace_terminating {
        return None;
    }
    for ordinal in 0..world.replicas {
        let Some(pod) = world.pods.iter().find(|pod| pod.ordinal == ordinal) else {
            return Some(changed(world, "a pod is created", None, |next| {
                next.pods.push(Pod { ordinal, ..Pod::new(next.live, Place::Attached) });
            }));
        };
        if ordered && (pod.terminating || !pod.ready) {
            return None;
        }
    }
    let (index, pod) = world.pods.iter().enumerate().max_by_key(|(_, pod)| pod.ordinal)?;
    (pod.ordinal >= world.replicas && !pod.terminating)
        .then(|| changed(world, "the StatefulSet deletes", Some(index), |next| next.pods[index].terminate()))
}

fn too_many(world: &World) -> Vec<Moved> {
    let rank = |pod: &Pod| (pod.ready, !pod.expendable);
    let lowest = world.pods.iter().filter(|pod| pod.own()).map(rank).min();
    let all = world.pods.iter().enumerate().filter(|(_, pod)| pod.own() && Some(rank(pod)) == lowest);
    all.map(|(index, _)| changed(world, DELETES, Some(index), |next| next.pods[index].terminate())).collect()
}

/// Time passes when nothing else happens: first the waits of pods, then the deadline.
pub fn time(world: &World) -> Option<Moved> {
    let waits = |pod: &Pod| pod.lease != Lease::None || pod.silent || pod.refused;
    let draining = |pod: &Pod| !pod.terminating && waits(pod) && !pod.overdue;
    if world.pods.iter().any(draining) || !world.soaked {
        return Some(changed(world, "timeoutSeconds pass", None, |next| {
            next.soaked = true;
            for pod in next.pods.iter_mut().filter(|pod| !pod.terminating) {
                pod.overdue |= waits(pod);
                if pod.lease != Lease::None {
                    pod.lease = Lease::Stale;
                }
            }
        }));
    }
    (!world.deadline).then(|| changed(world, "progressDeadlineSeconds pass", None, |next| next.deadline = true))
}

/// Leases of pods that no run cares for run out.
pub fn leases_end(world: &World) -> Option<Moved> {
    let leased = world.pods.iter().any(|pod| pod.lease != Lease::None);
    (leased && world.ended()).then(|| {
        changed(world, "leases run out", None, |next| {
            for pod in &mut next.pods {
                (pod.lease, pod.busy, pod.stuck, pod.overdue) = (Lease::None, false, false, false);
            }
        })
    })
}

/// A pod whose drain is recorded: for the checks.
pub fn may_go(state: Option<PodState>) -> bool {
    matches!(state, Some(PodState::Drained | PodState::Overdue | PodState::Forced | PodState::Terminating))
}
