//! What may disturb a run: each disturbance at a price of one.
//!
//! **Invariant:** none happens that could not be seen in a real cluster at that moment.

use crate::environment::{Event, Moved, moved};
use crate::pod::{Illness, Lease, Place, Pod};
use crate::scenario::{Disturbance, Scenario};
use crate::world::{Data, Holder, Workload, World};
use restart_controller::api::Step;

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
        Disturbance::ContainerRestart if !pod.homeless && pod.illness != Illness::Lost => {
            let live = world.live;
            on(&|pod| {
                (pod.runs, pod.restarted, pod.ready) = (live, true, false);
                pod.illness = Illness::None;
                pod.lapsed |= lapses;
                pod.touched();
            })
        }
        Disturbance::Silence if !pod.silent => on(&|pod| pod.silent = true),
        Disturbance::NodeLost if pod.illness != Illness::Lost && !pod.homeless => on(&|pod| {
            (pod.illness, pod.silent) = (Illness::Lost, true);
            pod.lapsed |= lapses;
            pod.touched();
        }),
        Disturbance::Refuses if !pod.refuses => on(&|pod| pod.refuses = true),
        Disturbance::SidecarRestart if !pod.silent && !pod.homeless => on(&|pod| {
            pod.unleased();
            pod.refused = false;
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
        _ => to_drain(world, disturbance, index),
    }
}

/// Leases and requests.
fn to_drain(world: &World, disturbance: Disturbance, index: usize) -> Option<Moved> {
    let pod = world.pods[index];
    let leased = pod.lease != Lease::None && !pod.silent;
    let on = |change: &dyn Fn(&mut Pod)| {
        Some(moved(world, Event::Disturbed(disturbance, Some(index)), |next| change(&mut next.pods[index])))
    };
    match disturbance {
        Disturbance::LateRequest if leased && !pod.busy => on(&|pod| pod.busy = true),
        Disturbance::LongRequest if leased && pod.busy && !pod.stuck => on(&|pod| pod.stuck = true),
        // A lease outlives no timeout of a sidecar that cannot be asked to renew it.
        Disturbance::DrainTimeout
            if (leased && !pod.ready || pod.silent && pod.lease == Lease::None) && !pod.overdue =>
        {
            on(&|pod| pod.overdue = true)
        }
        Disturbance::LeaseExpiry if leased => on(&Pod::unleased),
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
        _ => to_request(world, scenario, disturbance),
    }
}

/// What the request says, and what belongs to the run.
fn to_request(world: &World, scenario: &Scenario, disturbance: Disturbance) -> Option<Moved> {
    let on = |change: &dyn Fn(&mut World)| Some(moved(world, Event::Disturbed(disturbance, None), |next| change(next)));
    match disturbance {
        Disturbance::Trigger if !world.triggered && world.status.is_some() => on(&|next| {
            next.triggered = true;
            next.handled = false;
            next.request_changed();
        }),
        Disturbance::Revert => taken_back(world, scenario),
        Disturbance::CopiesLost if world.copies != [false; 3] && world.step() > Some(Step::Preparing) => {
            on(&|next| next.copies = [false; 3])
        }
        Disturbance::BudgetErrs if !world.erring => on(&|next| next.erring = true),
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
