//! Observe: everything that a decision may depend on, read once, live, and made into the machine's small view.
//!
//! **Invariant:** nothing here changes the cluster (an eviction with `dryRun` asks, it does not evict), and nothing
//! after it can fail to read.

mod ailments;
pub mod baseline;
mod budget;
mod check;
mod config_maps;
mod configuration;
mod endpoints;
mod gate;
mod hooks;
mod neighbours;
mod pods;
mod read;
mod resolve;
mod rollout;
mod shared;
mod silence;
mod surroundings;
mod traffic;
mod workload;

pub use check::{Check, Exceptions};
use silence::Awaited;

use crate::api::{ConcurrencyPolicy, PodProgress, RestartRequest, RestartRequestStatus, RunRecord, Step};
use crate::controller::config::Restart;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::facts::Facts;
use crate::controller::gitops;
use crate::controller::keys::Trusted;
use crate::controller::memory::Run;
use crate::controller::objects::{again_name, plan_name, run_generation, run_key};
use crate::controller::workload::Workload;
use crate::machine::{
    Asked, Attachment, Budget, ConfigMapView, Deadline, Gate, Handled, Hold, Lock, Observed, PlanView, Pod, Soak,
    Target, cursor,
};
use k8s_openapi::jiff::Timestamp;
use std::time::{Duration, Instant};

/// Reads the world and makes the machine's view of it; absent when the request no longer exists.
///
/// # Errors
/// When the API server does not answer a read; nothing has been decided then.
pub async fn observe(ctx: &Context, namespace: &str, name: &str) -> Result<Option<(Facts, Observed)>, Error> {
    let begun = Instant::now();
    match Box::pin(read::read(ctx, namespace, name)).await? {
        Some(facts) => seen(ctx, facts, begun).await.map(Some),
        None => Ok(None),
    }
}

/// The same for the run that holds a history and whose request is gone; absent when there is none.
///
/// # Errors
/// As [`observe`].
pub async fn orphan(ctx: &Context, namespace: &str, history: &str) -> Result<Option<(Facts, Observed)>, Error> {
    let begun = Instant::now();
    match Box::pin(read::orphan(ctx, namespace, history)).await? {
        Some(facts) => seen(ctx, facts, begun).await.map(Some),
        None => Ok(None),
    }
}

/// What `preview` shows of a request that nobody has made: everything read, every check, and what it would wait for.
///
/// # Errors
/// As [`observe`].
pub async fn preview(
    ctx: &Context,
    namespace: &str,
    request: RestartRequest,
    keys: Option<&Trusted>,
) -> Result<Preview, Error> {
    let facts = Box::pin(read::around(ctx, namespace, request)).await?;
    let limits = ctx.config.current();
    let checks = check::checks(&facts, &limits, keys, &Awaited::default());
    let hold = hold(&facts, &limits).map(|hold| hold.message);
    let observed = view(&facts, &limits, &ctx.keys.trusted(), &mut Run::default(), Instant::now());
    Ok(Preview { exceptions: Exceptions::new(&observed), facts, checks, hold })
}

/// What a restart would find.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Everything that was read.
    pub facts: Facts,
    /// Every check, in the order in which they decide.
    pub checks: Vec<Check>,
    /// What it would wait for before it begins.
    pub hold: Option<String>,
    /// What it would do with pods that are not Ready.
    pub exceptions: Exceptions,
}

async fn seen(ctx: &Context, facts: Facts, begun: Instant) -> Result<(Facts, Observed), Error> {
    let mut run = ctx.memory.run(facts.uid());
    run.sees();
    let mut observed = view(&facts, &ctx.config.current(), &ctx.keys.trusted(), &mut run, Instant::now());
    if let (Some(message), true) = (ctx.admission.missing(), read::before_the_run(&facts.request)) {
        observed.hold = Some(Hold { message, bounded: false });
    }
    let batch: Vec<&Pod> =
        batch_of(&facts).iter().filter_map(|progress| observed.pod(&progress.uid)).filter(|pod| pod.alive()).collect();
    let step = observed.cursor.as_ref().map_or(Step::Queued, |cursor| cursor.step);
    let asked = budget::ask(ctx, &facts, step, &batch, &observed.gate).await?;
    observed.budget = neighbours::turn(ctx, &facts, step, asked, begun);
    // A finished run has been forgotten; its last passes must not bring it back for as long as the process lives.
    if step != Step::Finished {
        ctx.memory.keep(facts.uid(), run);
    }
    Ok((facts, observed))
}

