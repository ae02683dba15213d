//! Passes in which the run's surroundings could not be read, although the API server answers: a right that was taken away, or
//! a kind that is gone. They are told in the status, and judged at the run's deadline.
//!
//! **Invariant:** an API server that does not answer is waited for; nothing is judged by its silence.

use super::act;
use super::context::{Context, call};
use super::error::Error;
use super::facts::{Facts, Surroundings};
use super::{observe, record};
use crate::api::RestartRequest;
use crate::machine::{Decision, blind};
use kube::api::Api;
use kube::runtime::controller::Action;
use std::time::{Duration, Instant};

/// How soon the surroundings are read again.
const AGAIN: Duration = Duration::from_secs(2);

/// What the failed pass means for the run; absent when it means nothing, and is tried again as any other.
///
/// # Errors
/// When the status cannot be written.
pub async fn judge(ctx: &Context, request: &RestartRequest, error: &Error) -> Result<Option<Action>, Error> {
    if !error.is_lasting() || !ctx.leader.leading() {
        return Ok(None);
    }
    let Some(facts) = facts(ctx, request).await? else { return Ok(None) };
    let mut observed = observe::alone(ctx, &facts);
    let since = ctx.memory.blind_since(facts.uid(), Instant::now());
    let deadline = u64::try_from(facts.request.spec.progress_deadline_seconds).unwrap_or(0);
    observed.deadline = observe::deadline(since.elapsed(), Duration::from_secs(deadline));
    tracing::warn!(%error, "the surroundings of the run cannot be read");
    match blind(&observed, &error.to_string()) {
        Decision::Record(change) => record::record(ctx, &facts, &observed, &change).await?,
        Decision::Act(effects) => act::act(ctx, &facts, &effects).await.map(drop)?,
        Decision::Wait(why) => record::waiting(ctx, &facts, &observed, &why).await?,
        Decision::Rest => return Ok(Some(Action::await_change())),
    }
    Ok(Some(Action::requeue(AGAIN)))
}

/// The request as it is now, and nothing around it.
async fn facts(ctx: &Context, request: &RestartRequest) -> Result<Option<Facts>, Error> {
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let api: Api<RestartRequest> = Api::namespaced(ctx.reader.clone(), namespace);
    let Some(live) = call(format!("read RestartRequest {namespace}/{name}"), api.get_opt(name)).await? else {
        return Ok(None);
    };
    let recorded = live.status.as_ref().and_then(|status| status.resolved.clone());
    let resolved =
        recorded.unwrap_or_else(|| observe::resolve(&live.spec, &ctx.config.current(), None, &Surroundings::default()));
    Ok(Some(Facts::new(namespace, live, None, resolved)))
}
