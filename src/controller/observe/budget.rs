//! May the batch go? Asked of the API server while the pods are still Ready, by an eviction with `dryRun`.
//!
//! **Invariant:** the eviction of a pod that is not Ready is never taken for an answer: it does not ask the budget
//! properly (truth table in the notes, DESIGN 3.7).

use crate::api::{Step, StrategyType};
use crate::controller::context::{Context, EVICTION_LIMIT, timed};
use crate::controller::error::Error;
use crate::controller::facts::{Facts, PodFacts};
use crate::controller::objects::eviction;
use crate::machine::{Attachment, Budget, Gate, Pod};
use k8s_openapi::api::core::v1;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, PostParams};
use kube::core::{Selector, SelectorExt as _};

/// The budgets that select the pod.
pub fn of<'a>(facts: &'a Facts, pod: &PodFacts) -> Vec<&'a PodDisruptionBudget> {
    let labels = pod.pod.metadata.labels.clone().unwrap_or_default();
    let selects = |budget: &&PodDisruptionBudget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
        selector.is_some_and(|selector| Selector::try_from(selector).is_ok_and(|selector| selector.matches(&labels)))
    };
    facts.surroundings.budgets.iter().filter(selects).collect()
}

/// The answer for the batch, where the step needs one.
pub async fn ask(ctx: &Context, facts: &Facts, step: Step, batch: &[&Pod], gate: &Gate) -> Result<Budget, Error> {
    match step {
        Step::Surging | Step::Reserving if *gate == Gate::Open && may_ask(facts, batch) => {
            dry_run(ctx, facts, batch).await
        }
        Step::Draining | Step::Evicting => Ok(lost(facts, batch)),
        Step::Surging
        | Step::Reserving
        | Step::Queued
        | Step::Preparing
        | Step::PreHooks
        | Step::Verifying
        | Step::PostHooks
        | Step::Restoring
        | Step::Finishing
        | Step::Finished => Ok(Budget::NotAsked),
    }
}

/// Before that, the answer would be about another state of the workload.
fn may_ask(facts: &Facts, batch: &[&Pod]) -> bool {
    let detached = batch.iter().all(|pod| pod.attachment == Attachment::Detached);
    !batch.is_empty()
        && batch.iter().all(|pod| !pod.cordoned())
        && (facts.resolved.strategy == StrategyType::Rolling || detached)
}

async fn dry_run(ctx: &Context, facts: &Facts, batch: &[&Pod]) -> Result<Budget, Error> {
    for pod in batch.iter().filter(|pod| pod.ready) {
        if let Some(message) = refusal(ctx, facts, pod).await? {
            return Ok(Budget::Refused(message));
        }
    }
    // A pod that is not Ready is not asked for: without this it would be cordoned and given back, over and over.
    if let Budget::Lost(message) = lost(facts, batch) {
        return Ok(Budget::Refused(message));
    }
    let allowed = batch
        .iter()
        .filter_map(|pod| facts.pod(&pod.uid))
        .flat_map(|pod| of(facts, pod))
        .filter_map(|budget| budget.status.as_ref());
    let fewest = allowed.map(|status| usize::try_from(status.disruptions_allowed).unwrap_or(0)).min();
    Ok(Budget::Allowed(fewest.unwrap_or(batch.len()).clamp(1, batch.len())))
}

async fn refusal(ctx: &Context, facts: &Facts, pod: &Pod) -> Result<Option<String>, Error> {
    let api: Api<v1::Pod> = Api::namespaced(ctx.writer.clone(), &facts.namespace);
    let body = eviction(&pod.name, &pod.uid, None, true);
    let params = PostParams::default();
    let call = api.create_subresource::<_, serde_json::Value>("eviction", &pod.name, &params, &body);
    match timed(format!("ask whether Pod {} may be evicted", pod.name), EVICTION_LIMIT, call).await {
        Ok(_) => Ok(None),
        Err(error) if error.is_budget() => Ok(Some(error.server_message().unwrap_or_default().to_owned())),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(Some(format!("Pod {} has changed", pod.name))),
        // A second budget (500), a webhook (403, 400, 500, or none in time), flow control: it may not go now, and why is said.
        Err(error) if error.is_answer() => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// The batch is cordoned: is some budget below what it asks for?
fn lost(facts: &Facts, batch: &[&Pod]) -> Budget {
    let budgets = batch.iter().filter_map(|pod| facts.pod(&pod.uid)).flat_map(|pod| of(facts, pod));
    let below = budgets.into_iter().find(|budget| {
        let current = budget.status.as_ref().filter(|status| status.observed_generation == budget.metadata.generation);
        current.is_some_and(|status| status.current_healthy < status.desired_healthy)
    });
    below.map_or(Budget::NotAsked, |budget| {
        let name = budget.metadata.name.as_deref().unwrap_or_default();
        let (current, desired) =
            budget.status.as_ref().map_or((0, 0), |status| (status.current_healthy, status.desired_healthy));
        Budget::Lost(format!("PodDisruptionBudget {name} needs {desired} healthy pods and has {current}"))
    })
}
