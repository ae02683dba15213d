//! Effects on the request's finalizer and on the RestartHistory: the lock and the result.
//!
//! **Invariant:** the lock is taken and given back by compare-and-swap on the history's resourceVersion; two runs
//! never hold it.

use super::Done;
use super::config_maps::{self, params};
use super::hooks;
use crate::api::bounds::CONFIG_MAPS;
use crate::api::{
    ActiveRun, HandledRun, LastKnownGood, Phase, RestartHistory, RestartHistorySpec, RestartHistoryStatus,
    RestartRequest, RestartRequestStatus, RestoredMap, RunRecord, names,
};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{ConfigMapFacts, Facts, List};
use crate::controller::objects::{again_name, history_name, plan_name, run_generation, run_key};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Copies kept beside last-known-good and the run's own (DESIGN 3.3).
const SPARE_COPIES: usize = 3;

/// Runs with a trigger whose keys are known (DESIGN 5).
const KEYS: usize = 512;

/// Puts our finalizer on the request, or takes it off: the last thing that a run does.
pub async fn finalizer(ctx: &Context, facts: &Facts, wanted: bool) -> Result<Done, Error> {
    if !wanted && (facts.namespace_terminating || is_idle(facts)) {
        let_go(ctx, facts).await?;
    }
    if facts.orphan {
        return Ok(Done::Yes);
    }
    if !wanted && !facts.namespace_terminating {
        delete_lists(ctx, facts).await?;
        hooks::delete_unfinished(ctx, facts).await?;
    }
    let metadata = &facts.request.metadata;
    let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != names::FINALIZER);
    if wanted {
        finalizers.push(names::FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {"resourceVersion": metadata.resource_version, "uid": metadata.uid, "finalizers": finalizers}});
    let api: Api<RestartRequest> = Api::namespaced(ctx.writer.clone(), &facts.namespace);
    let what = format!("write the finalizer of RestartRequest {}/{}", facts.namespace, facts.name());
    call(what, api.patch(facts.name(), &manager(), &Patch::Merge(&patch))).await?;
    Ok(Done::Yes)
}

/// No run holds the workload. Its history still has the finalizer where the write that was to take the lock was refused for
/// good, or never made, after the one that put the finalizer on; it would hold up the deletion of the namespace for ever.
fn is_idle(facts: &Facts) -> bool {
    let status = facts.history.as_ref().and_then(|history| history.status.as_ref());
    status.is_none_or(|status| status.active.is_none())
}

/// The history must not hold up a deletion: the namespace goes, and with it everything that a run could put back, or no run
/// holds the workload. One that takes the lock at this moment gets a conflict, and takes it again.
async fn let_go(ctx: &Context, facts: &Facts) -> Result<(), Error> {
    let Some(history) = facts.history.as_ref().filter(|history| held(history)) else { return Ok(()) };
    let name = history_name(&facts.request, facts.workload_uid());
    let what = format!("take the finalizer off RestartHistory {}/{name}", facts.namespace);
    call(what, api(ctx, facts).replace(&name, &params(), &with_finalizer(history, false))).await?;
    Ok(())
}

fn manager() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// The histories of the workload's namespace.
pub fn api(ctx: &Context, facts: &Facts) -> Api<RestartHistory> {
    Api::namespaced(ctx.writer.clone(), &facts.namespace)
}

/// Makes this run the active one.
pub async fn take(ctx: &Context, facts: &Facts) -> Result<Done, Error> {
    let name = history_name(&facts.request, facts.workload_uid());
    let what = |verb: &str| format!("{verb} RestartHistory {}/{name}", facts.namespace);
    let api = api(ctx, facts);
    let history = match &facts.history {
        Some(history) if held(history) => history.clone(),
        Some(history) => {
            call(what("put the finalizer on"), api.replace(&name, &params(), &with_finalizer(history, true))).await?
        }
        None => call(what("create"), api.create(&params(), &with_finalizer(&new(facts, &name), true))).await?,
    };
    let phase = facts.request.phase().unwrap_or(Phase::Preparing);
    let spec = serde_json::to_value(&facts.request.spec).map_err(|error| Error::Internal(error.to_string()))?;
    let begun_with = facts.request.status.as_ref().and_then(|status| status.last_handled_trigger.as_ref());
    if facts.request.spec.trigger.as_ref() != begun_with {
        return Ok(Done::NotNow);
    }
    let active = ActiveRun {
        request: facts.name().to_owned(),
        uid: facts.uid().to_owned(),
        generation: run_generation(&facts.request),
        spec,
        status: serde_json::to_value(&facts.request.status).ok(),
    };
    let status = RestartHistoryStatus {
        state: phase.word().to_owned(),
        active: Some(active),
        ..history.status.clone().unwrap_or_default()
    };
    call(what("take"), api.replace_status(&name, &params(), &RestartHistory { status: Some(status), ..history }))
        .await?;
    Ok(Done::Yes)
}

