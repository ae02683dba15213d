//! Effects on ConfigMaps: copies, lists of pods, promotion and restore.
//!
//! **Invariant:** a live ConfigMap is replaced only at the resourceVersion whose content was compared (I9).

use super::Done;
use crate::api::names;
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{ConfigMapFacts, Facts};
use crate::controller::objects::{again_name, history_name, plan_name};
use crate::machine::PlannedPod;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, PostParams};
use std::collections::BTreeMap;

/// The ConfigMaps of the request's namespace.
pub fn api(ctx: &Context, facts: &Facts) -> Api<ConfigMap> {
    Api::namespaced(ctx.writer.clone(), &facts.namespace)
}

/// The field manager of every write.
pub fn params() -> PostParams {
    PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// Everything made for a workload is owned by its history, never by the request (foreground deletion would collect it).
pub fn metadata(facts: &Facts, name: &str, role: &str) -> Result<ObjectMeta, Error> {
    let history = facts.history.as_ref().and_then(|history| history.metadata.uid.clone());
    let uid =
        history.ok_or_else(|| Error::Internal(format!("{name} is to be made before the RestartHistory exists")))?;
    let owner = OwnerReference {
        api_version: format!("{}/v1alpha1", names::GROUP),
        kind: "RestartHistory".to_owned(),
        name: history_name(&facts.request, facts.workload_uid()),
        uid,
        ..OwnerReference::default()
    };
    let labels = [(names::WORKLOAD_UID, facts.workload_uid()), (names::ROLE, role)];
    let annotations = [(names::WORKLOAD_NAME, facts.request.spec.target_ref.name.as_str())];
    Ok(ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(map(&labels)),
        annotations: Some(map(&annotations)),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    })
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Copies what has no copy yet: what a restore would write, and what new pods start on.
pub async fn copy(ctx: &Context, facts: &Facts) -> Result<Done, Error> {
    for config in &facts.config {
        let candidate = config.from.as_ref().or(config.live.as_ref());
        for (name, sha256, source, copy) in [
            (&config.entry.snapshot, &config.entry.sha256, config.live.as_ref(), &config.snapshot),
            (&config.entry.candidate, &config.entry.candidate_sha256, candidate, &config.candidate),
        ] {
            if let (None, Some(source)) = (copy, source) {
                one_copy(ctx, facts, name, sha256, source).await?;
            }
        }
    }
    Ok(Done::Yes)
}

/// Copies what new pods start on.
pub async fn copy_candidate(ctx: &Context, facts: &Facts, config: &ConfigMapFacts) -> Result<(), Error> {
    match config.from.as_ref().or(config.live.as_ref()) {
        Some(source) => one_copy(ctx, facts, &config.entry.candidate, &config.entry.candidate_sha256, source).await,
        None => Ok(()),
    }
}

/// Labels and annotations of the original stay there: a copy that carried them would be pruned by GitOps tools.
async fn one_copy(ctx: &Context, facts: &Facts, name: &str, sha256: &str, source: &ConfigMap) -> Result<(), Error> {
    let mut metadata = metadata(facts, name, "snapshot")?;
    metadata.annotations.get_or_insert_default().insert(names::CONTENT_SHA256.to_owned(), sha256.to_owned());
    let copy = ConfigMap {
        metadata,
        data: source.data.clone(),
        binary_data: source.binary_data.clone(),
        immutable: Some(true),
    };
    let what =
        format!("copy ConfigMap {}/{} to {name}", facts.namespace, source.metadata.name.as_deref().unwrap_or_default());
    create(ctx, facts, what, &copy).await
}

async fn create(ctx: &Context, facts: &Facts, what: String, map: &ConfigMap) -> Result<(), Error> {
    match call(what, api(ctx, facts).create(&params(), map)).await {
        // An earlier pass made it; the next observation compares its content.
        Err(error) if error.is_already_exists() => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Writes a list of pods.
pub async fn list(ctx: &Context, facts: &Facts, again: bool, pods: &[PlannedPod]) -> Result<Done, Error> {
    let name = if again { again_name(&facts.request) } else { plan_name(&facts.request) };
    let text = serde_json::to_string(pods).map_err(|error| Error::Internal(format!("the list {name}: {error}")))?;
    let map = ConfigMap {
        metadata: metadata(facts, &name, "plan")?,
        data: Some(BTreeMap::from([("pods".to_owned(), text)])),
        immutable: Some(true),
        ..ConfigMap::default()
    };
    create(ctx, facts, format!("write the list of pods {}/{name}", facts.namespace), &map).await?;
    Ok(Done::Yes)
}

/// Writes the candidate (a promotion) or the snapshot (a restore) over the live ConfigMap.
pub async fn write(ctx: &Context, facts: &Facts, name: &str, promote: bool) -> Result<Done, Error> {
    let Some(config) = facts.config.iter().find(|config| config.entry.name == name) else { return Ok(Done::NotNow) };
    let (Some(live), Some(copy)) = (&config.live, source(config, promote)) else { return Ok(Done::NotNow) };
    let next = ConfigMap { data: copy.data.clone(), binary_data: copy.binary_data.clone(), ..live.clone() };
    let verb = if promote { "promote onto" } else { "restore" };
    let what = format!("{verb} ConfigMap {}/{name}", facts.namespace);
    let written = call(what, api(ctx, facts).replace(name, &params(), &next)).await;
    if !promote {
        ctx.metrics.restore(met(written.as_ref().err()));
    }
    written?;
    tracing::info!(config_map = name, promote, "ConfigMap written");
    Ok(Done::Yes)
}

/// For the counter of restores.
fn met(error: Option<&Error>) -> &'static str {
    match error {
        None => "success",
        Some(error) if error.is_conflict() => "conflict",
        Some(_) => "error",
    }
}

/// The copy whose digest the status records; a copy that somebody swapped is never written anywhere.
fn source(config: &ConfigMapFacts, promote: bool) -> Option<&ConfigMap> {
    let (copy, sha256) = if promote {
        (&config.candidate, &config.entry.candidate_sha256)
    } else {
        (&config.snapshot, &config.entry.sha256)
    };
    copy.as_ref().filter(|copy| crate::controller::facts::digest(copy) == *sha256)
}
