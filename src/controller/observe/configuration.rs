//! Check, of the configuration: can it be copied, does it parse, and is it what the request permits?
//!
//! **Invariant:** pure; a copy that does not exist is never the reason of anything but a refusal before the first write.

use crate::api::bounds::CONFIG_MAPS;
use crate::api::{Code, SnapshotSource};
use crate::controller::config::Restart;
use crate::controller::facts::{ConfigMapFacts, Facts};
use crate::controller::observe::check::{Finding, verdict};
use crate::controller::observe::config_maps::{MOST_BYTES, bytes};

/// The first reason that the configuration gives why the restart may not begin.
pub fn check(facts: &Facts, limits: &Restart) -> Finding {
    without_copies(facts, limits)?;
    if let Some(missing) = facts.missing_config_maps.first() {
        let message = format!(
            "ConfigMap {missing} does not exist, so that it cannot be copied; create it or correct spec.config"
        );
        return verdict(Code::BackupFailed, message);
    }
    within_bounds(&facts.config)?;
    let immutable = |map: &&ConfigMapFacts| map.live.as_ref().and_then(|live| live.immutable) == Some(true);
    if let Some(map) = facts.config.iter().filter(|map| map.entry.promoted).find(immutable) {
        return verdict(
            Code::ValidationFailed,
            format!(
                "ConfigMap {} is immutable: nothing can be promoted onto it; let the pods refer to another one",
                map.entry.name
            ),
        );
    }
    unchanged(facts)?;
    let broken = facts.config.iter().find_map(invalid);
    broken.map_or(Ok(()), |message| verdict(Code::ValidationFailed, message))
}

/// What is copied, and so what a pass looks at, has an end.
fn within_bounds(maps: &[ConfigMapFacts]) -> Finding {
    let what_to_do = "name those that matter in spec.config.configMaps";
    if maps.len() > CONFIG_MAPS {
        let message = format!(
            "the pod template refers to more ConfigMaps than the {CONFIG_MAPS} that a status can record; {what_to_do}"
        );
        return verdict(Code::InvalidSpec, message);
    }
    if bytes(maps) > MOST_BYTES {
        let (first, last) = (maps.first(), maps.last());
        let name = |map: Option<&ConfigMapFacts>| map.map(|map| map.entry.name.clone()).unwrap_or_default();
        let message = format!(
            "the {} ConfigMaps from {} to {} hold more than the {} MiB that the controller copies for one restart; \
             {what_to_do}, or keep large files in a volume",
            maps.len(),
            name(first),
            name(last),
            MOST_BYTES >> 20,
        );
        return verdict(Code::InvalidSpec, message);
    }
    Ok(())
}

/// What does not parse of what new pods would start on, if anything.
fn invalid(config: &ConfigMapFacts) -> Option<String> {
    let candidate = config.candidate.as_ref().or(config.from.as_ref()).or(config.live.as_ref())?;
    let (map, source, broken) = (&config.entry.name, &candidate.name, candidate.broken.as_ref()?);
    let from = if config.entry.promoted && source != map { format!(" (from {source})") } else { String::new() };
    Some(format!(
        "key {} of ConfigMap {map}{from} does not parse: {}; correct it and apply another request",
        broken.key, broken.place
    ))
}

/// Without copies nothing is promoted, and nothing tells whether the configuration is what it was. A run that has its
/// copies goes on, whatever the controller's configuration becomes.
fn without_copies(facts: &Facts, limits: &Restart) -> Finding {
    let copied = facts.request.status.as_ref().is_some_and(|status| status.snapshot.is_some());
    if limits.backup_config || copied {
        return Ok(());
    }
    let config = &facts.request.spec.config;
    if let Some(map) = config.config_maps.iter().flatten().find(|map| map.from.is_some()) {
        let message = format!(
            "backupConfig is off in the controller's configuration: ConfigMap {} is not promoted without a copy; remove from",
            map.name
        );
        return verdict(Code::BackupFailed, message);
    }
    if !config.reload {
        let message =
            "backupConfig is off in the controller's configuration, so that no last-known-good is kept to hold \
                       the configuration against; ask without config.reload: false"
                .to_owned();
        return verdict(Code::BackupFailed, message);
    }
    Ok(())
}

/// `reload: false`: pods start on last-known-good or not at all.
fn unchanged(facts: &Facts) -> Finding {
    if facts.request.spec.config.reload {
        return Ok(());
    }
    match facts.config.iter().find_map(drift) {
        Some(message) => verdict(Code::ConfigDrift, message),
        None => Ok(()),
    }
}

fn drift(map: &ConfigMapFacts) -> Option<String> {
    let name = &map.entry.name;
    match map.entry.source {
        SnapshotSource::AtRequest => Some(format!(
            "it is not known with which content of ConfigMap {name} the workload runs well, and config.reload is false; \
             restart it once without, or as soon as all its pods are Ready and younger than that content"
        )),
        SnapshotSource::LastKnownGood if map.digest != map.entry.sha256 => Some(format!(
            "ConfigMap {name} is not what the workload last ran well with, and config.reload is false; put it back \
             (the copy is ConfigMap {}), or restart with config.reload: true",
            map.entry.snapshot
        )),
        SnapshotSource::LastKnownGood => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SnapshotEntry;

    fn map(source: SnapshotSource, digest: &str) -> ConfigMapFacts {
        let entry = SnapshotEntry {
            name: "web-config".into(),
            snapshot: "copy".into(),
            sha256: "good".into(),
            source,
            candidate: String::new(),
            candidate_sha256: digest.into(),
            promoted: false,
            restored: false,
        };
        ConfigMapFacts {
            entry,
            optional: false,
            referred: true,
            live: None,
            from: None,
            digest: digest.into(),
            snapshot: None,
            candidate: None,
        }
    }

    #[test]
    fn only_what_is_known_to_be_good_is_no_drift() {
        assert_eq!(drift(&map(SnapshotSource::LastKnownGood, "good")), None);
        let edited = drift(&map(SnapshotSource::LastKnownGood, "edited")).unwrap();
        assert!(edited.contains("web-config") && edited.contains("the copy is ConfigMap copy"), "{edited}");
        let unknown = drift(&map(SnapshotSource::AtRequest, "good")).unwrap();
        assert!(unknown.contains("not known"), "{unknown}");
    }
}
