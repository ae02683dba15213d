//! The ConfigMaps that the restart is about: which they are, what they hold, which copies exist.
//!
//! **Invariant:** only digests leave this module for the machine and the status, never data.

use crate::api::bounds::CONFIG_MAPS;
use crate::api::{ConfigMapRef, LastKnownGood, RestartHistory, RestartRequest, SnapshotEntry, SnapshotSource, names};
use crate::controller::contents::Seen;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::facts::ConfigMapFacts;
use crate::controller::workload::Workload;
use crate::machine::{ConfigMapView, Content, Copied};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use std::sync::Arc;

/// The most that is copied for one restart. Each run whose configuration is new adds as much to the cluster's store, which
/// holds 2 to 8 GiB as a rule, and as many copies are kept as the history needs.
pub const MOST_BYTES: usize = 16 << 20;
/// ConfigMaps that are looked at together.
const AT_ONCE: usize = 4;

/// A ConfigMap that the restart is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    from: Option<String>,
    /// The pods start without it.
    pub optional: bool,
    /// The pod template refers to it.
    pub referred: bool,
}

/// What was read, and the names of what does not exist.
pub struct Read {
    /// The ConfigMaps.
    pub found: Vec<ConfigMapFacts>,
    /// What does not exist and should.
    pub missing: Vec<String>,
}

/// The ConfigMaps of a namespace: what they hold, and never more than one of them at a time.
#[derive(Clone, Copy)]
struct Place<'a> {
    ctx: &'a Context,
    namespace: &'a str,
}

impl Place<'_> {
    async fn get(&self, name: &str) -> Result<Option<Arc<Seen>>, Error> {
        get(self.ctx, self.namespace, name).await
    }
}

/// Reads all of them. Once the status records the copies, those entries rule.
pub async fn read(
    ctx: &Context,
    namespace: &str,
    request: &RestartRequest,
    workload: Option<&Workload>,
    history: Option<&RestartHistory>,
    workload_uid: &str,
) -> Result<Read, Error> {
    let place = Place { ctx, namespace };
    let mut read = Read { found: vec![], missing: vec![] };
    if let Some(snapshot) = request.status.as_ref().and_then(|status| status.snapshot.as_ref()) {
        let template = of_template(workload);
        for entries in snapshot.config_maps.chunks(AT_ONCE) {
            let maps = try_join_all(entries.iter().map(|entry| recorded(place, entry))).await?;
            let referred = |map: ConfigMapFacts| ConfigMapFacts { referred: refers(&template, &map.entry.name), ..map };
            read.found.extend(maps.into_iter().map(referred));
        }
        return Ok(read);
    }
    for wanted in wanted(request, workload) {
        // Check refuses them all for it; the rest need not be read.
        if read.found.len() > CONFIG_MAPS || bytes(&read.found) > MOST_BYTES {
            break;
        }
        one(place, &wanted, history, workload_uid, &mut read).await?;
    }
    Ok(read)
}

/// Length of what the ConfigMaps hold and of what is to be promoted onto them: what is copied at most.
#[must_use]
pub fn bytes(maps: &[ConfigMapFacts]) -> usize {
    maps.iter().flat_map(|map| [&map.live, &map.from]).flatten().map(|seen| seen.bytes).sum()
}

