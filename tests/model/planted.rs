//! Bugs that are planted into the machine: a search that finds nothing proves nothing unless it finds these.
//!
//! **Invariant:** each wrapper changes one thing only.

use crate::checks::Promise;
use crate::failures::{planted_hooks, planted_places, planted_queue, planted_restore, planted_rolling, planted_surge};
use crate::scenario::Scenario;
use crate::search::{Planner, Search};
use restart_controller::api::Step;
use restart_controller::machine::{Attachment, Decision, Drain, Effect, HookRun, Lock, Observed, plan};

/// The search finds that promise broken.
fn caught(scenario: &Scenario, planner: Planner, promise: Promise) {
    let report = Search::run(scenario, planner);
    let found: Vec<&Promise> = report.broken.keys().collect();
    assert!(found.contains(&&promise), "not caught; found {found:?} in {} states", report.states);
    // Without the bug nothing is found in the same scenario.
    let clean = Search::run(scenario, plan);
    assert!(clean.broken.is_empty(), "{}", clean.broken.values().next().expect("one is broken"));
}

fn step(observed: &Observed) -> Option<Step> {
    observed.cursor.as_ref().map(|cursor| cursor.step)
}

fn without(decision: Decision, unwanted: fn(&Effect) -> bool) -> Decision {
    match decision {
        Decision::Act(effects) => {
            let left: Vec<Effect> = effects.into_iter().filter(|effect| !unwanted(effect)).collect();
            if left.is_empty() { Decision::Wait("planted".into()) } else { Decision::Act(left) }
        }
        Decision::Record(_) | Decision::Wait(_) | Decision::Rest => decision,
    }
}

#[test]
fn the_search_catches_an_eviction_before_the_drain_is_over() {
    fn early(observed: &Observed) -> Decision {
        match plan(observed) {
            Decision::Wait(_) if step(observed) == Some(Step::Draining) => {
                let batch = &observed.cursor.as_ref().expect("a run").batch;
                let pods = observed.pods.iter().filter(|pod| pod.alive() && batch.iter().any(|one| one.uid == pod.uid));
                Decision::Act(pods.map(|pod| Effect::Evict(pod.into())).collect())
            }
            decision => decision,
        }
    }
    caught(&planted_surge(), early, Promise::OnlyDrainedPodsGo);
}

#[test]
fn the_search_catches_a_count_that_nobody_knows_taken_for_zero() {
    fn zero(observed: &Observed) -> Decision {
        let mut observed = observed.clone();
        for pod in observed.pods.iter_mut().filter(|pod| matches!(pod.drain, Drain::Unknown { .. }) && !pod.in_slices) {
            pod.drain = Drain::Cordoned { stale: false, in_flight: 0, quiet: true, overdue: false };
        }
        plan(&observed)
    }
    caught(&planted_surge(), zero, Promise::OnlyDrainedPodsGo);
}

#[test]
fn the_search_catches_a_put_back_in_the_wrong_order() {
    fn hasty(observed: &Observed) -> Decision {
        let decision = plan(observed);
        let detached = observed.pods.iter().filter(|pod| pod.alive() && pod.attachment == Attachment::Detached);
        let back: Vec<Effect> = detached.map(|pod| Effect::Reattach(pod.into())).collect();
        if step(observed) == Some(Step::Restoring) && !back.is_empty() { Decision::Act(back) } else { decision }
    }
    caught(&planted_surge(), hasty, Promise::OldPodsSurvivePuttingBack);
}

#[test]
fn the_search_catches_a_restore_over_an_edit() {
    fn over(observed: &Observed) -> Decision {
        match plan(observed) {
            Decision::Record(change) if change.reason == "RestoreConflict" && change.step == Step::Restoring => {
                Decision::Act(vec![Effect::Restore("config".into())])
            }
            decision => decision,
        }
    }
    caught(&planted_surge(), over, Promise::OthersEditsStay);
}

