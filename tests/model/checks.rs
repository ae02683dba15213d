//! The promises (DESIGN 9), asked of every state and every decision.
//!
//! **Invariant:** nothing here steers the search; a promise that is broken is reported with the path that broke it.

use crate::effects::index;
use crate::environment::{DELETES, Event, healthy, may_go};
use crate::world::{Asleep, Holder, Lease, Place, Pod, Scenario, Status, Workload, World};
use restart_controller::api::{Phase, PodState, SnapshotSource, Step, TimeoutPolicy};
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
}

pub type Broken = (Promise, String);

fn hold(promise: Promise, holds: bool, text: impl FnOnce() -> String) -> Option<Broken> {
    (!holds).then(|| (promise, text()))
}

/// What a decision, made on this very world, breaks.
pub fn decision(world: &World, scenario: &Scenario, decision: &Decision) -> Vec<Broken> {
    match decision {
        Decision::Record(_) | Decision::Wait(_) | Decision::Rest => vec![],
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
        Effect::TakeLock | Effect::CopyConfigMaps | Effect::WritePlan(_) | Effect::WritePlanAgain(_) => {
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
        hold(Promise::OthersEditsStay, scenario.from || blamed, || {
            "restore of configuration that the run neither promoted nor broke pods with".into()
        }),
    ]
}

fn on_pod(world: &World, scenario: &Scenario, effect: &Effect, pod: &Pod) -> Vec<Option<Broken>> {
    let named = pod.batch.is_some() || pod.listed() || pod.again;
    let text = || format!("{effect:?} of {pod:?}");
    let mut found = vec![hold(Promise::OnlyRecordedPods, named, text)];
    match effect {
        Effect::Detach(_) => found.push(hold(
            Promise::RecordedFirst,
            pod.batch.is_some() && (pod.listed() || pod.again) && world.finalizer && world.holder == Holder::Ours,
            text,
        )),
        Effect::Cordon(_) => found.push(hold(Promise::RecordedFirst, pod.batch.is_some(), text)),
        Effect::MarkExpendable(_) => {
            found.push(hold(Promise::RecordedFirst, pod.batch == Some(PodState::Expendable), text));
        }
        Effect::Reattach(_) => found.push(hold(
            Promise::OldPodsSurvivePuttingBack,
            world.step() == Some(Step::Restoring) && (pod.ready && pod.lease == Lease::None || world.deadline),
            text,
        )),
        Effect::Evict(_) => found.extend(evict(scenario, pod)),
        Effect::Delete(_) => {
            found.push(hold(Promise::RecordedFirst, pod.again && pod.batch.is_some(), text));
            let idle = !pod.ready && (pod.lease == Lease::None || !pod.busy);
            found.push(hold(Promise::OnlyDrainedPodsGo, idle, text));
        }
        Effect::Release(_)
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

fn evict(scenario: &Scenario, pod: &Pod) -> Vec<Option<Broken>> {
    let text = || format!("eviction of {pod:?}");
    let drained = pod.lease != Lease::None && !pod.busy && !pod.in_slices && !pod.silent;
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
    let left = world
        .pods
        .iter()
        .enumerate()
        .any(|(index, pod)| pod.shown() && !cordoned.contains(&index) && !evicted.contains(&index));
    let took = |taken: &[usize]| {
        scenario.service && world.replicas > 0 && !left && taken.iter().any(|index| world.pods[*index].shown())
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

/// What a status write breaks.
pub fn recorded(before: &World, after: &World, scenario: &Scenario) -> Vec<Broken> {
    let Some(now) = after.status else { return vec![] };
    let legal = before
        .status
        .map_or(matches!(now.step, Step::Queued | Step::Preparing | Step::Finished), |was| legal(was, now));
    let mut found = vec![];
    found.extend(hold(Promise::LegalMoves, legal, || format!("{:?} to {now:?}", before.status)));
    let proceeded = after.pods.iter().any(|pod| pod.batch == Some(PodState::Overdue));
    found.extend(hold(Promise::OnlyDrainedPodsGo, !proceeded || scenario.on_timeout == TimeoutPolicy::Proceed, || {
        "Overdue without Proceed".into()
    }));
    if before.step() == Some(Step::Restoring) && now.step == Step::Finishing {
        found.extend(restored(after, scenario, now));
    }
    if now.step == Step::Finishing && now.outcome.is_some_and(|end| end.result == Phase::Completed) {
        found.extend(completed(after));
    }
    found
}

fn legal(was: Status, now: Status) -> bool {
    use Step::{Draining, Evicting, Finished, Finishing, Preparing, Queued, Reserving, Restoring, Surging, Verifying};
    let steps: &[Step] = match was.step {
        Queued => &[Preparing, Finished],
        Preparing => &[Preparing, Surging, Reserving, Verifying, Restoring, Finishing],
        Surging => &[Surging, Draining, Verifying, Restoring, Finishing],
        Reserving => &[Reserving, Draining, Verifying, Restoring, Finishing],
        Draining => &[Draining, Surging, Reserving, Evicting, Verifying, Restoring, Finishing],
        Evicting => &[Evicting, Draining, Surging, Reserving, Verifying, Restoring, Finishing],
        Verifying => &[Verifying, Surging, Reserving, Restoring, Finishing],
        Restoring => &[Restoring, Surging, Reserving, Finishing],
        Finishing => &[Finished],
        Finished => &[Finished],
    };
    let phases: &[Phase] = match was.phase {
        Phase::Pending => &[Phase::Preparing, Phase::Completed, Phase::Failed, Phase::Cancelled],
        Phase::Preparing => return steps.contains(&now.step),
        Phase::Restarting | Phase::WaitingRequests => {
            &[Phase::Restarting, Phase::WaitingRequests, Phase::Recovering, Phase::Completed]
        }
        Phase::Recovering => &[Phase::Recovering, Phase::Failed, Phase::Cancelled],
        Phase::Completed | Phase::Failed | Phase::Cancelled => return now == was,
    };
    let outcome =
        was.outcome.is_none_or(|was| now.outcome.is_some_and(|now| now.result == was.result && now.code == was.code))
            || now.outcome.is_some_and(|end| end.not_restored == Some("LockLost"));
    steps.contains(&now.step) && phases.contains(&now.phase) && outcome
}

/// Restored=True: the configuration is back where it was to be, and no pod is left behind.
fn restored(world: &World, scenario: &Scenario, status: Status) -> Vec<Broken> {
    let Some(end) = status.outcome.filter(|end| end.not_restored.is_none()) else { return vec![] };
    if world.workload == Workload::Gone {
        return vec![];
    }
    let mut found = vec![];
    let mut hold = |holds: bool, text: &str| {
        found.extend((!holds).then(|| (Promise::RestoredMeansRestored, text.to_owned())));
    };
    hold(!world.pods.iter().any(Pod::detached), "a pod is still detached");
    let ours = |pod: &&Pod| !pod.terminating && pod.place != Place::Foreign;
    let leased = world.pods.iter().filter(ours).any(|pod| pod.lease != Lease::None && !pod.silent);
    hold(!leased, "a pod is still cordoned");
    let Some(entry) = status.entry.filter(|entry| entry.snapshot != entry.candidate) else { return found };
    if scenario.from || end.suspect && entry.source == SnapshotSource::LastKnownGood {
        hold(world.live == entry.snapshot, "the ConfigMap does not hold the copy");
        let bad =
            world.workload == Workload::Same && world.pods.iter().filter(ours).any(|pod| pod.runs == entry.candidate);
        hold(!bad, "a pod still runs the bad configuration");
    }
    found
}

fn completed(world: &World) -> Vec<Broken> {
    let left = world.pods.iter().find(|pod| !pod.terminating && pod.place != Place::Foreign && pod.listed());
    let detached = world.pods.iter().find(|pod| pod.detached());
    let leased = world.pods.iter().find(|pod| !pod.terminating && pod.lease != Lease::None && !pod.silent);
    let promise = Promise::CompletedMeansReplaced;
    let mut found = vec![];
    found.extend(left.map(|pod| (promise, format!("Completed, but a planned pod is left: {pod:?}"))));
    found.extend(detached.map(|pod| (promise, format!("Completed, but a pod is detached: {pod:?}"))));
    found.extend(leased.map(|pod| (promise, format!("Completed, but a pod is cordoned: {pod:?}"))));
    found
}

/// What a state breaks, however it came about.
pub fn state(world: &World, scenario: &Scenario) -> Vec<Broken> {
    let mut found = vec![];
    found.extend(hold(Promise::OncePerRun, world.promotions <= 1, || "promoted twice".into()));
    found.extend(hold(Promise::OncePerRun, world.restores <= 1, || "restored twice".into()));
    let old = world.pods.iter().filter(|pod| pod.planned && !pod.terminating).count();
    let stay = !scenario.old_pods_stay || !world.plan_written || world.excused || old >= usize::from(scenario.pods);
    found.extend(hold(Promise::OldPodsStay, stay, || format!("only {old} old pods are left")));
    let lost = world.status.and_then(|status| status.outcome).is_some_and(|end| end.not_restored == Some("LockLost"));
    // A leader that was asleep may take the lock after the end: it is given back, which the end of the run awaits.
    let outstanding = world.holder == Holder::Ours && world.step() != Some(Step::Finished)
        || !lost && world.pods.iter().any(Pod::detached);
    let told = world.status.and_then(|status| status.outcome).is_some_and(|end| end.not_restored.is_some());
    let excused = world.excused || world.namespace_terminating || world.ended() && told;
    found.extend(hold(Promise::FinalizerWhileOutstanding, world.finalizer || excused || !outstanding, || {
        "something is outstanding and no finalizer holds the request".into()
    }));
    found
}

/// What the environment's move breaks.
pub fn moved(before: &World, event: Event) -> Vec<Broken> {
    let Event::Calm(DELETES, Some(index)) = event else { return vec![] };
    let putting_back = before.step() == Some(Step::Restoring) && before.workload == Workload::Same;
    let pod = &before.pods[index];
    hold(Promise::OldPodsSurvivePuttingBack, !(putting_back && pod.listed() && pod.serves() && !before.excused), || {
        "putting back cost an old, serving pod".into()
    })
    .into_iter()
    .collect()
}

/// With the controller dead, leases run out and every healthy pod serves again: nothing but the lease holds one back.
pub fn without_us(world: &World, scenario: &Scenario) -> Vec<Broken> {
    let back = |pod: &Pod| {
        let pods = vec![Pod { lease: Lease::None, busy: false, silent: false, ..*pod }];
        let mut alone = World { pods, workload: Workload::Same, ..World::start(scenario) };
        while let Some((_, next)) = crate::environment::of_pod(&alone, scenario, 0).into_iter().next() {
            alone = next;
        }
        alone.pods[0].serves() || !scenario.service && alone.pods[0].ready
    };
    let held = |pod: &&Pod| pod.lease != Lease::None && !pod.terminating && healthy(scenario, pod);
    let waiting = world.pods.iter().filter(held).find(|pod| !back(pod));
    hold(Promise::WithoutUsPodsComeBack, waiting.is_none(), || format!("{waiting:?} does not come back"))
        .into_iter()
        .collect()
}

/// A pod with something that waits to be carried out late.
pub fn sleeps(pod: &Pod) -> bool {
    pod.asleep != Asleep::Nothing
}