fn held(history: &RestartHistory) -> bool {
    history.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::FINALIZER)
}

fn with_finalizer(history: &RestartHistory, wanted: bool) -> RestartHistory {
    let mut history = history.clone();
    let finalizers = history.metadata.finalizers.get_or_insert_default();
    finalizers.retain(|finalizer| finalizer != names::FINALIZER);
    if wanted {
        finalizers.push(names::FINALIZER.to_owned());
    }
    history
}

/// Owned by the workload, without `controller` and `blockOwnerDeletion`: it goes when the workload goes.
fn new(facts: &Facts, name: &str) -> RestartHistory {
    let target = facts.request.spec.target_ref.clone();
    let owner = OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: format!("{:?}", target.kind),
        name: target.name.clone(),
        uid: facts.workload_uid().to_owned(),
        ..OwnerReference::default()
    };
    let mut history = RestartHistory::new(name, RestartHistorySpec { target_ref: target });
    history.metadata.owner_references = Some(vec![owner]);
    history
}

/// Makes the workload's history while no run holds it.
pub async fn create(ctx: &Context, facts: &Facts) -> Result<RestartHistory, Error> {
    let name = history_name(&facts.request, facts.workload_uid());
    let what = format!("create RestartHistory {}/{name}", facts.namespace);
    call(what, api(ctx, facts).create(&params(), &new(facts, &name))).await
}

/// Writes the result and makes the history idle. The finalizer goes first: a crash in between leaves the lock held,
/// and the next pass does both again.
pub async fn release(ctx: &Context, facts: &Facts, good: &[String]) -> Result<Done, Error> {
    let Some(history) = &facts.history else { return Ok(Done::Yes) };
    tidy(ctx, facts, good).await?;
    if facts.orphan {
        // With a request they go with its finalizer.
        delete_lists(ctx, facts).await?;
    }
    let name = history_name(&facts.request, facts.workload_uid());
    let what = |verb: &str| format!("{verb} RestartHistory {}/{name}", facts.namespace);
    let api = api(ctx, facts);
    let history = if held(history) {
        call(what("take the finalizer off"), api.replace(&name, &params(), &with_finalizer(history, false))).await?
    } else {
        history.clone()
    };
    let limit = usize::try_from(ctx.config.current().history_limit).unwrap_or(0);
    let status = ended(facts, history.status.clone().unwrap_or_default(), good, limit);
    call(what("release"), api.replace_status(&name, &params(), &RestartHistory { status: Some(status), ..history }))
        .await?;
    Ok(Done::Yes)
}

fn ended(facts: &Facts, mut status: RestartHistoryStatus, good: &[String], limit: usize) -> RestartHistoryStatus {
    let now = Time(Timestamp::now());
    let request = facts.request.status.clone().unwrap_or_default();
    let outcome = request.outcome.as_ref();
    let result = outcome.map_or(Phase::Failed, |outcome| outcome.result);
    let record = RunRecord {
        request: facts.name().to_owned(),
        uid: facts.uid().to_owned(),
        generation: run_generation(&facts.request),
        trigger: request.last_handled_trigger.clone(),
        message: outcome.map(|outcome| outcome.message.clone()).unwrap_or_default(),
        restored: restored(&request),
        requested_by: request.requested_by.clone(),
        reason: facts.request.spec.reason.clone(),
        result,
        code: outcome.and_then(|outcome| outcome.code),
        started_at: request.started_at.clone(),
        finished_at: Some(now.clone()),
    };
    RestartHistoryStatus::IDLE.clone_into(&mut status.state);
    status.active = None;
    status.last_result = Some(format!("{result:?}"));
    status.last_run_at = Some(now);
    status.runs.insert(0, record);
    status.runs.truncate(limit.max(1));
    if let Some(key) = run_key(&facts.request) {
        status.handled.retain(|handled| handled.key != key);
        status.handled.insert(0, HandledRun { key, result, code: outcome.and_then(|outcome| outcome.code) });
        status.handled.truncate(KEYS);
    }
    // Of a ConfigMap that the pods do not start on, only a promotion is known to be wanted.
    let learnt =
        |config: &&ConfigMapFacts| good.contains(&config.entry.name) && (config.referred || config.entry.promoted);
    for config in facts.config.iter().filter(learnt) {
        let known = LastKnownGood {
            config_map: config.entry.name.clone(),
            snapshot: config.entry.candidate.clone(),
            sha256: config.entry.candidate_sha256.clone(),
        };
        now_good(&mut status.last_known_good, known);
    }
    status
}

