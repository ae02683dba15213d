//! The promises (DESIGN 9), asked of every state and every decision.
//!
//! **Invariant:** nothing here steers the search; a promise that is broken is reported with the path that broke it.

use crate::effects::index;
use crate::environment::may_go;
use crate::pod::{Lease, Pod};
use crate::scenario::{Kind, Scenario};
use crate::world::{Holder, HookRuns, Workload, World};
use restart_controller::api::{HookState, HookTime, PodState, SnapshotSource, Step, TimeoutPolicy};
use restart_controller::machine::{Decision, Effect};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Promise {
    /// I1
    LastEndpointAndBudget,
    /// I2
    OnlyDrainedPodsGo,
    /// I3
    WithoutUsPodsComeBack,
    /// I4
    RecordedFirst,
    /// I5
    OncePerRun,
    /// I6
    LegalMoves,
    /// I7
    EveryRunEnds,
    /// I8
    RestoredMeansRestored,
    /// I9
    OthersEditsStay,
    /// I10
    FinalizerWhileOutstanding,
    /// I13
    OnlyRecordedPods,
    /// Completed means that every planned pod was replaced.
    CompletedMeansReplaced,
    /// Putting back never costs an old, serving pod.
    OldPodsSurvivePuttingBack,
    /// A bad configuration takes no serving pod away.
    OldPodsStay,
    /// `every_effect_may_repeat`
    EffectsRepeat,
    /// A hook is started once, and not again when it is over.
    HooksOnce,
    /// One run at a time: nothing is begun while another run holds the workload.
    OneRun,
    /// In a StatefulSet the highest goes first, and a lower one only when all above it serve again.
    HighestFirst,
}

pub type Broken = (Promise, String);

pub fn hold(promise: Promise, holds: bool, text: impl FnOnce() -> String) -> Option<Broken> {
    (!holds).then(|| (promise, text()))
}

/// What a decision, made on this very world, breaks.
pub fn decision(world: &World, scenario: &Scenario, decision: &Decision) -> Vec<Broken> {
    match decision {
        Decision::Record(change) => {
            let begins = change.step == Step::Preparing && matches!(world.step(), None | Some(Step::Queued));
            let one = !begins || world.holder != Holder::Other;
            hold(Promise::OneRun, one, || "a run begins while another one holds the workload".into())
                .into_iter()
                .collect()
        }
        Decision::Wait(_) | Decision::Rest => vec![],
        Decision::Act(effects) => {
            let mut broken: Vec<Broken> = effects.iter().flat_map(|one| effect(world, scenario, one)).collect();
            broken.extend(endpoints(world, scenario, effects));
            broken
        }
    }
}

fn effect(world: &World, scenario: &Scenario, effect: &Effect) -> Vec<Broken> {
    let entry = world.status.and_then(|status| status.entry);
    let found = match effect {
        Effect::AddFinalizer | Effect::RemoveFinalizer | Effect::ReleaseLock(_) => vec![],
        Effect::DeleteRequest => vec![hold(Promise::FinalizerWhileOutstanding, over(world), || {
            "the request is deleted before the run is over".into()
        })],
        Effect::RunHook(time, _) => hook(world, scenario, *time),
        Effect::TakeLock => vec![
            hold(Promise::FinalizerWhileOutstanding, world.finalizer, || "the lock without a finalizer".into()),
            hold(Promise::OneRun, world.holder != Holder::Other, || "the lock of another run".into()),
        ],
        Effect::CopyConfigMaps | Effect::WritePlan(_) | Effect::WritePlanAgain(_) => {
            vec![hold(Promise::FinalizerWhileOutstanding, world.finalizer, || {
                format!("{effect:?} without a finalizer")
            })]
        }
        Effect::Promote(_) => vec![
            hold(Promise::RecordedFirst, entry.is_some(), || "promotion before the copy is recorded".into()),
            hold(Promise::OthersEditsStay, entry.is_some_and(|entry| entry.snapshot == world.live), || {
                "promotion over something else than the copy".into()
            }),
        ],
        Effect::Restore(_) => restore(world, scenario),
        Effect::Detach(pod)
        | Effect::Reattach(pod)
        | Effect::Cordon(pod)
        | Effect::Release(pod)
        | Effect::MarkExpendable(pod)
        | Effect::Evict(pod)
        | Effect::Delete(pod) => on_pod(world, scenario, effect, &world.pods[index(pod)]),
    };
    found.into_iter().flatten().collect()
}

