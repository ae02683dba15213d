//! The road: observe, plan, then either record or act, then the next pass.
//!
//! **Invariant:** one pass does one thing; nothing is carried from one pass to the next but what the cluster holds and
//! clocks that may be lost.

use super::act::{self, Done};
use super::context::Context;
use super::error::Error;
use super::facts::Facts;
use super::{blind, observe, orphans, record};
use crate::api::{Phase, RestartRequest, Step};
use crate::machine::{Change, Decision, Drain, Effect, Observed, plan};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use std::sync::Arc;
use std::time::Duration;

/// After a write: its result is looked at at once.
const NOW: Duration = Duration::ZERO;
/// After effects, and while requests drain.
const SOON: Duration = Duration::from_millis(200);
/// While pods start or stop; the watches wake a run earlier.
const LATER: Duration = Duration::from_millis(500);
/// While somebody else is awaited.
const PATIENTLY: Duration = Duration::from_secs(2);

/// One pass for one request.
///
/// # Errors
/// When the cluster did not answer; the run goes on from where it stands.
pub async fn reconcile(request: Arc<RestartRequest>, ctx: Arc<Context>) -> Result<Action, Error> {
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let name = request.metadata.name.as_deref().unwrap_or_default();
    if let Some(action) = finished(&request) {
        ctx.traces.seen(&request);
        return Ok(action);
    }
    let seen = match Box::pin(observe::observe(&ctx, namespace, name)).await {
        Ok(seen) => seen,
        Err(error) => return blind::judge(&ctx, &request, &error).await?.ok_or(error),
    };
    let Some((facts, observed)) = seen else {
        ctx.forget(request.metadata.uid.as_deref().unwrap_or_default());
        return Ok(Action::await_change());
    };
    if facts.request.phase() != request.phase() {
        // What was watched is older than what was read.
        tracing::Span::current().record("phase", facts.request.phase().map(Phase::word));
    }
    if let Some(history) = facts.history.as_ref().filter(|_| facts.holder_gone) {
        orphans::look(&ctx, namespace, &history.name_any());
    }
    Ok(step(&ctx, &facts, &observed).await?.map_or_else(Action::await_change, Action::requeue))
}

/// One pass for the run that holds a history and whose request is gone; absent when there is none.
///
/// # Errors
/// As [`reconcile`].
pub async fn orphan(ctx: &Context, namespace: &str, history: &str) -> Result<Option<Duration>, Error> {
    let Some((facts, observed)) = Box::pin(observe::orphan(ctx, namespace, history)).await? else { return Ok(None) };
    if let Some(wait) = step(ctx, &facts, &observed).await? {
        return Ok(Some(wait));
    }
    // Nothing to put back, or everything goes with the namespace; nobody else gives the lock back.
    act::act(ctx, &facts, &[Effect::ReleaseLock(vec![])]).await?;
    Ok(Some(LATER))
}

/// Plans, then either records or acts; when to look again, if ever.
async fn step(ctx: &Context, facts: &Facts, observed: &Observed) -> Result<Option<Duration>, Error> {
    if !ctx.leader.leading() {
        let what = format!("pass for RestartRequest {}/{}", facts.namespace, facts.name());
        return Err(Error::NotLeading { what });
    }
    ctx.leases.keep(facts);
    let decision = plan(observed);
    tracing::debug!(?decision, "decided");
    let recorded = matches!(decision, Decision::Record(_));
    if !recorded && record::mirror(ctx, facts, &facts.request.status.clone().unwrap_or_default()).await {
        return Ok(Some(NOW));
    }
    Ok(match decision {
        Decision::Record(change) => {
            if !admitted(ctx, facts, &change) {
                // Others began while this pass was reading: the next one waits as those do that come later.
                return Ok(Some(SOON));
            }
            let recorded = record::record(ctx, facts, observed, &change).await;
            if recorded.as_ref().is_err_and(|error| !error.is_passing()) {
                ctx.turns.withdraw(&facts.request);
            }
            recorded?;
            Some(NOW)
        }
        Decision::Act(effects) => Some(acted(ctx, facts, observed, &effects).await?),
        Decision::Wait(message) => {
            ctx.edges.wait(&ctx.sidecars, facts);
            record::waiting(ctx, facts, observed, &message).await?;
            Some(patience(observed))
        }
        Decision::Rest => None,
    })
}

/// Whether a run that begins is one of those that may be under way in its namespace; any other change is.
fn admitted(ctx: &Context, facts: &Facts, change: &Change) -> bool {
    let waits = matches!(facts.request.phase(), None | Some(Phase::Pending));
    if waits && change.step == Step::Preparing {
        let most = usize::try_from(ctx.config.current().max_concurrent_per_namespace).unwrap_or(usize::MAX);
        return ctx.turns.admit(&facts.request, most);
    }
    if change.phase == Phase::Pending || change.phase.is_terminal() {
        ctx.turns.withdraw(&facts.request);
    }
    true
}

/// Acts. What keeps effects from being carried out twice in a row is said in the status.
async fn acted(ctx: &Context, facts: &Facts, observed: &Observed, effects: &[Effect]) -> Result<Duration, Error> {
    let done = act::act(ctx, facts, effects).await;
    let trouble = ctx.memory.trouble(facts.uid()).filter(|_| observed.trouble.is_some());
    if let Some(trouble) = trouble {
        record::waiting(ctx, facts, observed, &trouble).await?;
    }
    Ok(if done? == Done::Yes { SOON } else { LATER })
}

/// A finished request without our finalizer costs nothing, no read and no write, until its time to live is over.
fn finished(request: &RestartRequest) -> Option<Action> {
    let status = request.status.as_ref()?;
    let unseen = status.observed_generation != request.metadata.generation;
    if status.step != Some(Step::Finished) || request.held() || request.triggered() || unseen {
        return None;
    }
    match observe::expires_in(request, Timestamp::now()) {
        Some(Duration::ZERO) => None,
        Some(left) => Some(Action::requeue(left)),
        None => Some(Action::await_change()),
    }
}

/// A pod that drains has requests in flight.
fn answering(observed: &Observed) -> bool {
    observed.pods.iter().any(|pod| matches!(pod.drain, Drain::Cordoned { in_flight: 1.., .. }))
}

/// How soon a waiting run is looked at again when nothing wakes it.
fn patience(observed: &Observed) -> Duration {
    match observed.cursor.as_ref().map_or(Step::Queued, |cursor| cursor.step) {
        // The edge to zero wakes the run; what is left of the quiet window after it does not.
        Step::Draining | Step::Evicting => {
            if answering(observed) {
                LATER
            } else {
                SOON
            }
        }
        Step::Surging
        | Step::Reserving
        | Step::Preparing
        | Step::PreHooks
        | Step::Restoring
        | Step::Verifying
        | Step::PostHooks
        | Step::Finishing => LATER,
        Step::Queued | Step::Finished => PATIENTLY,
    }
}