/// In place of what was known of that ConfigMap. Of more than the schema holds, those that were learnt first go.
pub fn now_good(known_good: &mut Vec<LastKnownGood>, known: LastKnownGood) {
    known_good.retain(|old| old.config_map != known.config_map);
    known_good.push(known);
    let surplus = known_good.len().saturating_sub(CONFIG_MAPS);
    known_good.drain(..surplus);
}

fn restored(request: &RestartRequestStatus) -> Vec<RestoredMap> {
    let entries = request.snapshot.iter().flat_map(|snapshot| &snapshot.config_maps).filter(|entry| entry.restored);
    entries
        .map(|entry| RestoredMap {
            config_map: entry.name.clone(),
            failed_sha256: entry.candidate_sha256.clone(),
            reverted: false,
        })
        .collect()
}

/// Its time to live is over.
pub async fn delete_request(ctx: &Context, facts: &Facts) -> Result<Done, Error> {
    if facts.orphan {
        return Ok(Done::Yes);
    }
    let metadata = &facts.request.metadata;
    let preconditions =
        Preconditions { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let api: Api<RestartRequest> = Api::namespaced(ctx.writer.clone(), &facts.namespace);
    let what = format!("delete RestartRequest {}/{}", facts.namespace, facts.name());
    call(what, api.delete(facts.name(), &params)).await?;
    Ok(Done::Yes)
}

/// Deletes copies that nobody needs any more.
async fn tidy(ctx: &Context, facts: &Facts, good: &[String]) -> Result<(), Error> {
    let surplus = surplus(ctx, facts, good).await?;
    delete_copies(ctx, facts, surplus).await
}

/// Copies that nobody needs any more once these ConfigMaps' present content is last-known-good.
pub async fn surplus(ctx: &Context, facts: &Facts, good: &[String]) -> Result<Vec<Copied>, Error> {
    let selector = format!("{}={},{}=snapshot", names::WORKLOAD_UID, facts.workload_uid(), names::ROLE);
    let (api, params) = (config_maps::api(ctx, facts), ListParams::default().labels(&selector));
    let mut copies = call(format!("list copies in {}", facts.namespace), api.list_metadata(&params)).await?.items;
    copies.sort_by_key(|copy| Reverse(copy.metadata.creation_timestamp.clone()));
    let kept = kept(facts, good);
    let found =
        copies.into_iter().filter_map(|copy| Copied::of(copy.metadata)).filter(|copy| !kept.contains(&copy.name));
    Ok(found.skip(SPARE_COPIES).collect())
}

/// A ConfigMap that was seen: this one is deleted, and none that has its name by then.
pub struct Copied {
    name: String,
    uid: String,
}

impl Copied {
    fn of(metadata: ObjectMeta) -> Option<Self> {
        Some(Self { name: metadata.name?, uid: metadata.uid? })
    }
}

/// Deletes them.
pub async fn delete_copies(ctx: &Context, facts: &Facts, copies: Vec<Copied>) -> Result<(), Error> {
    for copy in copies {
        delete(ctx, facts, copy).await?;
    }
    Ok(())
}

async fn delete(ctx: &Context, facts: &Facts, Copied { name, uid }: Copied) -> Result<(), Error> {
    let what = format!("delete ConfigMap {}/{name}", facts.namespace);
    let preconditions = Preconditions { uid: Some(uid), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match call(what, config_maps::api(ctx, facts).delete(&name, &params)).await {
        // A conflict is looked at anew by the next pass: another object may have the name by now, or it is still this one.
        Err(error) if !error.is_not_found() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// One of our lists, as it is now: what has its name and not our labels is not ours.
async fn delete_list(ctx: &Context, facts: &Facts, name: &str) -> Result<(), Error> {
    let what = format!("read the metadata of ConfigMap {}/{name}", facts.namespace);
    let seen = call(what, config_maps::api(ctx, facts).get_metadata_opt(name)).await?;
    let of = |labels: &BTreeMap<String, String>| {
        let is = |label: &str, value: &str| labels.get(label).is_some_and(|of| of == value);
        is(names::ROLE, "plan") && is(names::WORKLOAD_UID, facts.workload_uid())
    };
    let ours = seen.map(|seen| seen.metadata).filter(|metadata| metadata.labels.as_ref().is_some_and(of));
    match ours.and_then(Copied::of) {
        Some(list) => delete(ctx, facts, list).await,
        None => Ok(()),
    }
}

/// The run is over and written down: its lists have no reader any more.
async fn delete_lists(ctx: &Context, facts: &Facts) -> Result<(), Error> {
    if facts.plan != List::Absent {
        delete_list(ctx, facts, &plan_name(&facts.request)).await?;
    }
    if facts.again != List::Absent {
        delete_list(ctx, facts, &again_name(&facts.request)).await?;
    }
    Ok(())
}

/// Last-known-good as it is and as it will be, and the run's own.
fn kept(facts: &Facts, good: &[String]) -> Vec<String> {
    let known =
        facts.history.iter().filter_map(|history| history.status.as_ref()).flat_map(|status| &status.last_known_good);
    let known = known.filter(|known| !good.contains(&known.config_map)).map(|known| known.snapshot.clone());
    known
        .chain(facts.config.iter().flat_map(|config| [config.entry.snapshot.clone(), config.entry.candidate.clone()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Resolved;

    fn facts(name: &str) -> Facts {
        let request = json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
            "metadata": {"name": name, "uid": name, "generation": 1},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"},
            "status": {"phase": "Restarting", "outcome": {"result": "Completed", "message": "3 pods", "suspectConfiguration": false}},
        });
        let resolved: Resolved =
            serde_json::from_value(json!({"strategy": "Surge", "maxParallel": 1, "timeoutSeconds": 30,
            "quietSeconds": 2, "minSeconds": 0, "revision": "r", "workloadUid": "w"}))
            .unwrap();
        Facts::new("shop", serde_json::from_value(request).unwrap(), None, resolved)
    }

    #[test]
    fn the_newest_run_is_first_and_a_smaller_limit_drops_the_oldest() {
        let mut status = RestartHistoryStatus { state: "Restarting".into(), ..RestartHistoryStatus::default() };
        for name in ["a", "b", "c"] {
            status = ended(&facts(name), status, &[], 20);
        }
        status = ended(&facts("d"), status, &[], 2);
        let runs: Vec<&str> = status.runs.iter().map(|run| run.request.as_str()).collect();
        assert_eq!(runs, ["d", "c"]);
        assert_eq!((status.state.as_str(), status.active), (RestartHistoryStatus::IDLE, None));
        assert_eq!((status.last_result.as_deref(), status.runs[0].message.as_str()), (Some("Completed"), "3 pods"));
    }

    #[test]
    fn last_known_good_holds_one_entry_per_config_map_and_no_more_than_its_schema() {
        let good = |map: &str, sha256: &str| LastKnownGood {
            config_map: map.into(),
            snapshot: format!("{map}-{sha256}"),
            sha256: sha256.into(),
        };
        let mut known = vec![];
        now_good(&mut known, good("a", "1"));
        now_good(&mut known, good("a", "2"));
        assert_eq!(known, [good("a", "2")]);
        (0..CONFIG_MAPS).for_each(|number| now_good(&mut known, good(&format!("map-{number}"), "1")));
        assert_eq!(known.len(), CONFIG_MAPS);
        assert_eq!(known[0].config_map, "map-0");
    }
}
