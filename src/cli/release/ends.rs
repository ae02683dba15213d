//! The end of requests and histories without their controller: the result is written, the lock and the finalizer go.
//!
//! **Invariant:** a run that is released has ended: a controller that comes back later does not go on with it.

use super::outstanding::holds;
use super::refused;
use crate::api::{
    Outcome, Phase, RestartHistory, RestartHistoryStatus, RestartRequest, RestartRequestStatus, Step, names,
};
use crate::client::words::phase;
use crate::client::{Error, FIELD_MANAGER, RestartClient};
use crate::machine::{Change, fold};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

/// ConfigMaps that hold what the run promoted, with the copies of what they held before.
pub fn promoted(request: &RestartRequest) -> Vec<(String, String)> {
    let ended = phase(request).is_terminal();
    let snapshot = request.status.as_ref().filter(|_| !ended).and_then(|status| status.snapshot.as_ref());
    let entries = snapshot.iter().flat_map(|snapshot| &snapshot.config_maps);
    let open = entries.filter(|entry| entry.promoted && !entry.restored);
    open.map(|entry| (entry.name.clone(), entry.snapshot.clone())).collect()
}

/// Writes the end of a run that has none, and takes the finalizer off.
pub async fn request(
    client: &RestartClient,
    request: &RestartRequest,
    pods: &[String],
    promoted: &[(String, String)],
    dry_run: bool,
) -> Result<String, Error> {
    let before = phase(request);
    let open = !before.is_terminal() && request.metadata.deletion_timestamp.is_none();
    let what = if open {
        format!("{}: ends as {}, without its finalizer", before.word(), outcome(request, pods, promoted).result.word())
    } else {
        format!("{}: without its finalizer", before.word())
    };
    if dry_run {
        return Ok(what);
    }
    let mut seen = request.clone();
    if open {
        let name = request.metadata.name.as_deref().unwrap_or_default();
        let what = format!("write the end of RestartRequest {}/{name}", client.namespace());
        seen.status = Some(ended(request, outcome(request, pods, promoted)));
        let replaced = client.requests().replace_status(name, &params(), &seen).await;
        seen = replaced.map_err(refused(&what))?;
    }
    without_finalizer(client, client.requests(), "RestartRequest", &seen.metadata).await?;
    Ok(what)
}

fn ended(request: &RestartRequest, outcome: Outcome) -> RestartRequestStatus {
    let old = request.status.clone().unwrap_or_default();
    let change = Change {
        outcome: Some(outcome.clone()),
        ..Change::new(outcome.result, Step::Finished, "Released", outcome.message)
    };
    fold(&old, &change, request.metadata.generation, &Time(Timestamp::now())).within_bounds()
}

/// As the run would have ended, if that is known; else it was broken off.
fn outcome(request: &RestartRequest, pods: &[String], promoted: &[(String, String)]) -> Outcome {
    let known = request.status.as_ref().and_then(|status| status.outcome.clone());
    let known = known.unwrap_or_else(|| Outcome {
        result: Phase::Cancelled,
        code: None,
        message: "no controller was there to end the restart".to_owned(),
        suspect_configuration: false,
        not_restored: None,
        not_restored_reason: None,
    });
    let left = left(pods, promoted);
    Outcome {
        message: format!("{}; released by kubectl restart release", known.message),
        not_restored_reason: known.not_restored_reason.or_else(|| left.is_some().then(|| "Released".to_owned())),
        not_restored: known.not_restored.or(left),
        ..known
    }
}

fn left(pods: &[String], promoted: &[(String, String)]) -> Option<String> {
    let pods = (!pods.is_empty()).then(|| format!("detached pods were left to serve: {}", pods.join(", ")));
    let maps = promoted.iter().map(|(map, copy)| format!("ConfigMap {map} was left as promoted, {copy} is its copy"));
    let all: Vec<String> = pods.into_iter().chain(maps).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Gives the lock back and takes the finalizer off.
pub async fn history(client: &RestartClient, history: &RestartHistory, dry_run: bool) -> Result<String, Error> {
    let active = history.status.as_ref().and_then(|status| status.active.as_ref());
    let what = match active {
        Some(active) => format!("was held by {}: idle, without its finalizer", active.request),
        None => "without its finalizer".to_owned(),
    };
    if dry_run {
        return Ok(what);
    }
    let mut seen = history.clone();
    if active.is_some() {
        let name = history.metadata.name.as_deref().unwrap_or_default();
        let what = format!("give back the lock in RestartHistory {}/{name}", client.namespace());
        let status = history.status.clone().unwrap_or_default();
        seen.status =
            Some(RestartHistoryStatus { state: RestartHistoryStatus::IDLE.to_owned(), active: None, ..status });
        seen = client.histories().replace_status(name, &params(), &seen).await.map_err(refused(&what))?;
    }
    without_finalizer(client, client.histories(), "RestartHistory", &seen.metadata).await?;
    Ok(what)
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

async fn without_finalizer<K>(client: &RestartClient, api: Api<K>, kind: &str, seen: &ObjectMeta) -> Result<(), Error>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if !holds(seen) {
        return Ok(());
    }
    let finalizers: Vec<&String> = seen.finalizers.iter().flatten().filter(|one| *one != names::FINALIZER).collect();
    let patch =
        json!({"metadata": {"uid": seen.uid, "resourceVersion": seen.resource_version, "finalizers": finalizers}});
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let name = seen.name.as_deref().unwrap_or_default();
    let what = format!("take the finalizer off {kind} {}/{name}", client.namespace());
    api.patch(name, &params, &Patch::Merge(&patch)).await.map_err(refused(&what)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(status: &serde_json::Value) -> RestartRequest {
        serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": "web"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"}, "status": status}))
        .unwrap()
    }

    #[test]
    fn a_run_that_is_released_has_ended_and_says_what_is_left() {
        let request = run(&json!({"phase": "WaitingRequests", "step": "Draining"}));
        let whole = ended(&request, outcome(&request, &[], &[]));
        assert_eq!((whole.phase, whole.step), (Some(Phase::Cancelled), Some(Step::Finished)));
        assert!(whole.outcome.unwrap().not_restored.is_none());
        let left = ended(&request, outcome(&request, &["web-1".into()], &[("map".into(), "map-copy".into())]));
        let problem = left.outcome.unwrap().not_restored.unwrap();
        assert!(problem.contains("web-1") && problem.contains("map-copy"), "{problem}");
    }

    #[test]
    fn a_failure_that_was_being_put_back_keeps_its_code() {
        let outcome_known = json!({"result": "Failed", "code": "RESTART_006", "message": "web-2 exited twice", "suspectConfiguration": true});
        let request = run(&json!({"phase": "Recovering", "step": "Restoring", "outcome": outcome_known}));
        let status = ended(&request, outcome(&request, &[], &[]));
        assert_eq!(status.phase, Some(Phase::Failed));
        assert!(status.code.is_some() && status.message.contains("exited twice"), "{}", status.message);
    }
}