#[test]
fn the_search_catches_a_lease_that_is_never_given_back() {
    fn keeps(observed: &Observed) -> Decision {
        without(plan(observed), |effect| matches!(effect, Effect::Release(_)))
    }
    caught(&planted_rolling(), keeps, Promise::EveryRunEnds);
}

#[test]
fn the_search_catches_a_missing_finalizer() {
    fn bare(observed: &Observed) -> Decision {
        let mut seen = observed.clone();
        seen.finalizer |= step(observed) == Some(Step::Preparing);
        plan(&seen)
    }
    caught(&planted_surge(), bare, Promise::FinalizerWhileOutstanding);
}

#[test]
fn the_search_catches_a_lock_that_is_never_released() {
    fn holds(observed: &Observed) -> Decision {
        without(plan(observed), |effect| matches!(effect, Effect::ReleaseLock(_)))
    }
    caught(&planted_surge(), holds, Promise::EveryRunEnds);
}

#[test]
fn the_search_catches_a_cordon_of_the_last_endpoint() {
    fn blind(observed: &Observed) -> Decision {
        let mut seen = observed.clone();
        seen.pods.iter_mut().for_each(|pod| pod.last_endpoint = false);
        plan(&seen)
    }
    caught(&planted_rolling(), blind, Promise::LastEndpointAndBudget);
}

#[test]
fn the_search_catches_a_promotion_before_the_copy_is_recorded() {
    fn unrecorded(observed: &Observed) -> Decision {
        match plan(observed) {
            Decision::Act(effects) if effects == [Effect::CopyConfigMaps] => {
                Decision::Act(vec![Effect::Promote("config".into())])
            }
            decision => decision,
        }
    }
    caught(&planted_surge(), unrecorded, Promise::RecordedFirst);
}

#[test]
fn the_search_catches_a_hook_that_is_run_twice() {
    fn twice(observed: &Observed) -> Decision {
        match plan(observed) {
            Decision::Wait(why) => {
                let running = observed.hooks.iter().filter(|hook| hook.run == HookRun::Running);
                let again: Vec<Effect> = running.map(|hook| Effect::RunHook(hook.time, hook.name.clone())).collect();
                if again.is_empty() { Decision::Wait(why) } else { Decision::Act(again) }
            }
            decision => decision,
        }
    }
    caught(&planted_hooks(), twice, Promise::HooksOnce);
}

#[test]
fn the_search_catches_a_restore_that_is_made_again_after_a_revert() {
    fn stubborn(observed: &Observed) -> Decision {
        let mut seen = observed.clone();
        seen.config.iter_mut().for_each(|config| config.entry.restored = false);
        match plan(&seen) {
            Decision::Act(effects) if matches!(effects.as_slice(), [Effect::Restore(_)]) => Decision::Act(effects),
            Decision::Act(_) | Decision::Record(_) | Decision::Wait(_) | Decision::Rest => plan(observed),
        }
    }
    caught(&planted_restore(), stubborn, Promise::OncePerRun);
}

#[test]
fn the_search_catches_the_lowest_ordinal_first() {
    fn upside_down(observed: &Observed) -> Decision {
        let mut seen = observed.clone();
        seen.pods.reverse();
        plan(&seen)
    }
    caught(&planted_places(), upside_down, Promise::HighestFirst);
}

#[test]
fn the_search_catches_a_queue_that_starts_while_another_run_holds_the_workload() {
    fn impatient(observed: &Observed) -> Decision {
        let mut seen = observed.clone();
        if matches!(seen.lock, Lock::Other(_)) {
            seen.lock = Lock::Free;
        }
        plan(&seen)
    }
    caught(&planted_queue(), impatient, Promise::OneRun);
}

#[test]
fn the_search_catches_a_finalizer_that_is_left_in_the_queue() {
    fn bound(observed: &Observed) -> Decision {
        let mut seen = observed.clone();
        seen.finalizer &= !(step(observed) == Some(Step::Preparing) && matches!(seen.lock, Lock::Other(_)));
        plan(&seen)
    }
    caught(&planted_queue(), bound, Promise::FinalizerWhileOutstanding);
}
