//! Restarts in full, for the page: what the RestartRequest says, without what is for machines.
//!
//! **Invariant:** a view of one object; nothing is looked up beside it.

use super::caller::Caller;
use super::error::ApiError;
use super::limits::{Place, Query};
use super::runs::{self, Requests, object_name};
use super::target::{checked_name, checked_namespace};
use super::wire::{Data, Word};
use crate::api::{Code, HistoryEntry, Phase, PodState, RestartRequest, TargetRef};
use crate::client::words::{phase, request_id};
use crate::client::{USER_NOTE, rank, timestamp};
use axum::Json;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A restart.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Run {
    /// What the HTTP API calls it.
    pub request_id: String,
    /// Name of the RestartRequest.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The workload.
    pub target: TargetRef,
    /// Where it stands, in the words of the API.
    pub status: Word,
    /// Where it stands, in the operator's own words.
    pub phase: Phase,
    /// RESTART_00n when refused or failed.
    pub code: Option<Code>,
    /// A sentence for people.
    pub message: String,
    /// Why it was asked for.
    pub reason: String,
    /// Who asked.
    pub requested_by: Option<String>,
    /// What the asking program calls its user.
    pub user_note: Option<String>,
    /// Whether it does not wait for requests.
    pub force: bool,
    /// Whether it can be cancelled now.
    pub can_cancel: bool,
    /// Whether it has been asked to stop.
    pub cancel: bool,
    /// Pods restarted / planned.
    pub progress: String,
    /// Requests in flight in the pods that are being drained.
    pub in_flight: Option<i64>,
    /// Longest wait for a pod's requests, in seconds.
    pub timeout_seconds: Option<i32>,
    /// How long it was expected to take when it started, in seconds.
    pub estimated_seconds: Option<i64>,
    /// When it was asked for.
    pub created_at: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The phases that it went through, oldest first.
    pub phases: Vec<Stretch>,
    /// The pods being worked on.
    pub pods: Vec<Pod>,
    /// The ConfigMaps that it is about.
    pub config_maps: Vec<ConfigMapUsed>,
}

/// A phase that a restart went through.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Stretch {
    /// The phase.
    pub phase: Phase,
    /// One word: the step, or why the phase was entered.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When it was entered.
    pub started_at: String,
    /// When it was left.
    pub finished_at: Option<String>,
    /// The pods it was about.
    pub pods: Vec<String>,
}

/// A pod being worked on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// What is happening to it.
    pub state: PodState,
}

/// A ConfigMap that a restart is about.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConfigMapUsed {
    /// Its name.
    pub name: String,
    /// New pods start on other content than the copy has.
    pub changed: bool,
    /// The restart wrote a candidate over it.
    pub promoted: bool,
    /// It was put back.
    pub restored: bool,
}

/// The view of a request.
pub fn view(request: &RestartRequest) -> Run {
    let name = request.name_any();
    let status = request.status.clone().unwrap_or_default();
    let maps = status.snapshot.map(|snapshot| snapshot.config_maps).unwrap_or_default();
    Run {
        request_id: request_id(&name),
        namespace: request.namespace().unwrap_or_default(),
        target: request.spec.target_ref.clone(),
        status: Word::of(phase(request)),
        phase: phase(request),
        code: status.code,
        message: status.message,
        reason: request.spec.reason.clone(),
        requested_by: status.requested_by.or_else(|| request.spec.requested_by.clone()),
        user_note: request.annotations().get(USER_NOTE).cloned(),
        force: request.spec.force,
        can_cancel: runs::can_be_cancelled(request),
        cancel: request.spec.cancel,
        progress: status.progress,
        in_flight: status.in_flight,
        timeout_seconds: status.resolved.map(|resolved| resolved.timeout_seconds).or(request.spec.timeout_seconds),
        estimated_seconds: status.estimated_seconds,
        created_at: request.creation_timestamp().as_ref().map(told),
        started_at: status.started_at.as_ref().map(told),
        finished_at: status.finished_at.as_ref().map(told),
        phases: status.history.iter().map(stretch).collect(),
        pods: status.pods.into_iter().map(|pod| Pod { name: pod.name, state: pod.state }).collect(),
        config_maps: maps
            .into_iter()
            .map(|map| ConfigMapUsed {
                changed: map.sha256 != map.candidate_sha256,
                name: map.name,
                promoted: map.promoted,
                restored: map.restored,
            })
            .collect(),
        name,
    }
}