/// The request alone, around which nothing could be read; absent when it no longer exists.
///
/// # Errors
/// As [`observe`].
pub async fn alone(ctx: &Context, namespace: &str, name: &str) -> Result<Option<(Facts, Observed)>, Error> {
    let Some(facts) = read::alone(ctx, namespace, name).await? else { return Ok(None) };
    let (limits, keys) = (ctx.config.current(), ctx.keys.trusted());
    let observed = view(&facts, &limits, &keys, &mut Run::default(), Instant::now());
    Ok(Some((facts, observed)))
}

/// Whether `waited` has reached `limit`.
pub fn deadline(waited: Duration, limit: Duration) -> Deadline {
    if waited >= limit { Deadline::Passed } else { Deadline::Ahead }
}

fn batch_of(facts: &Facts) -> &[PodProgress] {
    facts.request.status.as_ref().map_or(&[], |status| status.pods.as_slice())
}

/// The machine's view, all but the budget.
fn view(facts: &Facts, limits: &Restart, keys: &Trusted, run: &mut Run, now: Instant) -> Observed {
    let status = facts.request.status.clone().unwrap_or_default();
    let cursor = cursor(&status);
    let step = cursor.as_ref().map_or(Step::Queued, |cursor| cursor.step);
    // First the step: what is remembered of pods is about one step.
    let waited = run.in_step(step, now);
    run.signs_with(keys.id());
    let mut pods: Vec<Pod> = facts.pods.iter().map(|pod| pods::view(facts, pod, &status.pods, run, now)).collect();
    let gate = gate::gate(facts, &pods);
    if step == Step::Verifying {
        let own = pods.iter_mut().filter(|pod| pod.alive() && pod.attachment == Attachment::Attached);
        own.for_each(|pod| pod.lapsed = run.lapsed(&pod.uid, pod.ready));
    }
    let soaked = run.ready_for(gate == Gate::Open, now);
    let before = read::before_the_run(&facts.request);
    let awaited = if before { Awaited::new(facts, run, now) } else { Awaited::default() };
    Observed {
        asked: asked(facts, &status),
        finalizer: facts.request.held(),
        lock: lock(facts),
        target: target(facts, before),
        verdict: before.then(|| check::check(facts, limits, keys, &awaited)).flatten(),
        hold: if before { awaited.hold().or_else(|| hold(facts, limits)) } else { None },
        handled: handled(facts),
        hooks: facts.hooks.clone(),
        config: config(facts),
        plan: PlanView {
            name: plan_name(&facts.request),
            list: facts.plan.state(),
            again_name: again_name(&facts.request),
            again: facts.again.state(),
            unready: facts.plan.pods().iter().filter(|pod| pod.unready && !pod.passed_over).count(),
        },
        deadline: deadline(waited, seconds(facts.request.spec.progress_deadline_seconds)),
        soak: if gate == Gate::Open && soaked >= seconds(facts.request.spec.verify.soak_seconds) {
            Soak::Over
        } else {
            Soak::Running
        },
        refusal: run.refusal.clone(),
        trouble: run.trouble.clone(),
        replacement: Workload::replacement(facts.workload.as_ref()),
        budget: Budget::NotAsked,
        ordered: matches!(facts.workload, Some(Workload::StatefulSet(_))),
        cursor,
        pods,
        gate,
    }
}

/// A field of the spec or of the status as a length of time.
pub fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

