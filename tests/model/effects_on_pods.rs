//! What the controller's writes do to a pod.
//!
//! **Invariant:** each carries the UID and the resourceVersion seen; a pod that has changed since is left alone.

use crate::pod::{Asleep, Lease, Place};
use crate::scenario::Scenario;
use crate::world::World;
use restart_controller::machine::Effect;

/// An effect on a pod; one that waited wakes up here too.
pub fn on_pod(world: &mut World, scenario: &Scenario, index: usize, effect: Asleep) {
    let allowed = world.may_evict(scenario, &world.pods[index]);
    let pod = &mut world.pods[index];
    if pod.asleep == effect {
        pod.asleep = Asleep::Nothing;
    }
    if pod.terminating {
        return;
    }
    match effect {
        Asleep::Nothing | Asleep::Listed(_) | Asleep::Batch(..) => {}
        Asleep::Cordon | Asleep::Release if pod.refuses && !pod.silent => pod.refused = true,
        Asleep::Detach => pod.moves(Place::Attached, Place::Detached),
        Asleep::Reattach => pod.moves(Place::Detached, Place::Attached),
        Asleep::Cordon => {
            if !pod.silent {
                if pod.lease == Lease::None {
                    pod.busy = pod.in_any() || pod.ready;
                    pod.stuck = false;
                }
                pod.lease = Lease::Fresh;
                pod.challenged();
            }
        }
        Asleep::Release => {
            if !pod.silent && pod.lease != Lease::None {
                pod.unleased();
                pod.challenged();
            }
        }
        Asleep::MarkExpendable => {
            if !pod.expendable {
                pod.expendable = true;
                pod.touched();
            }
        }
        Asleep::Evict => {
            if allowed {
                let counted = u8::from(pod.ready);
                pod.terminate();
                // An eviction is taken off the budget's status at once.
                world.lagging = world.lagging.map(|shown| shown.saturating_sub(counted));
            }
        }
        Asleep::Delete => pod.terminate(),
    }
}

pub fn asleep_on_pod(effect: &Effect) -> Asleep {
    match effect {
        Effect::Detach(_) => Asleep::Detach,
        Effect::Reattach(_) => Asleep::Reattach,
        Effect::Cordon(_) => Asleep::Cordon,
        Effect::Release(_) => Asleep::Release,
        Effect::MarkExpendable(_) => Asleep::MarkExpendable,
        Effect::Evict(_) => Asleep::Evict,
        Effect::Delete(_) => Asleep::Delete,
        Effect::DeleteRequest
        | Effect::RunHook(..)
        | Effect::AddFinalizer
        | Effect::RemoveFinalizer
        | Effect::TakeLock
        | Effect::ReleaseLock(_)
        | Effect::CopyConfigMaps
        | Effect::WritePlan(_)
        | Effect::WritePlanAgain(_)
        | Effect::Promote(_)
        | Effect::Restore(_) => unreachable!("no effect on a pod"),
    }
}
