//! One look at one workload: is its configuration good, and was a restore taken back?
//!
//! **Invariant:** nothing is learnt while a run or a request that has not ended is about the workload, nor from pods that
//! may have started on something else.

use super::index::{Index, Key};
use super::proof::{Earlier, Sighting};
use crate::api::{RestartRequest, names};
use crate::controller::act;
use crate::controller::contents::Seen;
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::events::Note;
use crate::controller::facts::{ConfigMapFacts, Facts};
use crate::controller::observe::baseline::{self, Standing};
use crate::controller::workload::label;
use kube::Resource as _;
use kube::api::Api;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The configuration was made last-known-good.
    Recorded,
    /// It is so already, or nobody asks.
    Known,
    /// Not all pods are there, or not all of them started on it: one of their next events will tell.
    Unproven,
    /// A request or a rollout is in the way: look again.
    Busy,
    /// There is no such workload.
    Gone,
}

impl Found {
    /// As a metric's label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Known => "known",
            Self::Unproven => "unproven",
            Self::Busy => "busy",
            Self::Gone => "gone",
        }
    }
}

/// Looks.
pub async fn look(ctx: &Context, index: &Index, key: &Key) -> Result<Found, Error> {
    let Some(mut facts) = baseline::workload(ctx, &key.namespace, &key.target).await? else {
        index.forget(key);
        return Ok(Found::Gone);
    };
    index.refers(key, facts.workload_uid(), referred(&facts));
    let reverted = baseline::reverted(ctx, &facts).await?;
    if !reverted.is_empty() {
        tell(ctx, &facts, &reverted).await?;
        return Ok(Found::Busy);
    }
    if !kept(&facts) || !ctx.config.current().backup_config {
        return Ok(Found::Known);
    }
    let new: BTreeSet<String> =
        facts.config.iter().filter(|map| unknown(map)).map(|map| map.entry.name.clone()).collect();
    if new.is_empty() {
        see(ctx, index, key, &facts, None).await?;
        return Ok(Found::Known);
    }
    let standing = baseline::standing(ctx, &mut facts).await?;
    let pods = facts.pods.iter().map(|pod| pod.uid().to_owned()).collect();
    see(ctx, index, key, &facts, Some(pods)).await?;
    match standing {
        Standing::Settled => {}
        Standing::Unsettled(why, told) => {
            tracing::debug!(namespace = key.namespace, name = key.target.name, why, "no baseline yet");
            return Ok(if told { Found::Unproven } else { Found::Busy });
        }
    }
    let good: Vec<String> = new.into_iter().filter(|name| proven(index, key, &facts, name)).collect();
    if good.is_empty() {
        return Ok(Found::Unproven);
    }
    if act::baseline::learn(ctx, &mut facts, &good).await? == act::Done::NotNow {
        return Ok(Found::Busy);
    }
    tracing::info!(namespace = key.namespace, workload = key.target.name, config_maps = ?good, "last-known-good");
    Ok(Found::Recorded)
}

/// The pod template says that it is wanted.
fn kept(facts: &Facts) -> bool {
    let template = facts.workload.as_ref().and_then(|workload| workload.template()?.metadata.as_ref());
    template.is_some_and(|metadata| label(metadata, names::SIDECAR_LABEL).is_some())
}

/// What the workload refers to, and what its last run has put back.
fn referred(facts: &Facts) -> BTreeSet<String> {
    let status = facts.history.as_ref().and_then(|history| history.status.as_ref());
    let restored = status.and_then(|status| status.runs.first()).into_iter().flat_map(|run| &run.restored);
    let restored = restored.filter(|restored| !restored.reverted).map(|restored| restored.config_map.clone());
    facts.config.iter().map(|map| map.entry.name.clone()).chain(restored).collect()
}

/// Its content is not last-known-good; an entry of last-known-good names that as its snapshot.
fn unknown(map: &ConfigMapFacts) -> bool {
    map.entry.source == crate::api::SnapshotSource::AtRequest || map.entry.sha256 != map.digest
}

