//! Effects on ConfigMaps: copies, lists of pods, promotion and restore.
//!
//! **Invariant:** a live ConfigMap is replaced only at the resourceVersion whose content was compared (I9).

use super::Done;
use crate::api::names;
use crate::controller::contents::Seen;
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
    let mut done = Done::Yes;
    for config in &facts.config {
        let candidate = config.from.as_ref().or(config.live.as_ref());
        for (name, sha256, source, copy) in [
            (&config.entry.snapshot, &config.entry.sha256, config.live.as_ref(), &config.snapshot),
            (&config.entry.candidate, &config.entry.candidate_sha256, candidate, &config.candidate),
        ] {
            if let (None, Some(source)) = (copy, source)
                && one_copy(ctx, facts, name, sha256, source).await? == Done::NotNow
            {
                done = Done::NotNow;
            }
        }
    }
    Ok(done)
}

/// Copies what new pods start on.
pub async fn copy_candidate(ctx: &Context, facts: &Facts, config: &ConfigMapFacts) -> Result<Done, Error> {
    match config.from.as_ref().or(config.live.as_ref()) {
        Some(source) => one_copy(ctx, facts, &config.entry.candidate, &config.entry.candidate_sha256, source).await,
        None => Ok(Done::NotNow),
    }
}

/// Labels and annotations of the original stay there: a copy that carried them would be pruned by GitOps tools. What was
/// edited since it was looked at is not copied: the next pass takes it for what it is.
async fn one_copy(ctx: &Context, facts: &Facts, name: &str, sha256: &str, source: &Seen) -> Result<Done, Error> {
    let Some(data) = ctx.contents.data(&ctx.writer, &facts.namespace, &source.name, sha256).await? else {
        return Ok(Done::NotNow);
    };
    let mut metadata = metadata(facts, name, "snapshot")?;
    metadata.annotations.get_or_insert_default().insert(names::CONTENT_SHA256.to_owned(), sha256.to_owned());
    let (what, copy) = (
        format!("copy ConfigMap {}/{} to {name}", facts.namespace, source.name),
        ConfigMap { metadata, data: data.data, binary_data: data.binary_data, immutable: Some(true) },
    );
    let made = create(ctx, facts, what, &copy).await?;
    Ok(if !made && left_over(ctx, facts, name).await? { Done::NotNow } else { Done::Yes })
}

/// Whether it was made now. If an earlier pass made it, the next observation compares its content.
async fn create(ctx: &Context, facts: &Facts, what: String, map: &ConfigMap) -> Result<bool, Error> {
    match call(what, api(ctx, facts).create(&params(), map)).await {
        Err(error) if error.is_already_exists() => Ok(false),
        other => other.map(|_| true),
    }
}

/// It belongs to a RestartHistory that was deleted: the garbage collector takes it in a moment, and then it is made anew.
async fn left_over(ctx: &Context, facts: &Facts, name: &str) -> Result<bool, Error> {
    let what = format!("read the metadata of ConfigMap {}/{name}", facts.namespace);
    let found = call(what, api(ctx, facts).get_metadata_opt(name)).await?;
    let ours = facts.history.as_ref().and_then(|history| history.metadata.uid.as_ref());
    let owners = found.into_iter().flat_map(|found| found.metadata.owner_references.unwrap_or_default());
    let owners: Vec<OwnerReference> = owners.collect();
    Ok(!owners.is_empty() && owners.iter().all(|owner| Some(&owner.uid) != ours))
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

/// Writes the candidate (a promotion) or the snapshot (a restore) over the live ConfigMap, if it is still the one that was
/// looked at. A copy that somebody swapped is never written anywhere: the data are held against the digest in the status.
pub async fn write(ctx: &Context, facts: &Facts, name: &str, promote: bool) -> Result<Done, Error> {
    let Some(config) = facts.config.iter().find(|config| config.entry.name == name) else { return Ok(Done::NotNow) };
    let Some(live) = &config.live else { return Ok(Done::NotNow) };
    let entry = &config.entry;
    let (copy, sha256) =
        if promote { (&entry.candidate, &entry.candidate_sha256) } else { (&entry.snapshot, &entry.sha256) };
    let Some(data) = ctx.contents.data(&ctx.writer, &facts.namespace, copy, sha256).await? else {
        return Ok(Done::NotNow);
    };
    let what = |verb: &str| format!("{verb} ConfigMap {}/{name}", facts.namespace);
    let seen = call(what("read the metadata of"), api(ctx, facts).get_metadata_opt(name)).await?;
    let Some(metadata) = seen.map(|seen| seen.metadata).filter(|metadata| is_of(live, metadata)) else {
        return Ok(Done::NotNow);
    };
    // Without managedFields the API server keeps them as they are.
    let metadata = ObjectMeta { managed_fields: None, ..metadata };
    let next = ConfigMap { metadata, data: data.data, binary_data: data.binary_data, immutable: live.immutable };
    let what = what(if promote { "promote onto" } else { "restore" });
    let written = call(what, api(ctx, facts).replace(name, &params(), &next)).await;
    if !promote {
        ctx.metrics.restore(met(written.as_ref().err()));
    }
    written?;
    tracing::info!(config_map = name, promote, "ConfigMap written");
    Ok(Done::Yes)
}

fn is_of(seen: &Seen, metadata: &ObjectMeta) -> bool {
    (metadata.uid.as_deref(), metadata.resource_version.as_deref()) == (Some(&*seen.uid), Some(&*seen.version))
}

/// For the counter of restores.
fn met(error: Option<&Error>) -> &'static str {
    match error {
        None => "success",
        Some(error) if error.is_conflict() => "conflict",
        Some(_) => "error",
    }
}
