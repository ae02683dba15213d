//! All reads of one pass, live from the API server, and the questions to the sidecars.
//!
//! **Invariant:** no cache: a decision that removes a pod is made on what the API server says now, and each effect
//! carries the resourceVersion seen here.

use crate::api::{Phase, RestartHistory, RestartRequest, Step, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{Facts, PodFacts, Workload};
use crate::controller::objects::{again_name, history_name, plan_name};
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
    let Some(request) = call(format!("read RestartRequest {namespace}/{name}"), requests.get_opt(name)).await? else {
        return Ok(None);
    };
    let workload = workload(ctx, namespace, &request).await?;
    let around = surroundings::read(ctx, namespace).await?;
    let limits = ctx.config.current();
    let recorded = request.status.as_ref().and_then(|status| status.resolved.clone());
    let resolved = recorded.unwrap_or_else(|| resolve::resolve(&request.spec, &limits, workload.as_ref(), &around));
    let history = history(ctx, namespace, &request, &resolved.workload_uid).await?;
    let config = if limits.backup_config || request.status.as_ref().is_some_and(|status| status.snapshot.is_some()) {
        config_maps::read(ctx, namespace, &request, workload.as_ref(), history.as_ref(), &resolved.workload_uid).await?
    } else {
        config_maps::Read { found: vec![], missing: vec![] }
    };
    let mut facts = Facts {
        namespace: namespace.to_owned(),
        namespace_terminating: terminating(ctx, namespace, &request).await?,
        pods: pods(ctx, namespace, workload.as_ref()).await?,
        holder_gone: holder_gone(ctx, namespace, &request, history.as_ref()).await?,
        plan: list(ctx, namespace, &plan_name(&request)).await?,
        again: list(ctx, namespace, &again_name(&request)).await?,
        others_under_way: others_under_way(ctx, namespace, &request).await?,
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
    matches!(step, None | Some(Step::Queued | Step::Preparing))
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

async fn others_under_way(ctx: &Context, namespace: &str, request: &RestartRequest) -> Result<usize, Error> {
    let phase = request.status.as_ref().and_then(|status| status.phase);
    if !matches!(phase, None | Some(Phase::Pending)) {
        return Ok(0);
    }
    // One request that cannot be read must not keep the others of its namespace waiting (I11).
    let api: Api<DeserializeGuard<RestartRequest>> = Api::namespaced(ctx.reader.clone(), namespace);
    let all = call(format!("list RestartRequests in {namespace}"), api.list(&ListParams::default())).await?;
    let busy = |other: &&RestartRequest| {
        let phase = other.status.as_ref().and_then(|status| status.phase);
        phase.is_some_and(|phase| !phase.is_terminal() && phase != Phase::Pending)
    };
    Ok(all.items.iter().filter_map(|guard| guard.0.as_ref().ok()).filter(busy).count())
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
        None | Some(Step::Queued | Step::Preparing) => !facts.request.spec.force,
        Some(Step::Surging | Step::Reserving | Step::Draining | Step::Evicting) => {
            status.is_some_and(|status| status.pods.iter().any(|entry| entry.uid == pod.uid()))
        }
        Some(Step::Restoring) => true,
        Some(Step::Verifying | Step::Finishing | Step::Finished) => false,
    }
}