/// What a ConfigMap holds, if it exists. The API server takes any text for the name in a pod template; what is no name names
/// none.
pub async fn get(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Arc<Seen>>, Error> {
    if !names::is_subdomain(name) {
        return Ok(None);
    }
    ctx.contents.look(&ctx.reader, namespace, name).await
}

async fn recorded(place: Place<'_>, entry: &SnapshotEntry) -> Result<ConfigMapFacts, Error> {
    let (live, snapshot) = (place.get(&entry.name).await?, place.get(&entry.snapshot).await?);
    // Most often there is nothing new, and both are one.
    let candidate =
        if entry.candidate == entry.snapshot { snapshot.clone() } else { place.get(&entry.candidate).await? };
    let digest = live.as_ref().map(|live| live.sha256.clone()).unwrap_or_default();
    let entry = entry.clone();
    Ok(ConfigMapFacts { entry, optional: false, referred: false, live, from: None, digest, snapshot, candidate })
}

async fn one(
    place: Place<'_>,
    wanted: &Wanted,
    history: Option<&RestartHistory>,
    workload_uid: &str,
    read: &mut Read,
) -> Result<(), Error> {
    let Some(live) = place.get(&wanted.name).await? else {
        if !wanted.optional {
            read.missing.push(wanted.name.clone());
        }
        return Ok(());
    };
    let from = match &wanted.from {
        Some(from) => place.get(from).await?,
        None => None,
    };
    if let (Some(name), None) = (&wanted.from, &from) {
        read.missing.push(name.clone());
        return Ok(());
    }
    // What the pods do not start on cannot have made them fail: it is never put back for that, and needs no earlier copy.
    let good = history
        .filter(|_| wanted.referred)
        .and_then(|history| history.status.as_ref())
        .and_then(|status| status.last_known_good.iter().find(|good| good.config_map == wanted.name));
    let good = match good {
        Some(good) => place.get(&good.snapshot).await?.filter(|copy| copy.sha256 == good.sha256).map(|_| good),
        None => None,
    };
    let entry = entry(&wanted.name, &live, from.as_deref(), good, workload_uid);
    let (optional, referred, live) = (wanted.optional, wanted.referred, Some(live));
    read.found.push(ConfigMapFacts { optional, referred, live, from, ..recorded(place, &entry).await? });
    Ok(())
}

/// What a promoted ConfigMap goes back to is what it held; one edited in place goes back to last-known-good (DESIGN 3).
pub fn entry(
    name: &str,
    live: &Seen,
    from: Option<&Seen>,
    good: Option<&LastKnownGood>,
    workload_uid: &str,
) -> SnapshotEntry {
    let at_request = live.sha256.clone();
    let copy = |sha256: &str| names::generated(name, "ConfigMap", workload_uid, sha256);
    let candidate_sha256 = from.map_or_else(|| at_request.clone(), |from| from.sha256.clone());
    let (snapshot, sha256, source) = match good {
        Some(good) if from.is_none() => (good.snapshot.clone(), good.sha256.clone(), SnapshotSource::LastKnownGood),
        Some(good) if good.sha256 == at_request => {
            (good.snapshot.clone(), good.sha256.clone(), SnapshotSource::LastKnownGood)
        }
        Some(_) | None => (copy(&at_request), at_request, SnapshotSource::AtRequest),
    };
    SnapshotEntry {
        name: name.to_owned(),
        snapshot,
        sha256,
        source,
        candidate: copy(&candidate_sha256),
        candidate_sha256,
        promoted: from.is_some(),
        restored: false,
    }
}

/// The machine's view of one, and who else runs on it.
#[must_use]
pub fn view(facts: &ConfigMapFacts, shared_with: Option<String>) -> ConfigMapView {
    let state = |copy: Option<&Arc<Seen>>, sha256: &str| match copy {
        None => Copied::Absent,
        Some(copy) if copy.sha256 == sha256 => Copied::Held,
        Some(_) => Copied::Altered,
    };
    let entry = &facts.entry;
    let content = match &facts.live {
        None => Content::Missing,
        Some(_) if facts.digest == entry.sha256 => Content::Snapshot,
        Some(_) if facts.digest == entry.candidate_sha256 => Content::Candidate,
        Some(_) => Content::Other,
    };
    let snapshot = state(facts.snapshot.as_ref(), &entry.sha256);
    let candidate = state(facts.candidate.as_ref(), &entry.candidate_sha256);
    let applied_by = facts.live.as_ref().and_then(|live| live.applied_by).map(str::to_owned);
    ConfigMapView {
        entry: entry.clone(),
        referred: facts.referred,
        snapshot,
        candidate,
        content,
        shared_with,
        applied_by,
    }
}

/// What the request names, or all that the pod template refers to.
pub fn wanted(request: &RestartRequest, workload: Option<&Workload>) -> Vec<Wanted> {
    let template = of_template(workload);
    let Some(named) = &request.spec.config.config_maps else { return template };
    let wanted = |map: &ConfigMapRef| Wanted {
        name: map.name.clone(),
        from: map.from.clone(),
        optional: false,
        referred: refers(&template, &map.name),
    };
    named.iter().map(wanted).collect()
}

fn of_template(workload: Option<&Workload>) -> Vec<Wanted> {
    workload.and_then(Workload::pod_spec).map(referenced).unwrap_or_default()
}

fn refers(template: &[Wanted], name: &str) -> bool {
    template.iter().any(|wanted| wanted.name == name)
}

/// Volumes, projected volumes, `envFrom` and `valueFrom`, each ConfigMap once.
fn referenced(spec: &PodSpec) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = vec![];
    let mut add = |name: &str, optional: Option<bool>| {
        let optional = optional.unwrap_or(false);
        match all.iter_mut().find(|wanted| wanted.name == name) {
            Some(known) => known.optional &= optional,
            None => all.push(Wanted { name: name.to_owned(), from: None, optional, referred: true }),
        }
    };
    for volume in spec.volumes.iter().flatten() {
        if let Some(map) = &volume.config_map {
            add(&map.name, map.optional);
        }
        for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
            if let Some(map) = &source.config_map {
                add(&map.name, map.optional);
            }
        }
    }
    // The sidecar's keys are no configuration of the workload: a restore must not bring an old key back.
    let apps = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .filter(|container| container.name != names::SIDECAR_CONTAINER);
    for container in apps {
        environment(container, &mut add);
    }
    all
}

