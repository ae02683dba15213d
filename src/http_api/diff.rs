//! The configuration of a restart: what its copy holds, what new pods start on, and what the ConfigMap holds now.
//!
//! **Invariant:** ConfigMaps are read with the caller's rights; who may not read them sees no line of them.

use super::caller::Caller;
use super::error::ApiError;
use super::limits::Place;
use super::views::read;
use super::wire::Data;
use crate::api::SnapshotEntry;
use axum::Json;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use schemars::JsonSchema;
use serde::Serialize;
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Lines around a change.
const CONTEXT: usize = 3;
/// Longest search for the smallest difference; a larger one is shown after that.
const SEARCH_LIMIT: Duration = Duration::from_millis(500);

/// What a restart means for one ConfigMap.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConfigMapDiff {
    /// Its name.
    pub name: String,
    /// From the copy that a failed restart goes back to, to what new pods start on: a unified diff, empty where they agree.
    /// Null where one of the copies is gone.
    pub restart: Option<String>,
    /// From what new pods start on to what the ConfigMap holds now. Null where one of them is gone.
    pub since: Option<String>,
}

/// The configuration of one restart.
pub async fn diff(
    Caller { client }: Caller,
    Place(namespace, id): Place,
) -> Result<Json<Data<Vec<ConfigMapDiff>>>, ApiError> {
    let request = read(&client, Place(namespace.clone(), id)).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let entries = request.status.and_then(|status| status.snapshot).map(|snapshot| snapshot.config_maps);
    let mut found = vec![];
    for entry in entries.unwrap_or_default() {
        found.push(one(&maps, &namespace, &entry).await?);
    }
    Ok(Json(Data::from(found)))
}

async fn one(maps: &Api<ConfigMap>, namespace: &str, entry: &SnapshotEntry) -> Result<ConfigMapDiff, ApiError> {
    let get = async |name: &str| {
        let what = format!("read ConfigMap {namespace}/{name}");
        maps.get_opt(name).await.map_err(|error| ApiError::from_kube(&what, &error))
    };
    let (copy, candidate, live) = (get(&entry.snapshot).await?, get(&entry.candidate).await?, get(&entry.name).await?);
    let between = |one: Option<&ConfigMap>, other: Option<&ConfigMap>| Some(unified(one?, other?));
    Ok(ConfigMapDiff {
        name: entry.name.clone(),
        restart: between(copy.as_ref(), candidate.as_ref()),
        since: between(candidate.as_ref(), live.as_ref()),
    })
}

/// Key by key, as `diff --unified` has it.
fn unified(before: &ConfigMap, after: &ConfigMap) -> String {
    let (before, after) = (texts(before), texts(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = |key: &&String| before.get(*key) != after.get(*key);
    keys.into_iter().filter(changed).map(|key| of_key(key, before.get(key), after.get(key))).collect()
}

fn of_key(key: &str, before: Option<&String>, after: Option<&String>) -> String {
    let text = |side: Option<&String>| side.cloned().unwrap_or_default();
    let (old, new) = (text(before), text(after));
    let name = |side: Option<&String>| if side.is_some() { key.to_owned() } else { "(no such key)".to_owned() };
    let difference = TextDiff::configure().timeout(SEARCH_LIMIT).diff_lines(&old, &new);
    difference.unified_diff().context_radius(CONTEXT).header(&name(before), &name(after)).to_string()
}

/// Bytes that are no text are shown by their number.
fn texts(map: &ConfigMap) -> BTreeMap<String, String> {
    let bytes = map.binary_data.iter().flatten().map(|(key, value)| {
        (key.clone(), format!("{} bytes, sha256 {}\n", value.0.len(), crate::api::names::sha256_hex(&value.0)))
    });
    map.data.clone().unwrap_or_default().into_iter().chain(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(data: &serde_json::Value) -> ConfigMap {
        serde_json::from_value(json!({"data": data})).unwrap()
    }

    #[test]
    fn only_keys_that_differ_are_shown() {
        let before = map(&json!({"same": "1\n", "config.yaml": "a: 1\nb: 2\n", "gone": "x\n"}));
        let after = map(&json!({"same": "1\n", "config.yaml": "a: 1\nb: 3\n", "new": "y\n"}));
        let text = unified(&before, &after);
        assert!(text.contains("--- config.yaml\n+++ config.yaml\n") && text.contains("-b: 2\n+b: 3\n"), "{text}");
        assert!(
            text.contains("--- gone\n+++ (no such key)\n") && text.contains("--- (no such key)\n+++ new\n"),
            "{text}"
        );
        assert!(!text.contains("same"), "{text}");
        assert_eq!(unified(&before, &before), "");
    }

    #[test]
    fn bytes_are_compared_and_not_shown() {
        let bytes = |text: &str| -> ConfigMap { serde_json::from_value(json!({"binaryData": {"key": text}})).unwrap() };
        let text = unified(&bytes("AAAA"), &bytes("AAAB"));
        assert!(text.contains("-3 bytes, sha256") && !text.contains("AAAA"), "{text}");
    }
}
