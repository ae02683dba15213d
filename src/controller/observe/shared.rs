//! Who else runs on a ConfigMap's present content: a restore would take it from under them.
//!
//! **Invariant:** asked only when a restore may follow; another workload counts once it is known to run well with that
//! very content, or has begun to replace pods on it.

use crate::api::{Phase, RestartHistory, RestartRequestStatus, SnapshotEntry};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{ConfigMapFacts, Facts};
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use std::collections::BTreeMap;

/// For each ConfigMap that holds what this run's pods started on: another workload that has started on it, too.
pub async fn read(ctx: &Context, facts: &Facts) -> Result<BTreeMap<String, String>, Error> {
    let ending = facts.request.status.as_ref().is_some_and(|status| status.outcome.is_some());
    let candidates: Vec<&SnapshotEntry> =
        facts.config.iter().filter(|map| in_force(map)).map(|map| &map.entry).collect();
    if !ending || candidates.is_empty() {
        return Ok(BTreeMap::new());
    }
    let api: Api<DeserializeGuard<RestartHistory>> = Api::namespaced(ctx.reader.clone(), &facts.namespace);
    let what = format!("list RestartHistories in {}", facts.namespace);
    let all = call(what, api.list(&ListParams::default())).await.map(|all| all.items);
    let all = super::read::without_definition(all)?;
    let own = facts.history.as_ref().and_then(|history| history.metadata.uid.as_ref());
    let others: Vec<RestartHistory> =
        all.into_iter().filter_map(|guard| guard.0.ok()).filter(|other| other.metadata.uid.as_ref() != own).collect();
    Ok(sharers(&candidates, &others))
}

fn in_force(map: &ConfigMapFacts) -> bool {
    map.entry.sha256 != map.entry.candidate_sha256 && map.digest == map.entry.candidate_sha256
}

fn sharers(candidates: &[&SnapshotEntry], others: &[RestartHistory]) -> BTreeMap<String, String> {
    let who = |entry: &&&SnapshotEntry| others.iter().find(|other| runs_on(other, entry)).map(named);
    candidates.iter().filter_map(|entry| Some((entry.name.clone(), who(&entry)?))).collect()
}

fn named(history: &RestartHistory) -> String {
    let target = &history.spec.target_ref;
    format!("{:?} {}", target.kind, target.name)
}

fn runs_on(history: &RestartHistory, entry: &SnapshotEntry) -> bool {
    let Some(status) = &history.status else { return false };
    let good = status.last_known_good.iter();
    let mut good = good.filter(|good| good.config_map == entry.name && good.sha256 == entry.candidate_sha256);
    let run = status.active.as_ref().and_then(|active| active.status.clone());
    let run = run.and_then(|run| serde_json::from_value::<RestartRequestStatus>(run).ok());
    good.next().is_some() || run.is_some_and(|run| replaces_onto(&run, entry))
}

/// A run that is failing on that content itself does not hold on to it.
fn replaces_onto(run: &RestartRequestStatus, entry: &SnapshotEntry) -> bool {
    let has = |theirs: &SnapshotEntry| theirs.name == entry.name && theirs.candidate_sha256 == entry.candidate_sha256;
    let begun = match run.phase {
        Some(Phase::Restarting | Phase::WaitingRequests) => true,
        Some(Phase::Recovering) => run.outcome.as_ref().is_some_and(|outcome| !outcome.suspect_configuration),
        Some(Phase::Pending | Phase::Preparing | Phase::Completed | Phase::Failed | Phase::Cancelled) | None => false,
    };
    begun && run.snapshot.iter().flat_map(|snapshot| &snapshot.config_maps).any(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry() -> SnapshotEntry {
        serde_json::from_value(json!({"name": "shared", "snapshot": "old", "sha256": "old", "source": "LastKnownGood",
            "candidate": "new", "candidateSha256": "new", "promoted": false}))
        .unwrap()
    }

    fn history(status: &Value) -> RestartHistory {
        serde_json::from_value(json!({"apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartHistory",
            "metadata": {"name": "h"}, "spec": {"targetRef": {"kind": "Deployment", "name": "b"}}, "status": status}))
        .unwrap()
    }

    fn running(phase: &str, candidate: &str, suspect: Option<bool>) -> Value {
        let outcome =
            suspect.map(|suspect| json!({"result": "Failed", "message": "", "suspectConfiguration": suspect}));
        let map = json!({"name": "shared", "snapshot": "old", "sha256": "old", "source": "LastKnownGood",
            "candidate": candidate, "candidateSha256": candidate, "promoted": false});
        let status = json!({"phase": phase, "snapshot": {"configMaps": [map]}, "outcome": outcome});
        json!({"active": {"request": "r", "uid": "u", "spec": {}, "status": status}})
    }

    fn good(map: &str, sha256: &str) -> Value {
        json!({"lastKnownGood": [{"configMap": map, "snapshot": "copy", "sha256": sha256}]})
    }

    #[test]
    fn another_workload_counts_once_it_has_started_on_the_same_content() {
        for (status, shared) in [
            (json!({}), false),
            (good("shared", "old"), false),
            (good("shared", "new"), true),
            (good("other", "new"), false),
            (running("Preparing", "new", None), false),
            (running("Restarting", "new", None), true),
            (running("WaitingRequests", "new", None), true),
            (running("Restarting", "old", None), false),
            (running("Recovering", "new", Some(true)), false),
            (running("Recovering", "new", Some(false)), true),
        ] {
            let found = sharers(&[&entry()], &[history(&status)]);
            let expected = shared.then(|| ("shared".to_owned(), "Deployment b".to_owned()));
            assert_eq!(found, expected.into_iter().collect(), "{status}");
        }
    }
}
