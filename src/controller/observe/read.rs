//! All reads of one pass, live from the API server, and the questions to the sidecars.
//!
//! **Invariant:** no cache: a decision that removes a pod is made on what the API server says now, and each effect
//! carries the resourceVersion seen here.

use crate::api::{ConcurrencyPolicy, Phase, RestartHistory, RestartRequest, RestartRequestSpec, Step, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{Facts, PodFacts, Workload};
use crate::controller::objects::{again_name, history_name, plan_name, run_generation};
use crate::controller::observe::{config_maps, resolve, surroundings};
use crate::controller::sidecars::Sidecars;
use crate::machine::PlannedPod;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{Api, ListParams};
use kube::core::{DeserializeGuard, Selector};
use std::collections::BTreeMap;

/// Reads everything that the run's step may need; absent when the request no longer exists.
pub async fn read(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Facts>, Error> {
    let requests: Api<RestartRequest> = Api::namespaced(ctx.reader.clone(), namespace);
    let Some(mut request) = call(format!("read RestartRequest {namespace}/{name}"), requests.get_opt(name)).await?
    else {
        return Ok(None);
    };
    let workload = workload(ctx, namespace, &request).await?;
    let around = surroundings::read(ctx, namespace).await?;
    let limits = ctx.config.current();
    let recorded = request.status.as_ref().and_then(|status| status.resolved.clone());
    let resolved = recorded.unwrap_or_else(|| resolve::resolve(&request.spec, &limits, workload.as_ref(), &around));
    let history = history(ctx, namespace, &request, &resolved.workload_uid).await?;
    let triggered = triggered(&request);
    pin(&mut request, history.as_ref());
    let config = if limits.backup_config || request.status.as_ref().is_some_and(|status| status.snapshot.is_some()) {
        config_maps::read(ctx, namespace, &request, workload.as_ref(), history.as_ref(), &resolved.workload_uid).await?
    } else {
        config_maps::Read { found: vec![], missing: vec![] }
    };
    let others = others(ctx, namespace, &request).await?;
    let mut facts = Facts {
        namespace: namespace.to_owned(),
        namespace_terminating: terminating(ctx, namespace, &request).await?,
        pods: pods(ctx, namespace, workload.as_ref()).await?,
        holder_gone: holder_gone(ctx, namespace, &request, history.as_ref()).await?,
        plan: list(ctx, namespace, &plan_name(&request)).await?,
        again: list(ctx, namespace, &again_name(&request)).await?,
        others_under_way: others.iter().filter(|other| under_way(other)).count(),
        ahead: ahead(&others, &request),
        triggered,
        hooks: vec![],
        exclusive_claims: vec![],
        hash_selectors: vec![],
        adopters: vec![],
        request,
        workload,
        resolved,
        history,
        surroundings: around,
        config: config.found,
        missing_config_maps: config.missing,
    };
    if before_the_run(&facts.request) {
        surroundings::obstacles(ctx, &mut facts).await?;
    }
    ask_sidecars(ctx, &mut facts).await;
    Ok(Some(facts))
}

/// Check has the word until the first pod is touched.
pub fn before_the_run(request: &RestartRequest) -> bool {
    let step = request.status.as_ref().and_then(|status| status.step);
    matches!(step, None | Some(Step::Queued | Step::Preparing | Step::PreHooks))
}

async fn list(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Vec<PlannedPod>>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.reader.clone(), namespace);
    let Some(map) = call(format!("read the list of pods {namespace}/{name}"), api.get_opt(name)).await? else {
        return Ok(None);
    };
    let text = map.data.as_ref().and_then(|data| data.get("pods")).map_or("", String::as_str);
    let pods = serde_json::from_str(text)
        .map_err(|error| Error::Internal(format!("the list of pods {namespace}/{name} cannot be read: {error}")))?;
    Ok(Some(pods))
}

async fn terminating(ctx: &Context, namespace: &str, request: &RestartRequest) -> Result<bool, Error> {
    if request.metadata.deletion_timestamp.is_none() {
        return Ok(false);
    }
    let api: Api<Namespace> = Api::all(ctx.reader.clone());
    let namespace = call(format!("read Namespace {namespace}"), api.get_opt(namespace)).await?;
    Ok(namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
}

async fn workload(ctx: &Context, namespace: &str, request: &RestartRequest) -> Result<Option<Workload>, Error> {
    let name = &request.spec.target_ref.name;
    let deployments: Api<Deployment> = Api::namespaced(ctx.reader.clone(), namespace);
    let Some(deployment) = call(format!("read Deployment {namespace}/{name}"), deployments.get_opt(name)).await? else {
        return Ok(None);
    };
    let sets: Api<ReplicaSet> = Api::namespaced(ctx.reader.clone(), namespace);
    let all = call(format!("list ReplicaSets of {namespace}/{name}"), sets.list(&selector(&deployment))).await?;
    let uid = deployment.metadata.uid.clone().unwrap_or_default();
    let owned = |set: &ReplicaSet| {
        set.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid && owner.controller == Some(true))
    };
    let mut sets: Vec<ReplicaSet> = all.items.into_iter().filter(owned).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    let others = sets.split_off(sets.len().min(1));
    Ok(Some(Workload { deployment, newest: sets.pop(), others }))
}

/// The Deployment controller numbers its `ReplicaSets`; going back to an old template makes the old one the newest.
fn revision(set: &ReplicaSet) -> i64 {
    let annotation = set.metadata.annotations.as_ref().and_then(|all| all.get("deployment.kubernetes.io/revision"));
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn selector(deployment: &Deployment) -> ListParams {
    let labels = deployment
        .spec
        .as_ref()
        .map(|spec| spec.selector.clone())
        .and_then(|selector| Selector::try_from(selector).ok());
    labels.map_or_else(ListParams::default, |labels| ListParams::default().labels_from(&labels))
}

async fn history(
    ctx: &Context,
    namespace: &str,
    request: &RestartRequest,
    workload_uid: &str,
) -> Result<Option<RestartHistory>, Error> {
    if workload_uid.is_empty() {
        return Ok(None);
    }
    let name = history_name(request, workload_uid);
    let api: Api<RestartHistory> = Api::namespaced(ctx.reader.clone(), namespace);
    call(format!("read RestartHistory {namespace}/{name}"), api.get_opt(&name)).await
}

/// The workload's pods by its selector; without a workload, those that still say they are detached.
async fn pods(ctx: &Context, namespace: &str, workload: Option<&Workload>) -> Result<Vec<PodFacts>, Error> {
    let api: Api<Pod> = Api::namespaced(ctx.reader.clone(), namespace);
    let params = workload.map_or_else(ListParams::default, |workload| selector(&workload.deployment));
    let mut all = call(format!("list pods in {namespace}"), api.list(&params)).await?.items;
    let detached =
        |pod: &Pod| pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(names::DETACHED_BY));
    all.retain(|pod| (workload.is_some() || detached(pod)) && !ended(pod));
    all.sort_by(|a, b| {
        (&a.metadata.creation_timestamp, &a.metadata.name).cmp(&(&b.metadata.creation_timestamp, &b.metadata.name))
    });
    Ok(all.into_iter().map(|pod| PodFacts { pod, asked: false, report: None, silence: String::new() }).collect())
}

/// Evicted by a node or finished: nobody counts it any more.
fn ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
}