/// Remembers each version of each ConfigMap with the pods that existed when it was first seen.
async fn see(
    ctx: &Context,
    index: &Index,
    key: &Key,
    facts: &Facts,
    pods: Option<BTreeSet<String>>,
) -> Result<(), Error> {
    for map in &facts.config {
        let Some(live) = &map.live else { continue };
        if index.sighting(key, live).is_some() {
            continue;
        }
        let earlier = match index.earlier(key, &map.entry.name) {
            Some(earlier) => earlier,
            None => before_this_process(ctx, facts, map).await?,
        };
        index.keep(key, &map.entry.name, Sighting::new(live, map.optional, pods.clone(), earlier));
    }
    Ok(())
}

async fn before_this_process(ctx: &Context, facts: &Facts, map: &ConfigMapFacts) -> Result<Earlier, Error> {
    if map.entry.source == crate::api::SnapshotSource::AtRequest {
        return Ok(Earlier::None);
    }
    let copied = baseline::copied_at(ctx, &facts.namespace, &map.entry.snapshot).await?;
    Ok(copied.map_or(Earlier::Unknown, Earlier::At))
}

fn proven(index: &Index, key: &Key, facts: &Facts, name: &str) -> bool {
    let map = facts.config.iter().find(|map| map.entry.name == name).and_then(|map| map.live.as_ref());
    let Some(sighting) = map.and_then(|map| index.sighting(key, map)) else { return false };
    let mut pods = facts.pods.iter().filter(|pod| !pod.terminating());
    pods.all(|pod| sighting.proves(pod.uid(), pod.pod.metadata.creation_timestamp.as_ref().map(|time| time.0)))
}

/// A restore was taken back: said once, on the history and on the request if it still exists, and never fought.
async fn tell(ctx: &Context, facts: &Facts, maps: &[Arc<Seen>]) -> Result<(), Error> {
    let names: Vec<&str> = maps.iter().map(|map| map.name.as_str()).collect();
    act::baseline::reverted(ctx, facts, &names).await?;
    let Some(history) = &facts.history else { return Ok(()) };
    let Some(run) = history.status.as_ref().and_then(|status| status.runs.first()) else { return Ok(()) };
    let api: Api<RestartRequest> = Api::namespaced(ctx.reader.clone(), &facts.namespace);
    let what = format!("look for RestartRequest {}/{}", facts.namespace, run.request);
    let request = call(what, api.get_metadata_opt(&run.request)).await?;
    let request = request.filter(|request| request.metadata.uid.as_ref() == Some(&run.uid));
    for map in maps {
        let note = note(&map.name, &run.request, map.applied_by);
        tracing::warn!(namespace = facts.namespace, config_map = map.name, note.reason, "a restore was taken back");
        ctx.events.publish(history.object_ref(&()), note.clone());
        if let Some(request) = &request {
            let metadata = request.metadata.clone();
            let mut object = RestartRequest::new(&run.request, facts.request.spec.clone()).object_ref(&());
            (object.uid, object.namespace) = (metadata.uid, metadata.namespace);
            ctx.events.publish(object, note);
        }
    }
    Ok(())
}

fn note(map: &str, request: &str, tool: Option<&str>) -> Note {
    let (reason, text) = match tool {
        Some(tool) => (
            "RevertedByGitOps",
            format!(
                "{tool} wrote back into ConfigMap {map} what RestartRequest {request} failed on and had put back; correct it in Git"
            ),
        ),
        None => (
            "ConfigurationReverted",
            format!("ConfigMap {map} holds again what RestartRequest {request} failed on and had put back; correct it"),
        ),
    };
    Note::new(reason, "Watch", text).warning()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_a_tool_took_back_names_the_tool() {
        let by_flux = note("web-config", "web", Some("Flux"));
        assert_eq!((by_flux.reason.as_str(), by_flux.warning), ("RevertedByGitOps", true));
        assert!(by_flux.note.starts_with("Flux wrote back into ConfigMap web-config"), "{}", by_flux.note);
        assert_eq!(note("web-config", "web", None).reason, "ConfigurationReverted");
    }
}