fn environment(container: &Container, add: &mut impl FnMut(&str, Option<bool>)) {
    for map in container.env_from.iter().flatten().filter_map(|source| source.config_map_ref.as_ref()) {
        add(&map.name, map.optional);
    }
    let keys =
        container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()?.config_map_key_ref.as_ref());
    for key in keys {
        add(&key.name, key.optional);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: &str) -> Seen {
        let map = json!({"metadata": {"name": "web"}, "data": {"key": value}});
        Seen::of(&serde_json::from_value(map).unwrap())
    }

    fn digest(seen: &Seen) -> String {
        seen.sha256.clone()
    }

    #[test]
    fn a_map_edited_in_place_goes_back_to_last_known_good_and_a_promoted_one_to_what_it_held() {
        let good = LastKnownGood { config_map: "web".into(), snapshot: "good".into(), sha256: digest(&map("good")) };
        let in_place = entry("web", &map("edited"), None, Some(&good), "uid");
        assert_eq!((in_place.snapshot.as_str(), in_place.source), ("good", SnapshotSource::LastKnownGood));
        assert_eq!(in_place.candidate_sha256, digest(&map("edited")));
        let promoted = entry("web", &map("edited"), Some(&map("next")), Some(&good), "uid");
        assert_eq!((promoted.sha256, promoted.source), (digest(&map("edited")), SnapshotSource::AtRequest));
        assert_eq!(promoted.candidate_sha256, digest(&map("next")));
    }

    #[test]
    fn every_way_of_reading_a_config_map_is_found_once() {
        let spec = json!({
            "volumes": [{"name": "a", "configMap": {"name": "volume"}}, {"name": "b", "projected": {"sources": [{"configMap": {"name": "projected"}}]}}],
            "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "all"}}]},
                {"name": names::SIDECAR_CONTAINER, "envFrom": [{"configMapRef": {"name": "keys"}}]}],
            "containers": [{"name": "c", "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "key", "key": "k", "optional": true}}}],
                "envFrom": [{"configMapRef": {"name": "volume", "optional": true}}]}],
        });
        let found = referenced(&serde_json::from_value(spec).unwrap());
        let names: Vec<(&str, bool)> = found.iter().map(|wanted| (wanted.name.as_str(), wanted.optional)).collect();
        assert_eq!(names, [("volume", false), ("projected", false), ("all", false), ("key", true)]);
    }
}
