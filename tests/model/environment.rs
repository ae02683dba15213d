//! What happens around the controller: the calm part, which Kubernetes does by itself, and the disturbances.
//!
//! **Invariant:** calm moves always end: each brings a pod nearer to where its lease and its configuration let it be.

use crate::pod::{Lease, Place, Pod};
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

fn moved(world: &World, event: Event, change: impl FnOnce(&mut World)) -> Moved {
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
    !(scenario.bad && pod.runs == Data::New) && pod.runs != Data::Missing
}

pub fn of_pod(world: &World, scenario: &Scenario, index: usize) -> Vec<Moved> {
    let pod = world.pods[index];
    let on = |label: &'static str, change: &dyn Fn(&mut Pod)| {
        changed(world, label, Some(index), |next| change(&mut next.pods[index]))
    };
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
    if pod.silent && pod.lease != Lease::None {
        moves.push(on("lease of a silent sidecar runs out", &|pod| {
            (pod.lease, pod.busy, pod.stuck) = (Lease::None, false, false);
        }));
    }
    moves
}

fn kubelet(world: &World, scenario: &Scenario, index: usize, pod: &Pod) -> Option<Moved> {
    if pod.homeless {
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
    if !healthy && !pod.broken && pod.runs != Data::Missing {
        return Some(on("exits twice", &|pod| (pod.broken, pod.restarted) = (true, true)));
    }
    let good = live != Data::Missing && !(scenario.bad && live == Data::New);
    let cured = good && !healthy && !scenario.incurable;
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
    let draining = |pod: &Pod| !pod.terminating && (pod.lease != Lease::None || pod.silent) && !pod.overdue;
    if world.pods.iter().any(draining) || !world.soaked {
        return Some(changed(world, "timeoutSeconds pass", None, |next| {
            next.soaked = true;
            for pod in next.pods.iter_mut().filter(|pod| !pod.terminating) {
                pod.overdue |= pod.lease != Lease::None || pod.silent;
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

/// What else may happen, each at a price of one.
pub fn disturbed(world: &World, scenario: &Scenario) -> Vec<Moved> {
    if world.budget == 0 || world.gone {
        return vec![];
    }
    let mut moves = vec![];
    for disturbance in scenario.disturbances {
        // After the end nothing but another trigger makes a difference.
        if world.ended() && *disturbance != Disturbance::Trigger {
            continue;
        }
        for index in 0..world.pods.len() {
            if index > 0 && world.pods[index] == world.pods[index - 1] {
                continue;
            }
            moves.extend(to_pod(world, scenario, *disturbance, index));
        }
        moves.extend(to_world(world, scenario, *disturbance));
    }
    for (_, next) in &mut moves {
        next.budget -= 1;
    }
    moves
}

fn to_pod(world: &World, scenario: &Scenario, disturbance: Disturbance, index: usize) -> Option<Moved> {
    let pod = world.pods[index];
    let lapses = pod.ready && pod.own() && world.step() == Some(Step::Verifying);
    let leased = pod.lease != Lease::None && !pod.silent;
    let on = |change: &dyn Fn(&mut Pod)| {
        Some(moved(world, Event::Disturbed(disturbance, Some(index)), |next| change(&mut next.pods[index])))
    };
    if disturbance == Disturbance::PodDeath {
        return Some(moved(world, Event::Disturbed(disturbance, Some(index)), |next| {
            next.pods.remove(index);
        }));
    }
    if pod.terminating || pod.place == Place::Foreign {
        return None;
    }
    match disturbance {
        Disturbance::NoNode if !pod.ready && !pod.broken && pod.lease == Lease::None && !pod.listed() => {
            on(&|pod| (pod.homeless, pod.silent) = (true, true))
        }
        Disturbance::ContainerRestart if !pod.homeless => {
            let live = world.live;
            on(&|pod| {
                (pod.runs, pod.restarted, pod.ready) = (live, true, false);
                pod.lapsed |= lapses;
                pod.touched();
            })
        }
        Disturbance::Silence if !pod.silent => on(&|pod| pod.silent = true),
        Disturbance::SidecarRestart if !pod.silent && !pod.homeless => on(&|pod| {
            (pod.lease, pod.busy, pod.stuck, pod.overdue) = (Lease::None, false, false, false);
            (pod.ready, pod.restarted) = (false, true);
            pod.lapsed |= lapses;
            pod.touched();
            pod.challenged();
        }),
        Disturbance::Lapse if lapses => on(&|pod| {
            (pod.ready, pod.lapsed) = (false, true);
            pod.touched();
        }),
        Disturbance::Break if pod.ready && pod.own() && pod.runs == Data::New => on(&|pod| {
            (pod.runs, pod.ready, pod.restarted, pod.broken) = (Data::Missing, false, true, true);
            pod.lapsed |= lapses;
            pod.touched();
        }),
        Disturbance::NodeLeaves if !pod.leaving && scenario.pods > 1 => on(&|pod| pod.leaving = true),
        Disturbance::LateRequest if leased && !pod.busy => on(&|pod| pod.busy = true),
        Disturbance::LongRequest if leased && pod.busy && !pod.stuck => on(&|pod| pod.stuck = true),
        // A lease outlives no timeout of a sidecar that cannot be asked to renew it.
        Disturbance::DrainTimeout
            if (leased && !pod.ready || pod.silent && pod.lease == Lease::None) && !pod.overdue =>
        {
            on(&|pod| pod.overdue = true)
        }
        Disturbance::LeaseExpiry if leased => on(&|pod| {
            (pod.lease, pod.busy, pod.stuck, pod.overdue) = (Lease::None, false, false, false);
        }),
        _ => None,
    }
}

fn to_world(world: &World, scenario: &Scenario, disturbance: Disturbance) -> Option<Moved> {
    let on = |change: &dyn Fn(&mut World)| Some(moved(world, Event::Disturbed(disturbance, None), |next| change(next)));
    let started = !matches!(world.step(), None | Some(Step::Finished));
    let calm = world.workload == Workload::Same;
    match disturbance {
        Disturbance::Crash if knows(world, scenario) => on(&|next| next.crash(scenario)),
        Disturbance::Deadline if started && !world.deadline => on(&|next| next.deadline = true),
        Disturbance::Edit if world.live != Data::Other => on(&|next| {
            next.live = Data::Other;
            (next.promotions, next.restores) = (0, 0);
            next.config_map_changed();
        }),
        Disturbance::Removal if world.live != Data::Missing && world.step() > Some(Step::Preparing) => on(&|next| {
            next.live = Data::Missing;
            next.config_map_changed();
        }),
        Disturbance::Delete if !world.deleting => on(&|next| {
            next.deleting = true;
            next.gone |= !next.finalizer;
            next.request_changed();
        }),
        Disturbance::Cancel if !world.cancel => on(&|next| {
            next.cancel = true;
            next.request_changed();
        }),
        Disturbance::ScaleUp if calm && world.replicas <= scenario.pods => on(&|next| next.replicas += 1),
        Disturbance::ScaleDown if calm && world.replicas > 0 => on(&|next| {
            next.replicas -= 1;
            next.excused = true;
        }),
        Disturbance::Rollout if calm && started => on(&|next| next.workload = Workload::RollingOut),
        Disturbance::TargetGone if world.workload != Workload::Gone => on(&|next| next.workload = Workload::Gone),
        Disturbance::LockStolen if world.holder != Holder::Other => on(&|next| {
            next.holder = Holder::Other;
            next.history_changed();
        }),
        Disturbance::LockFreed if world.holder == Holder::Ours => on(&|next| {
            next.holder = Holder::Free;
            next.history_changed();
        }),
        Disturbance::Refusal(effect) if world.refusing.is_none() => on(&|next| next.refusing = Some(effect)),
        Disturbance::Trigger if !world.triggered && world.status.is_some() => on(&|next| {
            next.triggered = true;
            next.handled = false;
            next.request_changed();
        }),
        Disturbance::Revert => taken_back(world, scenario),
        Disturbance::Share if !world.shared && world.step() > Some(Step::Preparing) => on(&|next| next.shared = true),
        Disturbance::BudgetLag if world.lagging.is_none() && scenario.pdb.is_some() => {
            let shown = world.pods.iter().filter(|pod| !pod.terminating && pod.ready).count();
            on(&|next| next.lagging = u8::try_from(shown).ok())
        }
        Disturbance::ListLost if world.plan_written && world.step() < Some(Step::Finishing) => {
            on(&|next| (next.plan_written, next.again_written) = (false, false))
        }
        Disturbance::Verdict if !world.verdict && world.step() <= Some(Step::Preparing) => {
            on(&|next| next.verdict = true)
        }
        Disturbance::Namespace if !world.namespace_terminating => on(&|next| {
            next.namespace_terminating = true;
            for pod in &mut next.pods {
                pod.terminate();
            }
        }),
        _ => None,
    }
}

/// A crash makes a difference to what this process knows.
fn knows(world: &World, scenario: &Scenario) -> bool {
    let mut after = world.clone();
    after.crash(scenario);
    after != *world
}

/// Somebody writes the failed content back. Before the restore is recorded, that looks as if it had not been made.
fn taken_back(world: &World, scenario: &Scenario) -> Option<Moved> {
    let entry = world.entry(scenario);
    if world.restores == 0 || world.live != entry.snapshot || entry.snapshot == entry.candidate {
        return None;
    }
    Some(moved(world, Event::Disturbed(Disturbance::Revert, None), |next| {
        next.live = entry.candidate;
        if !entry.restored {
            next.restores = 0;
        }
        next.config_map_changed();
    }))
}

/// A pod whose drain is recorded: for the checks.
pub fn may_go(state: Option<PodState>) -> bool {
    matches!(state, Some(PodState::Drained | PodState::Overdue | PodState::Forced | PodState::Terminating))
}