fn restore(world: &World, scenario: &Scenario) -> Vec<Option<Broken>> {
    let entry = world.status.and_then(|status| status.entry);
    let outcome = world.status.and_then(|status| status.outcome);
    let blamed = outcome.is_some_and(|end| end.suspect)
        && entry.is_some_and(|entry| entry.source == SnapshotSource::LastKnownGood);
    vec![
        hold(Promise::RecordedFirst, entry.is_some() && outcome.is_some(), || {
            "restore before a recorded failure".into()
        }),
        hold(Promise::OthersEditsStay, entry.is_some_and(|entry| entry.candidate == world.live), || {
            "restore over something that the run did not start with".into()
        }),
        hold(Promise::OthersEditsStay, !world.shared, || {
            "restore of configuration that another workload runs on".into()
        }),
        hold(Promise::OncePerRun, !entry.is_some_and(|entry| entry.restored), || {
            "restore of what is recorded as restored".into()
        }),
        hold(Promise::OthersEditsStay, scenario.from || blamed, || {
            "restore of configuration that the run neither promoted nor broke pods with".into()
        }),
    ]
}

fn on_pod(world: &World, scenario: &Scenario, effect: &Effect, pod: &Pod) -> Vec<Option<Broken>> {
    // Only a run of ours gives a lease: to give one back is always ours to do.
    let lease = matches!(effect, Effect::Release(_)) && pod.lease != Lease::None;
    let named = pod.batch.is_some() || pod.listed() || pod.again || lease;
    let text = || format!("{effect:?} of {pod:?}");
    let mut found = vec![hold(Promise::OnlyRecordedPods, named, text)];
    match effect {
        Effect::Detach(_) => found.push(hold(
            Promise::RecordedFirst,
            pod.batch.is_some() && (pod.listed() || pod.again) && world.finalizer && world.holder == Holder::Ours,
            text,
        )),
        Effect::Cordon(_) => {
            found.push(hold(Promise::RecordedFirst, pod.batch.is_some(), text));
            if pod.lease == Lease::None && pod.batch != Some(PodState::Expendable) {
                found.push(hold(Promise::HighestFirst, in_turn(world, scenario, pod, true), text));
            }
        }
        Effect::MarkExpendable(_) => {
            found.push(hold(Promise::RecordedFirst, pod.batch == Some(PodState::Expendable), text));
        }
        Effect::Reattach(_) => found.push(hold(
            Promise::OldPodsSurvivePuttingBack,
            world.step() == Some(Step::Restoring) && (pod.ready && pod.lease == Lease::None || world.deadline),
            text,
        )),
        Effect::Evict(_) => {
            found.extend(evict(scenario, pod));
            found.push(hold(Promise::HighestFirst, in_turn(world, scenario, pod, false), text));
        }
        Effect::Delete(_) => {
            if pod.unready {
                found.push(hold(Promise::OnlyDrainedPodsGo, !pod.shown(false) && !pod.shown(true), text));
                found.extend(evict(scenario, pod));
            } else {
                found.push(hold(Promise::RecordedFirst, pod.again && pod.batch.is_some(), text));
                let idle = !pod.ready && (pod.lease == Lease::None || !pod.busy);
                found.push(hold(Promise::OnlyDrainedPodsGo, idle, text));
            }
        }
        Effect::Release(_)
        | Effect::DeleteRequest
        | Effect::RunHook(..)
        | Effect::AddFinalizer
        | Effect::RemoveFinalizer
        | Effect::TakeLock
        | Effect::ReleaseLock(_)
        | Effect::CopyConfigMaps
        | Effect::WritePlan(_)
        | Effect::WritePlanAgain(_)
        | Effect::Promote(_)
        | Effect::Restore(_) => {}
    }
    found
}

/// Whether no pod above this one waits to be replaced, and (`serving`) all of them are back.
fn in_turn(world: &World, scenario: &Scenario, pod: &Pod, serving: bool) -> bool {
    // Once more, what serves nobody goes first: it may have become Ready by the time that it goes.
    let once_more = world.status.is_some_and(|status| status.again);
    // So does what has not been Ready since the run began.
    if scenario.kind == Kind::Deployment || scenario.max_parallel > 1 || once_more || pod.unready {
        return true;
    }
    let above = || world.pods.iter().filter(|above| above.ordinal > pod.ordinal && above.ordinal < world.replicas);
    let all = usize::from(world.replicas.saturating_sub(pod.ordinal + 1));
    let serves =
        |above: &&Pod| above.passed || !above.terminating && above.ready && (above.in_slices || !scenario.service);
    !above().any(|above| !above.terminating && above.listed()) && (!serving || above().filter(serves).count() == all)
}