fn told(time: &Time) -> String {
    timestamp(time.0)
}

fn stretch(entry: &HistoryEntry) -> Stretch {
    Stretch {
        phase: entry.phase,
        reason: entry.reason.clone(),
        message: entry.message.clone(),
        started_at: told(&entry.started_at),
        finished_at: entry.finished_at.as_ref().map(told),
        pods: entry.pods.clone(),
    }
}

/// Which restarts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Of this namespace; absent: of all.
    pub namespace: Option<String>,
}

impl Asked {
    /// Those of a namespace, or of all: the caller's rights decide whether they may be listed.
    pub fn api(self, client: &Client) -> Result<(Requests, String), ApiError> {
        Ok(match self.namespace {
            Some(namespace) => {
                let namespace = checked_namespace(namespace)?;
                (
                    Api::namespaced(client.clone(), &namespace),
                    format!("list the RestartRequests of namespace {namespace}"),
                )
            }
            None => (Api::all(client.clone()), "list the RestartRequests of all namespaces".to_owned()),
        })
    }
}

/// The restarts of a namespace, or of all, newest first.
pub async fn list(Caller { client }: Caller, Query(asked): Query<Asked>) -> Result<Json<Data<Vec<Run>>>, ApiError> {
    let (api, what) = asked.api(&client)?;
    let listed = api.list(&ListParams::default()).await.map_err(|error| ApiError::from_kube(&what, &error))?;
    let mut found = runs::readable(listed.items);
    found.sort_by_key(|run| std::cmp::Reverse(rank(run)));
    Ok(Json(Data::from(found.iter().map(view).collect::<Vec<_>>())))
}

/// One restart.
pub async fn one(Caller { client }: Caller, place: Place) -> Result<Json<Data<Run>>, ApiError> {
    Ok(Json(Data::from(view(&read(&client, place).await?))))
}

/// The request of that namespace and id.
pub async fn read(client: &Client, Place(namespace, id): Place) -> Result<RestartRequest, ApiError> {
    let (namespace, name) = (checked_namespace(namespace)?, checked_name(object_name(&id))?);
    let api: Api<RestartRequest> = Api::namespaced(client.clone(), &namespace);
    let found = api.get_opt(&name).await;
    let what = format!("read RestartRequest {namespace}/{name}");
    found.map_err(|error| ApiError::from_kube(&what, &error))?.ok_or_else(|| ApiError::no_such_run(&namespace, &id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_view_says_who_asked_and_which_configuration_changes() {
        let map = |name: &str, after: &str| {
            json!({"name": name, "snapshot": "s", "sha256": "a", "source": "AtRequest",
            "candidate": "c", "candidateSha256": after, "promoted": false})
        };
        let request: RestartRequest = serde_json::from_value(json!({
            "metadata": {"name": "restart-7", "namespace": "shop"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "x", "requestedBy": "alice"},
            "status": {"phase": "WaitingRequests", "inFlight": 3, "progress": "1/3",
                "snapshot": {"configMaps": [map("same", "a"), map("other", "b")]},
                "history": [{"phase": "Preparing", "reason": "Begun", "message": "", "startedAt": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap();
        let run = view(&request);
        assert_eq!((run.request_id.as_str(), run.requested_by.as_deref()), ("restart_7", Some("alice")));
        assert_eq!((run.status, run.in_flight, run.can_cancel), (Word::WaitingRequests, Some(3), false));
        assert_eq!(run.config_maps.iter().map(|map| map.changed).collect::<Vec<_>>(), [false, true]);
        assert_eq!(run.phases[0].started_at, "2026-01-01T00:00:00Z");
    }
}
