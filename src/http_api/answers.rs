//! The four endpoints: where a restart stands, ask for one, cancel it, what was before.
//!
//! **Invariant:** a restart is a RestartRequest like any other, made by [`crate::client`] as its author would make it: what
//! the controller decides about it is read from its status.

use super::Shared;
use super::caller::Caller;
use super::error::ApiError;
use super::limits::{Body, Query};
use super::target::{Named, Target};
use super::views::read;
use super::wire::{Accepted, CancelBody, Cancelled, Data, Past, RestartBody, Status, Word};
use crate::api::{Code, Phase, RestartRequest, TargetKind};
use crate::client::words::{phase, request_id};
use crate::client::{Ask, HistoryEntry, RestartClient, RestartStatus};
use axum::Json;
use axum::extract::State;
use kube::ResourceExt as _;
use serde::Deserialize;

/// Field manager of what is written for callers.
const FIELD_MANAGER: &str = "restart-http-api";

/// Where the newest restart of the workload stands.
pub async fn status(
    State(shared): State<Shared>,
    Caller { client }: Caller,
    Query(named): Query<Named>,
) -> Result<Json<Data<Status>>, ApiError> {
    let target = named.or(shared.default_target.as_ref())?;
    let restarts = RestartClient::new(client, &target.namespace);
    let newest = restarts.newest(&target.workload).await?;
    let mut status = status_of(newest);
    if status.status == Word::Idle {
        // Requests go away, what they did stays: for those who may read it.
        let past = restarts.get_restart_history(&target.workload, 1).await.unwrap_or_default();
        status.status = past.first().map_or(Word::Idle, |run| Word::of(run.record.result));
    }
    Ok(Json(Data::from(status)))
}

/// The status of a workload whose newest restart this is.
pub fn status_of(newest: Option<RestartRequest>) -> Status {
    let word = newest.as_ref().map_or(Word::Idle, |run| Word::of(phase(run)));
    let status = RestartStatus::of(newest);
    Status {
        status: word,
        is_restarting: status.is_restarting,
        active_requests_count: status.active_requests_count,
        timestamp: status.timestamp,
    }
}

/// Asks for a restart.
pub async fn request(
    State(shared): State<Shared>,
    Caller { client }: Caller,
    Body(body): Body<RestartBody>,
) -> Result<Json<Accepted>, ApiError> {
    let target = body.named().or(shared.default_target.as_ref())?;
    let restarts = RestartClient::new(client, &target.namespace);
    not_under_way(&restarts, &target).await?;
    let ask = ask(&target, &body, (shared.default_timeout.0)());
    let asked = restarts.request_restart(&ask).await?;
    let who = asked.request.spec.requested_by.as_deref();
    tracing::info!(target: "audit", who, note = body.user, namespace = target.namespace, request = asked.request.name_any(), reason = body.reason, "restart asked for over HTTP");
    Ok(Json(Accepted {
        success: true,
        message: format!("{} in namespace {} will be restarted", target.workload, target.namespace),
        request_id: asked.request_id(),
        status: Word::Preparing,
        estimated_time: asked.estimated_time,
    }))
}

/// One that waits counts, too: the controller would refuse a second as soon as it saw it.
async fn not_under_way(restarts: &RestartClient, target: &Target) -> Result<(), ApiError> {
    let newest = restarts.newest(&target.workload).await?;
    let Some(run) = newest.filter(|run| !phase(run).is_terminal()) else { return Ok(()) };
    let message = format!(
        "{} in namespace {} is already being restarted by {}: wait for its end, or cancel it while it is preparing",
        target.workload,
        target.namespace,
        request_id(&run.name_any())
    );
    Err(ApiError::new(Code::AlreadyRestarting, message))
}

fn ask(target: &Target, body: &RestartBody, default_timeout: i32) -> Ask {
    let ask = Ask::new(target.workload.clone(), &body.reason).force(body.force).config_reload(body.config_reload);
    let ask = ask.timeout(body.timeout.unwrap_or(default_timeout));
    Ask { user: body.user.clone(), field_manager: FIELD_MANAGER, ..ask }
}

/// Cancels the newest restart of the workload, or the one that is named, while it is preparing.
pub async fn cancel(
    State(shared): State<Shared>,
    Caller { client }: Caller,
    Body(body): Body<CancelBody>,
) -> Result<Json<Cancelled>, ApiError> {
    let target = body.named().or(shared.default_target.as_ref())?;
    let restarts = RestartClient::new(client, &target.namespace);
    let cancelled = match &body.request_id {
        Some(id) => {
            let run = read(restarts.kube(), (target.namespace.clone(), id.clone())).await?;
            restarts.cancel(&run, false).await?
        }
        None => restarts.cancel_restart(&target.workload).await?,
    };
    let (name, who) = (cancelled.name_any(), restarts.whoami().await);
    tracing::info!(target: "audit", who, note = body.user, namespace = target.namespace, request = name, "restart cancelled over HTTP");
    let message =
        format!("{} of {} in namespace {} is being cancelled", request_id(&name), target.workload, target.namespace);
    Ok(Json(Cancelled { success: true, message }))
}

/// Of which workload, and how many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    namespace: Option<String>,
    kind: Option<TargetKind>,
    name: Option<String>,
    limit: Option<usize>,
}

/// The last restarts of the workload that ended, newest first.
pub async fn history(
    State(shared): State<Shared>,
    Caller { client }: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Data<Vec<Past>>>, ApiError> {
    let limit = asked.limit.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::invalid("limit must be 1 to 100"));
    }
    let named = Named { namespace: asked.namespace, kind: asked.kind, name: asked.name };
    let target = named.or(shared.default_target.as_ref())?;
    let restarts = RestartClient::new(client, &target.namespace);
    let past = restarts.get_restart_history(&target.workload, limit).await?;
    Ok(Json(Data::from(past.into_iter().map(Past::from).collect::<Vec<_>>())))
}

impl From<HistoryEntry> for Past {
    fn from(entry: HistoryEntry) -> Self {
        Self { timestamp: entry.timestamp, reason: entry.reason, success: entry.record.result == Phase::Completed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::DEFAULT_TIMEOUT_SECONDS;

    #[test]
    fn a_body_becomes_a_request_with_its_user_as_a_note() {
        let text = r#"{"user": "admin", "reason": "x", "force": true, "config_reload": false}"#;
        let body: RestartBody = serde_json::from_str(text).unwrap();
        let target: Target = "shop/StatefulSet/db".parse().unwrap();
        let ask = ask(&target, &body, DEFAULT_TIMEOUT_SECONDS + 1);
        assert_eq!((ask.spec.force, ask.spec.config.reload, ask.spec.timeout_seconds), (true, false, Some(31)));
        assert_eq!(
            (ask.user.as_deref(), ask.spec.requested_by, ask.spec.target_ref),
            (Some("admin"), None, target.workload)
        );
    }

    #[test]
    fn before_the_first_restart_a_workload_is_idle() {
        let status = status_of(None);
        assert_eq!((status.status, status.is_restarting, status.active_requests_count), (Word::Idle, false, 0));
    }
}
