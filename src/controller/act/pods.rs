//! Effects on pods: detach and the way back, drain leases, deletion cost, eviction.
//!
//! **Invariant:** of a pod nothing is ever written but the hash label, our annotations, the deletion cost and the
//! controller reference (DESIGN 8); every write carries the UID and the resourceVersion.

use super::Done;
use crate::api::names;
use crate::controller::context::{Context, EVICTION_LIMIT, call, timed};
use crate::controller::error::Error;
use crate::controller::facts::{Facts, PodFacts};
use crate::controller::leases;
use crate::controller::objects::eviction;
use crate::controller::sidecars::Sidecars;
use crate::machine::PodRef;
use crate::wire::DrainAction;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

fn api(ctx: &Context, facts: &Facts) -> Api<Pod> {
    Api::namespaced(ctx.writer.clone(), &facts.namespace)
}

/// One merge patch at the resourceVersion seen: a pod that has changed since answers 409.
async fn patch(ctx: &Context, facts: &Facts, pod: &PodRef, what: &str, mut metadata: Value) -> Result<Done, Error> {
    metadata["uid"] = json!(pod.uid);
    metadata["resourceVersion"] = json!(pod.version);
    let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"metadata": metadata}));
    call(format!("{what} Pod {}/{}", facts.namespace, pod.name), api(ctx, facts).patch(&pod.name, &params, &patch))
        .await?;
    tracing::info!(pod = pod.name, pod_uid = pod.uid, what, "pod written");
    Ok(Done::Yes)
}

/// Owners beside the controller, which stay as they are.
fn other_owners(pod: &PodFacts) -> Vec<OwnerReference> {
    let owners = pod.pod.metadata.owner_references.iter().flatten();
    owners.filter(|owner| owner.controller != Some(true)).cloned().collect()
}

/// Takes the pod from its `ReplicaSet`, which starts a replacement at once; the Deployment is its controller meanwhile. The
/// `ReplicaSet` stays among the owners, so that the garbage collector finds one that exists whatever becomes of the other.
pub async fn detach(ctx: &Context, facts: &Facts, pod: &PodRef) -> Result<Done, Error> {
    let Some(known) = facts.pod(&pod.uid) else { return Ok(Done::NotNow) };
    let mut owners: Vec<OwnerReference> = known.pod.metadata.owner_references.clone().unwrap_or_default();
    for owner in &mut owners {
        owner.controller = None;
    }
    owners.push(OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: facts.request.spec.target_ref.name.clone(),
        uid: facts.workload_uid().to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    });
    let metadata = json!({
        "labels": {names::POD_TEMPLATE_HASH: null},
        "annotations": {names::DETACHED_HASH: facts.resolved.revision, names::DETACHED_BY: facts.uid()},
        "ownerReferences": owners,
    });
    patch(ctx, facts, pod, "detach", metadata).await
}

/// Gives the label back and drops the Deployment's reference: the `ReplicaSet` makes itself the controller again.
pub async fn reattach(ctx: &Context, facts: &Facts, pod: &PodRef) -> Result<Done, Error> {
    let Some(known) = facts.pod(&pod.uid) else { return Ok(Done::NotNow) };
    let metadata = json!({
        "labels": {names::POD_TEMPLATE_HASH: facts.resolved.revision},
        "annotations": {names::DETACHED_HASH: null, names::DETACHED_BY: null},
        "ownerReferences": other_owners(known),
    });
    patch(ctx, facts, pod, "put back", metadata).await
}

/// Ranks the pod first among those that the `ReplicaSet` may delete.
pub async fn mark_expendable(ctx: &Context, facts: &Facts, pod: &PodRef) -> Result<Done, Error> {
    let metadata = json!({"annotations": {names::DELETION_COST: names::LOWEST_COST}});
    patch(ctx, facts, pod, "give the lowest deletion cost to", metadata).await
}

/// A signed lease, its renewal, or its end.
pub async fn command(ctx: &Context, facts: &Facts, pod: &PodRef, drain: bool) -> Result<Done, Error> {
    let Some(known) = facts.pod(&pod.uid) else { return Ok(Done::NotNow) };
    let Some(report) = &known.report else { return Ok(Done::NotNow) };
    let action = if drain { DrainAction::Drain } else { DrainAction::Release };
    let command = leases::command(&ctx.keys, report, &pod.uid, action, leases::new_requests(&facts.request));
    let ip = known.ip().unwrap_or_default();
    match ctx.sidecars.command(&facts.namespace, ip, Sidecars::PORT, &command).await {
        Ok(_) => Ok(Done::Yes),
        // Unknown is a value of the next observation, not a failure of this pass.
        Err(error) => {
            ctx.metrics.sidecar_error(error.word());
            tracing::info!(pod = pod.name, %error, "the sidecar did not take the command");
            let final_word = error.is_final();
            ctx.memory.change(facts.uid(), |run| {
                run.trouble = Some(format!("Pod {}: {error}", pod.name));
                if final_word {
                    run.refused(&pod.uid, report);
                }
            });
            Ok(Done::NotNow)
        }
    }
}

/// Evicts exactly the pod that was seen: one that became Ready meanwhile answers 409.
pub async fn evict(ctx: &Context, facts: &Facts, pod: &PodRef) -> Result<Done, Error> {
    let body = eviction(&pod.name, &pod.uid, Some(&pod.version), false);
    let pods = api(ctx, facts);
    let params = PostParams::default();
    let call = pods.create_subresource::<_, Value>("eviction", &pod.name, &params, &body);
    match timed(format!("evict Pod {}/{}", facts.namespace, pod.name), EVICTION_LIMIT, call).await {
        Ok(_) => {
            ctx.metrics.eviction("success");
            tracing::info!(pod = pod.name, pod_uid = pod.uid, "evicted");
            Ok(Done::Yes)
        }
        Err(error) if error.is_budget() => {
            ctx.metrics.eviction("budget");
            Ok(Done::NotNow)
        }
        Err(error) => {
            let met = if error.is_conflict() {
                "conflict"
            } else if error.is_not_found() {
                "gone"
            } else {
                "error"
            };
            ctx.metrics.eviction(met);
            Err(error)
        }
    }
}

/// Deletes a pod that is not Ready, and only if it still is not.
pub async fn delete(ctx: &Context, facts: &Facts, pod: &PodRef) -> Result<Done, Error> {
    let preconditions = Preconditions { uid: Some(pod.uid.clone()), resource_version: Some(pod.version.clone()) };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    call(format!("delete Pod {}/{}", facts.namespace, pod.name), api(ctx, facts).delete(&pod.name, &params)).await?;
    Ok(Done::Yes)
}