async fn holder_gone(
    ctx: &Context,
    namespace: &str,
    request: &RestartRequest,
    history: Option<&RestartHistory>,
) -> Result<bool, Error> {
    let active = history.and_then(|history| history.status.as_ref()).and_then(|status| status.active.as_ref());
    let Some(active) = active.filter(|active| request.metadata.uid.as_ref() != Some(&active.uid)) else {
        return Ok(false);
    };
    let api: Api<RestartRequest> = Api::namespaced(ctx.reader.clone(), namespace);
    let what = format!("look for RestartRequest {namespace}/{}", active.request);
    let holder = call(what, api.get_metadata_opt(&active.request)).await?;
    Ok(holder.is_none_or(|holder| holder.metadata.uid.as_ref() != Some(&active.uid)))
}

/// The requests of the namespace, while this one waits for its turn.
async fn others(ctx: &Context, namespace: &str, request: &RestartRequest) -> Result<Vec<RestartRequest>, Error> {
    if !matches!(phase(request), None | Some(Phase::Pending)) {
        return Ok(vec![]);
    }
    // One request that cannot be read must not keep the others of its namespace waiting (I11).
    let api: Api<DeserializeGuard<RestartRequest>> = Api::namespaced(ctx.reader.clone(), namespace);
    let all = call(format!("list RestartRequests in {namespace}"), api.list(&ListParams::default())).await?;
    Ok(all.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
}

fn phase(request: &RestartRequest) -> Option<Phase> {
    request.status.as_ref().and_then(|status| status.phase)
}

fn under_way(request: &RestartRequest) -> bool {
    phase(request).is_some_and(|phase| !phase.is_terminal() && phase != Phase::Pending)
}

/// The oldest request before this one that waits for the same workload, among those that queue.
fn ahead(others: &[RestartRequest], request: &RestartRequest) -> Option<String> {
    let queues = |request: &RestartRequest| request.spec.concurrency_policy == ConcurrencyPolicy::Queue;
    let age = |request: &RestartRequest| {
        (request.metadata.creation_timestamp.clone(), request.metadata.name.clone().unwrap_or_default())
    };
    let waits = |other: &&RestartRequest| {
        matches!(phase(other), None | Some(Phase::Pending))
            && other.metadata.deletion_timestamp.is_none()
            && other.spec.target_ref == request.spec.target_ref
            && queues(other)
            && age(other) < age(request)
    };
    if !queues(request) {
        return None;
    }
    others.iter().filter(waits).min_by_key(|other| age(other)).and_then(|other| other.metadata.name.clone())
}

/// The object's trigger is another one than the run began with.
fn triggered(request: &RestartRequest) -> bool {
    let begun = request.status.as_ref().filter(|status| status.phase.is_some());
    begun.is_some_and(|status| status.last_handled_trigger != request.spec.trigger)
}

/// A run goes by the spec that it began with; only `cancel` and the time to live are those of the object.
fn pin(request: &mut RestartRequest, history: Option<&RestartHistory>) {
    let active = history.and_then(|history| history.status.as_ref()).and_then(|status| status.active.as_ref());
    let ours = active.filter(|active| {
        request.metadata.uid.as_ref() == Some(&active.uid) && active.generation == run_generation(request)
    });
    let pinned = ours.and_then(|active| serde_json::from_value::<RestartRequestSpec>(active.spec.clone()).ok());
    if let Some(pinned) = pinned {
        let (cancel, ttl) = (request.spec.cancel, request.spec.ttl_seconds_after_finished);
        request.spec = RestartRequestSpec { cancel, ttl_seconds_after_finished: ttl, ..pinned };
    }
}

/// Asks the sidecars that the step depends on, all at once.
async fn ask_sidecars(ctx: &Context, facts: &mut Facts) {
    let wanted: BTreeMap<String, (String, String)> = facts
        .pods
        .iter()
        .filter(|pod| matters(facts, pod))
        .map(|pod| {
            let ip = pod.pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default();
            (pod.uid().to_owned(), (ip, pod.uid().to_owned()))
        })
        .collect();
    let calls = wanted
        .into_values()
        .map(|(ip, uid)| async move { (ctx.sidecars.report(&ip, Sidecars::PORT, &uid).await, uid) });
    for (answer, uid) in join_all(calls).await {
        let Some(pod) = facts.pods.iter_mut().find(|pod| pod.uid() == uid) else { continue };
        pod.asked = true;
        match answer {
            Ok(report) => pod.report = Some(report),
            Err(error) => {
                ctx.metrics.sidecar_error(error.word());
                pod.silence = error.to_string();
            }
        }
    }
}

fn matters(facts: &Facts, pod: &PodFacts) -> bool {
    if pod.terminating() {
        return false;
    }
    let status = facts.request.status.as_ref();
    match status.and_then(|status| status.step) {
        None | Some(Step::Queued | Step::Preparing | Step::PreHooks) => !facts.request.spec.force,
        Some(Step::Surging | Step::Reserving | Step::Draining | Step::Evicting) => {
            status.is_some_and(|status| status.pods.iter().any(|entry| entry.uid == pod.uid()))
        }
        Some(Step::Restoring) => true,
        Some(Step::Verifying | Step::PostHooks | Step::Finishing | Step::Finished) => false,
    }
}
