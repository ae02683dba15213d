//! What the controller's writes do to a world.
//!
//! **Invariant:** every effect carries its preconditions; one that does not meet them changes nothing.

use crate::effects_on_pods::{asleep_on_pod, on_pod};
use crate::observe::now;
use crate::pod::{Asleep, Listed};
use crate::scenario::Scenario;
use crate::status::{compressed, status};
use crate::world::{Data, Holder, HookRuns, Sleeper, Status, Workload, World};
use restart_controller::api::PodState;
use restart_controller::machine::{Change, Effect, PlannedPod, PodRef, RefusedEffect, fold};

/// The world after that status write: through the real `fold` and `cursor`.
pub fn record(world: &World, scenario: &Scenario, change: &Change) -> World {
    let (written, batch) = written(world, scenario, change);
    let mut next = world.clone();
    enter(&mut next, written, change.begins);
    for (pod, (state, late, unready)) in next.pods.iter_mut().zip(batch) {
        (pod.batch, pod.late, pod.unready) = (state, late, unready);
    }
    next
}

/// What the status will say, and of each pod: its state in the batch, and whether it was born late or chosen as unready.
fn written(world: &World, scenario: &Scenario, change: &Change) -> (Status, Vec<(Option<PodState>, bool, bool)>) {
    let after = fold(&status(world, scenario), change, None, &now());
    let of = |index: usize| {
        let uid = crate::observe::uid(index);
        let entry = after.pods.iter().find(|progress| progress.uid == uid);
        let late = after.plan.as_ref().is_some_and(|plan| plan.late.contains(&uid));
        (entry.map(|entry| entry.state), late, entry.is_some_and(|entry| entry.unready))
    };
    (compressed(&after), (0..world.pods.len()).map(of).collect())
}

fn enter(world: &mut World, written: Status, begins: bool) {
    if world.step() != Some(written.step) {
        world.deadline = false;
        world.soaked = false;
        world.trouble = false;
        world.pods.iter_mut().for_each(|pod| (pod.lapsed, pod.refused) = (false, false));
    }
    if begins {
        world.begin();
    }
    world.status = Some(written);
    world.refused = None;
    world.request_changed();
}

/// The world in which that status write waits.
pub fn record_later(world: &World, scenario: &Scenario, change: &Change) -> World {
    let (written, batch) = written(world, scenario, change);
    let mut next = world.clone();
    for (pod, (state, late, unready)) in next.pods.iter_mut().zip(batch) {
        pod.asleep = Asleep::Batch(state, late, unready);
    }
    next.sleeper = Sleeper::Record(written, change.begins);
    next
}

fn kind(effect: &Effect) -> Option<RefusedEffect> {
    match effect {
        Effect::CopyConfigMaps => Some(RefusedEffect::Copy),
        Effect::Promote(_) => Some(RefusedEffect::Promotion),
        Effect::Restore(_) => Some(RefusedEffect::Restore),
        Effect::WritePlan(_)
        | Effect::WritePlanAgain(_)
        | Effect::Detach(_)
        | Effect::Reattach(_)
        | Effect::MarkExpendable(_)
        | Effect::Evict(_)
        | Effect::Delete(_) => Some(RefusedEffect::Other),
        Effect::RunHook(..) => Some(RefusedEffect::Hook),
        Effect::DeleteRequest
        | Effect::AddFinalizer
        | Effect::RemoveFinalizer
        | Effect::TakeLock
        | Effect::ReleaseLock(_)
        | Effect::Cordon(_)
        | Effect::Release(_) => None,
    }
}

/// Carries the effect out, if its preconditions hold.
pub fn apply(world: &mut World, scenario: &Scenario, effect: &Effect) {
    let refused = kind(effect).filter(|kind| world.refusing == Some(*kind));
    if refused.is_some() {
        world.refused = refused;
        return;
    }
    match effect {
        Effect::DeleteRequest
        | Effect::RunHook(..)
        | Effect::AddFinalizer
        | Effect::RemoveFinalizer
        | Effect::TakeLock
        | Effect::ReleaseLock(_)
        | Effect::CopyConfigMaps
        | Effect::Promote(_)
        | Effect::Restore(_) => global(world, scenario, asleep(effect)),
        Effect::WritePlan(pods) => {
            mark(world, pods);
            global(world, scenario, Sleeper::WritePlan);
        }
        Effect::WritePlanAgain(pods) => {
            mark(world, pods);
            global(world, scenario, Sleeper::WritePlanAgain);
        }
        Effect::Detach(pod)
        | Effect::Reattach(pod)
        | Effect::Cordon(pod)
        | Effect::Release(pod)
        | Effect::MarkExpendable(pod)
        | Effect::Evict(pod)
        | Effect::Delete(pod) => on_pod(world, scenario, index(pod), asleep_on_pod(effect)),
    }
}

/// Makes it wait instead.
pub fn apply_later(world: &mut World, effect: &Effect) {
    match effect {
        Effect::WritePlan(pods) | Effect::WritePlanAgain(pods) => {
            mark(world, pods);
            world.sleeper = asleep(effect);
        }
        Effect::Detach(pod)
        | Effect::Reattach(pod)
        | Effect::Cordon(pod)
        | Effect::Release(pod)
        | Effect::MarkExpendable(pod)
        | Effect::Evict(pod)
        | Effect::Delete(pod) => world.pods[index(pod)].asleep = asleep_on_pod(effect),
        Effect::DeleteRequest
        | Effect::RunHook(..)
        | Effect::AddFinalizer
        | Effect::RemoveFinalizer
        | Effect::TakeLock
        | Effect::ReleaseLock(_)
        | Effect::CopyConfigMaps
        | Effect::Promote(_)
        | Effect::Restore(_) => world.sleeper = asleep(effect),
    }
}

