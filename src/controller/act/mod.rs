//! Act: each effect is one small, idempotent change to the world, with the UID and the resourceVersion seen.
//!
//! **Invariant:** no decision is made here: what an effect meets (a conflict, a budget's no) is seen by the next pass.

pub mod baseline;
mod config_maps;
mod history;
mod hooks;
mod pods;

use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::facts::Facts;
use crate::machine::{Effect, Refusal, RefusedEffect};
use futures::future::join_all;

/// What became of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done, or the world had changed and the next pass will see.
    Yes,
    /// The cluster says not now: a budget, or a sidecar that does not answer.
    NotNow,
}

/// Does them all together. A refusal for good is remembered for the next pass; any other failure is returned. What kept
/// an effect from being carried out is remembered too, until all of them are.
///
/// # Errors
/// The first failure that is neither a conflict nor a refusal.
pub async fn act(ctx: &Context, facts: &Facts, effects: &[Effect]) -> Result<Done, Error> {
    ctx.memory.without_trouble(facts.uid());
    let results = join_all(effects.iter().map(|effect| one(ctx, facts, effect))).await;
    let (mut done, mut failure) = (Done::Yes, None);
    for (effect, result) in effects.iter().zip(results) {
        match result {
            Ok(Done::Yes) => {}
            Ok(Done::NotNow) => {
                trouble(ctx, facts, || format!("{} is not possible yet", words(effect)));
                done = Done::NotNow;
            }
            // Somebody was faster, or the object went: observation decides what that means.
            Err(error) if error.is_conflict() || error.is_not_found() => {
                tracing::debug!(name = facts.name(), ?effect, %error, "the world has changed");
                trouble(ctx, facts, || error.to_string());
                done = Done::NotNow;
            }
            Err(error) if error.is_refusal() => remember(ctx, facts, effect, &error),
            Err(error) => {
                trouble(ctx, facts, || error.to_string());
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(done), Err)
}

/// The first of a pass is the one that is told.
fn trouble(ctx: &Context, facts: &Facts, why: impl FnOnce() -> String) {
    ctx.memory.change(facts.uid(), |run| {
        run.trouble.get_or_insert_with(why);
    });
}

/// What an effect does, for a sentence.
fn words(effect: &Effect) -> String {
    match effect {
        Effect::DeleteRequest => "to delete the request".to_owned(),
        Effect::AddFinalizer => "to put a finalizer on the request".to_owned(),
        Effect::RemoveFinalizer => "to take the finalizer off the request".to_owned(),
        Effect::TakeLock => "to record the run in the RestartHistory".to_owned(),
        Effect::ReleaseLock(_) => "to write the result into the RestartHistory".to_owned(),
        Effect::CopyConfigMaps => "to copy the ConfigMaps".to_owned(),
        Effect::WritePlan(_) | Effect::WritePlanAgain(_) => "to write the list of pods".to_owned(),
        Effect::Promote(name) => format!("to promote onto ConfigMap {name}"),
        Effect::Restore(name) => format!("to restore ConfigMap {name}"),
        Effect::RunHook(_, name) => format!("to start hook {name}"),
        Effect::Detach(pod) => format!("to detach Pod {}", pod.name),
        Effect::Reattach(pod) => format!("to put back Pod {}", pod.name),
        Effect::Cordon(pod) => format!("to take Pod {} out of its Services", pod.name),
        Effect::Release(pod) => format!("to give Pod {} back to its Services", pod.name),
        Effect::MarkExpendable(pod) => format!("to rank Pod {} first for deletion", pod.name),
        Effect::Evict(pod) => format!("to evict Pod {}", pod.name),
        Effect::Delete(pod) => format!("to delete Pod {}", pod.name),
    }
}

fn remember(ctx: &Context, facts: &Facts, effect: &Effect, error: &Error) {
    tracing::warn!(name = facts.name(), ?effect, %error, "refused by the API server");
    let refusal = Refusal { effect: kind(effect), message: error.to_string() };
    ctx.memory.change(facts.uid(), |run| run.refusal = Some(refusal));
}

fn kind(effect: &Effect) -> RefusedEffect {
    match effect {
        Effect::CopyConfigMaps => RefusedEffect::Copy,
        Effect::Promote(_) => RefusedEffect::Promotion,
        Effect::Restore(_) => RefusedEffect::Restore,
        Effect::RunHook(..) => RefusedEffect::Hook,
        Effect::DeleteRequest
        | Effect::AddFinalizer
        | Effect::RemoveFinalizer
        | Effect::TakeLock
        | Effect::ReleaseLock(_)
        | Effect::WritePlan(_)
        | Effect::WritePlanAgain(_)
        | Effect::Detach(_)
        | Effect::Reattach(_)
        | Effect::Cordon(_)
        | Effect::Release(_)
        | Effect::MarkExpendable(_)
        | Effect::Evict(_)
        | Effect::Delete(_) => RefusedEffect::Other,
    }
}

async fn one(ctx: &Context, facts: &Facts, effect: &Effect) -> Result<Done, Error> {
    match effect {
        Effect::DeleteRequest => history::delete_request(ctx, facts).await,
        Effect::RunHook(time, name) => hooks::run(ctx, facts, *time, name).await,
        Effect::AddFinalizer => history::finalizer(ctx, facts, true).await,
        Effect::RemoveFinalizer => history::finalizer(ctx, facts, false).await,
        Effect::TakeLock => history::take(ctx, facts).await,
        Effect::ReleaseLock(good) => history::release(ctx, facts, good).await,
        Effect::CopyConfigMaps => config_maps::copy(ctx, facts).await,
        Effect::WritePlan(pods) => config_maps::list(ctx, facts, false, pods).await,
        Effect::WritePlanAgain(pods) => config_maps::list(ctx, facts, true, pods).await,
        Effect::Promote(name) => config_maps::write(ctx, facts, name, true).await,
        Effect::Restore(name) => config_maps::write(ctx, facts, name, false).await,
        Effect::Detach(pod) => pods::detach(ctx, facts, pod).await,
        Effect::Reattach(pod) => pods::reattach(ctx, facts, pod).await,
        Effect::Cordon(pod) => pods::command(ctx, facts, pod, true).await,
        Effect::Release(pod) => pods::command(ctx, facts, pod, false).await,
        Effect::MarkExpendable(pod) => pods::mark_expendable(ctx, facts, pod).await,
        Effect::Evict(pod) => pods::evict(ctx, facts, pod).await,
        Effect::Delete(pod) => pods::delete(ctx, facts, pod).await,
    }
}
