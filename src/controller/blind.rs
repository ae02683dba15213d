//! Passes in which the run's surroundings could not be read, although the API server answers: a right that was taken away, or
//! a kind that is gone. They are told in the status, and judged at the run's deadline.
//!
//! **Invariant:** an API server that does not answer is waited for; nothing is judged by its silence.

use super::act;
use super::context::Context;
use super::error::Error;
use super::{observe, record};
use crate::api::RestartRequest;
use crate::machine::{Decision, blind};
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
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let Some((facts, mut observed)) = observe::alone(ctx, namespace, name).await? else { return Ok(None) };
    let since = ctx.memory.blind_since(facts.uid(), Instant::now());
    let limit = observe::seconds(facts.request.spec.progress_deadline_seconds);
    observed.deadline = observe::deadline(since.elapsed(), limit);
    tracing::warn!(%error, "the surroundings of the run cannot be read");
    match blind(&observed, &error.to_string()) {
        Decision::Record(change) => record::record(ctx, &facts, &observed, &change).await?,
        Decision::Act(effects) => act::act(ctx, &facts, &effects).await.map(drop)?,
        Decision::Wait(why) => record::waiting(ctx, &facts, &observed, &why).await?,
        Decision::Rest => return Ok(Some(Action::await_change())),
    }
    Ok(Some(Action::requeue(AGAIN)))
}