/// Nothing is outstanding.
fn over(world: &World) -> bool {
    world.step() == Some(Step::Finished) && !world.finalizer && world.holder != Holder::Ours && !world.triggered
}

fn hook(world: &World, scenario: &Scenario, time: HookTime) -> Vec<Option<Broken>> {
    let recorded = world.status.and_then(|status| match time {
        HookTime::Pre => status.pre,
        HookTime::Post => status.post,
    });
    let runs = match time {
        HookTime::Pre => world.pre,
        HookTime::Post => world.post,
    };
    let step = match time {
        HookTime::Pre => Step::PreHooks,
        HookTime::Post => Step::PostHooks,
    };
    let ours = world.finalizer && (world.holder == Holder::Ours || scenario.hook(time).is_none());
    vec![
        hold(Promise::HooksOnce, recorded == Some(HookState::Running), || {
            format!("a hook that is {recorded:?} is run")
        }),
        hold(Promise::HooksOnce, runs == HookRuns::Absent, || format!("a hook that is {runs:?} is run again")),
        hold(Promise::RecordedFirst, world.step() == Some(step) && ours, || "a hook outside its step".into()),
    ]
}

fn evict(scenario: &Scenario, pod: &Pod) -> Vec<Option<Broken>> {
    let text = || format!("eviction of {pod:?}");
    let drained = pod.lease != Lease::None && !pod.busy && !pod.in_any() && !pod.silent;
    let allowed = match pod.batch {
        Some(PodState::Drained) => drained,
        Some(PodState::Overdue) => scenario.on_timeout == TimeoutPolicy::Proceed,
        Some(PodState::Forced) => scenario.force,
        Some(PodState::Terminating) => true,
        Some(PodState::Chosen | PodState::Draining | PodState::Expendable) | None => false,
    };
    vec![
        hold(Promise::OnlyDrainedPodsGo, allowed, text),
        hold(Promise::RecordedFirst, may_go(pod.batch), text),
        hold(Promise::OncePerRun, !pod.terminating, text),
    ]
}

/// No cordon takes a Service's last ready endpoint, and none takes a budget below what it asks for; no eviction takes
/// the last endpoint but in draining by termination.
fn endpoints(world: &World, scenario: &Scenario, effects: &[Effect]) -> Vec<Broken> {
    let cordoned: Vec<usize> = effects
        .iter()
        .filter_map(|effect| if let Effect::Cordon(pod) = effect { Some(index(pod)) } else { None })
        .filter(|index| world.pods[*index].lease == Lease::None && !world.pods[*index].silent)
        .collect();
    let evicted: Vec<usize> = effects
        .iter()
        .filter_map(|effect| if let Effect::Evict(pod) = effect { Some(index(pod)) } else { None })
        .filter(|index| !matches!(world.pods[*index].batch, Some(PodState::Terminating)))
        .filter(|_| world.workload != Workload::Gone)
        .collect();
    let took = |taken: &[usize]| {
        [(scenario.service, false), (scenario.second, true)].into_iter().any(|(exists, second)| {
            let mut others = world
                .pods
                .iter()
                .enumerate()
                .filter(|(index, _)| !cordoned.contains(index) && !evicted.contains(index));
            let left = others.any(|(_, pod)| pod.shown(second));
            exists && world.replicas > 0 && !left && taken.iter().any(|index| world.pods[*index].shown(second))
        })
    };
    if world.excused {
        return vec![];
    }
    let mut found = vec![];
    found.extend(hold(Promise::LastEndpointAndBudget, !took(&cordoned), || {
        format!("the cordon takes the last endpoint: {effects:?}")
    }));
    found.extend(hold(Promise::LastEndpointAndBudget, !took(&evicted), || {
        format!("the eviction takes the last endpoint: {effects:?}")
    }));
    if let Some(pdb) = scenario.pdb {
        let (_, desired) = world.healthy(pdb);
        let kept = |(index, pod): &(usize, &Pod)| {
            pod.ready && pod.lease == Lease::None && !pod.terminating && !cordoned.contains(index)
        };
        let after = world.pods.iter().enumerate().filter(kept).count();
        let costs = cordoned.iter().any(|index| world.pods[*index].ready);
        found.extend(hold(Promise::LastEndpointAndBudget, !costs || after >= desired, || {
            format!("the cordon leaves {after} healthy pods, the budget asks for {desired}: {effects:?}")
        }));
    }
    found
}