fn asked(facts: &Facts, status: &RestartRequestStatus) -> Asked {
    let (spec, metadata) = (&facts.request.spec, &facts.request.metadata);
    Asked {
        deleting: metadata.deletion_timestamp.is_some(),
        namespace_terminating: facts.namespace_terminating,
        cancel: spec.cancel,
        force: spec.force,
        on_timeout: spec.on_timeout,
        queue: spec.concurrency_policy == ConcurrencyPolicy::Queue,
        allow_disruption: spec.strategy.as_ref().is_some_and(|strategy| strategy.allow_disruption),
        reload: spec.config.reload,
        triggered: facts.triggered,
        expired: expires_in(&facts.request, Timestamp::now()) == Some(Duration::ZERO),
        strategy: facts.resolved.strategy,
        max_parallel: usize::try_from(facts.resolved.max_parallel).unwrap_or(1).max(1),
        generation_unseen: status.observed_generation != metadata.generation,
    }
}

/// How long a finished request still has by its `ttlSecondsAfterFinished`; absent: for ever, as for an object that a GitOps
/// tool would only make anew. Both times are the controller's own; a clock that is set moves nothing but this deletion.
#[must_use]
pub fn expires_in(request: &RestartRequest, now: Timestamp) -> Option<Duration> {
    let ttl = seconds(request.spec.ttl_seconds_after_finished?);
    let finished = request.status.as_ref()?.finished_at.as_ref()?.0;
    if gitops::applied_by(&request.metadata).is_some() {
        return None;
    }
    let passed = Duration::try_from(now.duration_since(finished)).unwrap_or_default();
    Some(ttl.saturating_sub(passed))
}

/// A request made anew whose key the workload's history knows.
fn handled(facts: &Facts) -> Option<Handled> {
    if facts.request.status.as_ref().is_some_and(|status| status.phase.is_some()) {
        return None;
    }
    let key = run_key(&facts.request)?;
    let status = facts.history.as_ref()?.status.as_ref()?;
    let known = status.handled.iter().find(|handled| handled.key == key)?;
    Some(Handled { result: known.result, code: known.code })
}

fn lock(facts: &Facts) -> Lock {
    let begun = facts.request.status.as_ref().is_some_and(|status| !matches!(status.step, None | Some(Step::Queued)));
    match held(facts) {
        // Its turn comes when those that have waited for longer are done.
        Lock::Free if !begun => facts.ahead.clone().map_or(Lock::Free, Lock::Other),
        lock @ (Lock::Free | Lock::Ours | Lock::Other(_) | Lock::Done) => lock,
    }
}

fn held(facts: &Facts) -> Lock {
    let Some(status) = facts.history.as_ref().and_then(|history| history.status.as_ref()) else { return Lock::Free };
    let this = |run: &RunRecord| run.uid == facts.uid() && run.generation == run_generation(&facts.request);
    match &status.active {
        Some(active) if active.uid == facts.uid() => Lock::Ours,
        // Its finalizer was taken off by hand, or it was deleted by force.
        Some(active) if facts.holder_gone => {
            Lock::Other(format!("{} (which has ended or is gone: what it left is being put back)", active.request))
        }
        Some(active) => Lock::Other(active.request.clone()),
        None if status.runs.iter().any(this) => Lock::Done,
        None => Lock::Free,
    }
}

/// A workload that is being deleted is as good as gone: with a foreground deletion its pods and our records go first.
fn target(facts: &Facts, before: bool) -> Target {
    let Some(workload) = &facts.workload else { return Target::Gone };
    let deleted = workload.metadata().deletion_timestamp.is_some();
    if workload.uid() != facts.workload_uid() || deleted && !before {
        return Target::Gone;
    }
    if !before && workload.revision() != Some(facts.resolved.revision.as_str()) {
        return Target::RollingOut;
    }
    Target::Same { replicas: workload.replicas() }
}

fn hold(facts: &Facts, limits: &Restart) -> Option<Hold> {
    if let Some(message) = gate::unsettled(facts) {
        return Some(Hold { message, bounded: true });
    }
    let most = usize::try_from(limits.max_concurrent_per_namespace).unwrap_or(usize::MAX);
    let message = || {
        format!(
            "{} restarts are under way in this namespace, as many as the controller allows (maxConcurrentPerNamespace)",
            facts.others_under_way
        )
    };
    (facts.others_under_way >= most).then(|| Hold { message: message(), bounded: false })
}

fn config(facts: &Facts) -> Vec<ConfigMapView> {
    facts.config.iter().map(|map| config_maps::view(map, facts.shared.get(&map.entry.name).cloned())).collect()
}
