//! What is to be known of a workload before its configuration is taken for good; no request asks for it.
//!
//! **Invariant:** the ConfigMaps are read before the pods, so that a pod which is not in the list was born on what was read.

use crate::api::{RestartRequest, RestartRequestSpec, TargetRef, bounds};
use crate::controller::contents::Seen;
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{ConfigMapFacts, Facts};
use crate::controller::memory::Run;
use crate::controller::observe::{config_maps, gate, pods, read, resolve, surroundings, workload};
use crate::machine::{Attachment, Pod};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// How the workload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All its pods are there, Ready, and nothing is under way.
    Settled,
    /// Not so; why, and whether the next event of a pod will tell.
    Unsettled(String, bool),
}

/// The workload, its history and the ConfigMaps that its pod template refers to; absent when it does not exist.
///
/// # Errors
/// When the API server does not answer.
pub async fn workload(ctx: &Context, namespace: &str, target: &TargetRef) -> Result<Option<Facts>, Error> {
    let Some(workload) = workload::read(ctx, namespace, target).await? else { return Ok(None) };
    let request = nobodys(target)?;
    let around = crate::controller::facts::Surroundings::default();
    let resolved = resolve::resolve(&request.spec, &ctx.config.current(), Some(&workload), &around);
    let mut facts = Facts::new(namespace, request, Some(workload), resolved);
    facts.history = read::history(ctx, namespace, &facts.request, &facts.resolved.workload_uid).await?;
    facts.config = maps(ctx, &facts).await?;
    Ok(Some(facts))
}

/// A request that asks for nothing: where no run is, the same questions are asked as before one.
fn nobodys(target: &TargetRef) -> Result<RestartRequest, Error> {
    let spec = json!({"targetRef": target, "reason": "baseline", "strategy": {"type": "Rolling"}});
    let spec: RestartRequestSpec = serde_json::from_value(spec).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(RestartRequest::new("", spec))
}

/// Those that exist, with what is known of them; the copies are not looked at.
async fn maps(ctx: &Context, facts: &Facts) -> Result<Vec<ConfigMapFacts>, Error> {
    let mut wanted = config_maps::wanted(&facts.request, facts.workload.as_ref());
    wanted.truncate(bounds::CONFIG_MAPS);
    let mut live = vec![];
    for wanted in &wanted {
        live.push(config_maps::get(ctx, &facts.namespace, &wanted.name).await?);
    }
    let known = facts.history.iter().filter_map(|history| history.status.as_ref());
    let known: Vec<_> = known.flat_map(|status| &status.last_known_good).collect();
    let found = wanted.into_iter().zip(live).filter_map(|(wanted, live)| {
        let live = live?;
        let good = known.iter().find(|good| good.config_map == wanted.name).copied();
        let entry = config_maps::entry(&wanted.name, &live, None, good, facts.workload_uid());
        let (optional, referred, digest) = (wanted.optional, wanted.referred, live.sha256.clone());
        Some(ConfigMapFacts {
            entry,
            optional,
            referred,
            live: Some(live),
            from: None,
            digest,
            snapshot: None,
            candidate: None,
        })
    });
    Ok(found.collect())
}

/// The pods and what stands around them.
///
/// # Errors
/// When the API server does not answer.
pub async fn standing(ctx: &Context, facts: &mut Facts) -> Result<Standing, Error> {
    let namespace = facts.namespace.clone();
    facts.pods = workload::pods(ctx, &namespace, facts.workload.as_ref()).await?;
    if let Some(busy) = busy(ctx, facts).await? {
        return Ok(Standing::Unsettled(busy, false));
    }
    facts.surroundings = surroundings::read(ctx, &namespace).await?;
    Ok(judged(facts))
}

/// A request of this workload that has not ended.
async fn busy(ctx: &Context, facts: &Facts) -> Result<Option<String>, Error> {
    let active = facts.history.as_ref().and_then(|history| history.status.as_ref()?.active.as_ref());
    if let Some(active) = active {
        return Ok(Some(format!("RestartRequest {} is restarting it", active.request)));
    }
    let target = &facts.request.spec.target_ref;
    let ours = format!("spec.targetRef.kind={:?},spec.targetRef.name={},{}", target.kind, target.name, read::NOT_ENDED);
    let requests = read::requests(ctx, &facts.namespace, &ours).await?;
    let open = requests.first().and_then(|request| request.metadata.name.as_ref());
    Ok(open.map(|name| format!("RestartRequest {name} has not ended")))
}

fn judged(facts: &Facts) -> Standing {
    let (mut run, now) = (Run::default(), Instant::now());
    let all: Vec<Pod> = facts.pods.iter().map(|pod| pods::view(facts, pod, &[], &mut run, now)).collect();
    let alive: Vec<&Pod> = all.iter().filter(|pod| pod.alive()).collect();
    let own: Vec<&Pod> = alive.iter().copied().filter(|pod| pod.attachment == Attachment::Attached).collect();
    let told = !own.iter().all(|pod| pod.ready) || own.is_empty();
    if let Some(stray) = alive.iter().find(|pod| pod.attachment != Attachment::Attached) {
        return Standing::Unsettled(format!("Pod {} is not on the present template", stray.name), true);
    }
    if own.is_empty() {
        return Standing::Unsettled("it has no pods".to_owned(), true);
    }
    match gate::unsettled(facts).or_else(|| gate::missing(facts, &own, 0, 0)) {
        Some(why) => Standing::Unsettled(why, told),
        None => Standing::Settled,
    }
}

/// The ConfigMaps that hold again what the last run failed on, although it has put them back.
///
/// # Errors
/// When the API server does not answer.
pub async fn reverted(ctx: &Context, facts: &Facts) -> Result<Vec<Arc<Seen>>, Error> {
    let status = facts.history.as_ref().and_then(|history| history.status.as_ref());
    let last = status.filter(|status| status.active.is_none()).and_then(|status| status.runs.first());
    let mut found = vec![];
    for restored in last.iter().flat_map(|run| &run.restored).filter(|restored| !restored.reverted) {
        let live = config_maps::get(ctx, &facts.namespace, &restored.config_map).await?;
        found.extend(live.filter(|live| live.sha256 == restored.failed_sha256));
    }
    Ok(found)
}

/// When the copy of last-known-good was made: that content was there then. Absent if the copy is gone.
///
/// # Errors
/// When the API server does not answer.
pub async fn copied_at(ctx: &Context, namespace: &str, copy: &str) -> Result<Option<Timestamp>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.reader.clone(), namespace);
    let copy = call(format!("read ConfigMap {namespace}/{copy}"), api.get_metadata_opt(copy)).await?;
    Ok(copy.and_then(|copy| copy.metadata.creation_timestamp).map(|time| time.0))
}