fn mark(world: &mut World, pods: &[PlannedPod]) {
    for pod in pods {
        let index: usize = pod.uid.parse().expect("a uid of this model");
        world.pods[index].asleep = Asleep::Listed(match (pod.passed_over, pod.unready) {
            (true, _) => Listed::PassedOver,
            (false, true) => Listed::Unready,
            (false, false) => Listed::Well,
        });
    }
}

pub fn index(pod: &PodRef) -> usize {
    pod.uid.parse().expect("a uid of this model")
}

fn asleep(effect: &Effect) -> Sleeper {
    match effect {
        Effect::DeleteRequest => Sleeper::DeleteRequest,
        Effect::RunHook(time, _) => Sleeper::RunHook(*time),
        Effect::AddFinalizer => Sleeper::AddFinalizer,
        Effect::RemoveFinalizer => Sleeper::RemoveFinalizer,
        Effect::TakeLock => Sleeper::TakeLock,
        Effect::ReleaseLock(good) => Sleeper::ReleaseLock(!good.is_empty()),
        Effect::CopyConfigMaps => Sleeper::Copy,
        Effect::WritePlan(_) => Sleeper::WritePlan,
        Effect::WritePlanAgain(_) => Sleeper::WritePlanAgain,
        Effect::Promote(_) => Sleeper::Promote,
        Effect::Restore(_) => Sleeper::Restore,
        Effect::Detach(_)
        | Effect::Reattach(_)
        | Effect::Cordon(_)
        | Effect::Release(_)
        | Effect::MarkExpendable(_)
        | Effect::Evict(_)
        | Effect::Delete(_) => unreachable!("an effect on a pod"),
    }
}

/// An effect on anything but a pod; one that waited wakes up here too.
pub fn global(world: &mut World, scenario: &Scenario, effect: Sleeper) {
    match effect {
        Sleeper::Nothing => {}
        Sleeper::AddFinalizer => {
            if !world.deleting && !world.finalizer {
                world.finalizer = true;
                world.request_changed();
            }
        }
        Sleeper::DeleteRequest => {
            world.deleting = true;
            world.gone |= !world.finalizer;
            world.request_changed();
        }
        Sleeper::RunHook(time) => {
            let hook = world.hook(time);
            if *hook == HookRuns::Absent {
                *hook = HookRuns::Running;
            }
        }
        Sleeper::RemoveFinalizer => {
            if world.finalizer {
                world.finalizer = false;
                world.gone |= world.deleting;
                world.request_changed();
            }
        }
        Sleeper::TakeLock => {
            if world.workload != Workload::Gone && matches!(world.holder, Holder::Free | Holder::Done) {
                world.holder = Holder::Ours;
                world.history_changed();
            }
        }
        Sleeper::ReleaseLock(good) => release_lock(world, scenario, good),
        Sleeper::Copy => copy(world, scenario),
        Sleeper::WritePlan => {
            let candidate = world.entry(scenario).candidate;
            world.mixed |= !world.plan_written && world.pods.iter().any(|pod| pod.runs == candidate);
            write_list(world, false);
        }
        Sleeper::WritePlanAgain => write_list(world, true),
        Sleeper::Promote => write(world, scenario, true),
        Sleeper::Restore => write(world, scenario, false),
        Sleeper::Record(written, begins) => {
            for pod in &mut world.pods {
                if let Asleep::Batch(state, late, unready) = pod.asleep {
                    (pod.batch, pod.late, pod.unready) = (state, late, unready);
                }
            }
            enter(world, written, begins);
        }
    }
    if world.sleeper == effect {
        world.wake();
    }
}

fn release_lock(world: &mut World, scenario: &Scenario, good: bool) {
    if world.holder != Holder::Ours {
        return;
    }
    world.holder = Holder::Done;
    if good {
        world.good = Some(world.entry(scenario).candidate);
    }
    world.history_changed();
}

fn copy(world: &mut World, scenario: &Scenario) {
    let entry = world.entry(scenario);
    for data in [entry.snapshot, entry.candidate] {
        if data != Data::Missing {
            world.copies[data as usize] = true;
        }
    }
}

/// The candidate over the snapshot, or the other way round; nothing over anything else.
fn write(world: &mut World, scenario: &Scenario, promote: bool) {
    let entry = world.entry(scenario);
    let (from, to) = if promote { (entry.snapshot, entry.candidate) } else { (entry.candidate, entry.snapshot) };
    let copied = to == Data::Missing || world.copies[to as usize];
    if world.live != from || from == to || !copied {
        return;
    }
    world.live = to;
    let count = if promote { &mut world.promotions } else { &mut world.restores };
    *count += 1;
    world.config_map_changed();
}

/// The list is created once; whoever comes second finds it there.
fn write_list(world: &mut World, again: bool) {
    let written = if again { &mut world.again_written } else { &mut world.plan_written };
    let first = !std::mem::replace(written, true);
    for pod in &mut world.pods {
        // A list that was deleted is written anew.
        pod.again &= !(first && again);
        if let Asleep::Listed(listed) = pod.asleep {
            pod.asleep = Asleep::Nothing;
            if first && again {
                pod.again = true;
            } else if first {
                (pod.planned, pod.passed) = (listed != Listed::PassedOver, listed == Listed::PassedOver);
                (pod.noted, pod.restarted) = (listed == Listed::Unready, false);
            }
        }
    }
    if first && !again {
        let noted = world.pods.iter().filter(|pod| pod.noted).count();
        world.unready = u8::try_from(noted).expect("few pods");
    }
}
