//! The promises, asked of states, status writes and what the environment does.
//!
//! **Invariant:** nothing here steers the search.

use crate::checks::{Broken, Promise, hold};
use crate::environment::{DELETES, Event, healthy};
use crate::pod::{Asleep, Lease, Place, Pod};
use crate::scenario::Scenario;
use crate::world::{Holder, Status, Workload, World};
use restart_controller::api::{Phase, PodState, SnapshotSource, Step, TimeoutPolicy};

/// What a status write breaks.
pub fn recorded(before: &World, after: &World, scenario: &Scenario) -> Vec<Broken> {
    let Some(now) = after.status else { return vec![] };
    let again = before.triggered && now.step == Step::Queued && now.outcome.is_none();
    let legal = before
        .status
        .map_or(matches!(now.step, Step::Queued | Step::Preparing | Step::Finished), |was| legal(was, now, again));
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
        found.extend(completed(after, scenario));
    }
    found
}

fn legal(was: Status, now: Status, again: bool) -> bool {
    use Step::{
        Draining, Evicting, Finished, Finishing, PostHooks, PreHooks, Preparing, Queued, Reserving, Restoring, Surging,
        Verifying,
    };
    let steps: &[Step] = match was.step {
        Queued => &[Queued, Preparing, Finished],
        Preparing => &[Queued, Preparing, PreHooks, Surging, Reserving, Draining, Verifying, Restoring, Finishing],
        PreHooks => &[PreHooks, Preparing, Restoring, Finishing],
        Surging => &[Surging, Draining, Verifying, Restoring, Finishing],
        Reserving => &[Reserving, Draining, Verifying, Restoring, Finishing],
        Draining => &[Draining, Surging, Reserving, Evicting, Verifying, Restoring, Finishing],
        Evicting => &[Evicting, Draining, Surging, Reserving, Verifying, Restoring, Finishing],
        Verifying => &[Verifying, Surging, Reserving, Draining, PostHooks, Restoring, Finishing],
        PostHooks => &[PostHooks, Verifying, Restoring, Finishing],
        Restoring => &[Restoring, Surging, Reserving, Finishing],
        Finishing => &[Finished],
        Finished => &[Finished, Queued],
    };
    let phases: &[Phase] = match was.phase {
        Phase::Pending => &[Phase::Pending, Phase::Preparing, Phase::Completed, Phase::Failed, Phase::Cancelled],
        Phase::Preparing => return steps.contains(&now.step),
        Phase::Restarting | Phase::WaitingRequests => {
            &[Phase::Restarting, Phase::WaitingRequests, Phase::Recovering, Phase::Completed]
        }
        Phase::Recovering => &[Phase::Recovering, Phase::Failed, Phase::Cancelled],
        Phase::Completed | Phase::Failed | Phase::Cancelled => return now == was || again,
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
        hold(!bad || world.mixed, "a pod still runs the bad configuration");
    }
    found
}

fn completed(world: &World, scenario: &Scenario) -> Vec<Broken> {
    let left = world.pods.iter().find(|pod| !pod.terminating && pod.place != Place::Foreign && pod.listed());
    let detached = world.pods.iter().find(|pod| pod.detached());
    let leased = world.pods.iter().find(|pod| !pod.terminating && pod.lease != Lease::None && !pod.silent);
    let promise = Promise::CompletedMeansReplaced;
    let mut found = vec![];
    let serving = |pod: &&Pod| pod.own() && pod.ready && (pod.in_slices || !scenario.service);
    // What was passed over is left as it is.
    let passed = world.pods.iter().filter(|pod| pod.passed && !serving(pod)).count();
    let (serving, wanted) = (passed + world.pods.iter().filter(serving).count(), usize::from(world.replicas));
    found.extend(hold(promise, serving >= wanted, || format!("Completed, but {serving} of {wanted} pods serve")));
    found.extend(left.map(|pod| (promise, format!("Completed, but a planned pod is left: {pod:?}"))));
    found.extend(detached.map(|pod| (promise, format!("Completed, but a pod is detached: {pod:?}"))));
    found.extend(leased.map(|pod| (promise, format!("Completed, but a pod is cordoned: {pod:?}"))));
    found
}

/// What a state breaks, however it came about.
pub fn state(world: &World, scenario: &Scenario) -> Vec<Broken> {
    let mut found = vec![];
    let bare = world.step() != Some(Step::Queued) || !world.finalizer;
    found.extend(hold(Promise::FinalizerWhileOutstanding, bare, || "a finalizer in the queue".into()));
    found.extend(hold(Promise::OncePerRun, world.promotions <= 1, || "promoted twice".into()));
    found.extend(hold(Promise::OncePerRun, world.restores <= 1, || "restored twice".into()));
    let old = world.pods.iter().filter(|pod| pod.planned && !pod.terminating).count();
    let stay = !scenario.old_pods_stay || !world.plan_written || world.excused || old >= usize::from(scenario.pods);
    found.extend(hold(Promise::OldPodsStay, stay, || format!("only {old} old pods are left")));
    let lost = world.status.and_then(|status| status.outcome).is_some_and(|end| end.not_restored == Some("LockLost"));
    // A leader that was asleep may take the lock before the finalizer, or after the end: nothing hangs on it but the lock
    // itself, which is free when its request is gone.
    let begun = world.status.is_some_and(|status| status.entry.is_some() && status.step != Step::Finished);
    let outstanding = world.holder == Holder::Ours && begun || !lost && world.pods.iter().any(Pod::detached);
    let told = world.status.and_then(|status| status.outcome).is_some_and(|end| end.not_restored.is_some());
    let excused = world.excused || world.namespace_terminating || world.step() == Some(Step::Finished) && told;
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
