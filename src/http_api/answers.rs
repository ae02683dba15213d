//! The four endpoints: where a restart stands, ask for one, cancel it, what was before.
//!
//! **Invariant:** a restart is a RestartRequest like any other, made by [`crate::client`] as its author would make it: what
//! the controller decides about it is read from its status.

use super::caller::Caller;
use super::error::ApiError;
use super::limits::{Body, Place, Query};
use super::target::{Named, Target};
use super::views::read;
use super::wire::{Accepted, CancelBody, Cancelled, Data, Past, RestartBody, Status, Word};
use super::{Permitted, Shared};
use crate::api::{Code, Phase, RestartRequest, TargetKind, TargetRef};
use crate::client::words::{phase, request_id};
use crate::client::{Ask, HistoryEntry, RestartClient, RestartStatus};
use axum::Json;
use axum::extract::State;
use kube::ResourceExt as _;
use serde::Deserialize;

/// Field manager of what is written for callers.
const FIELD_MANAGER: &str = "restart-http-api";
/// Of a `user` in a body, in characters.
const LONGEST_NOTE: usize = 253;

/// Where the newest restart of the workload stands.
pub async fn status(
    State(shared): State<Shared>,
    Caller { client }: Caller,
    Query(named): Query<Named>,
) -> Result<Json<Data<Status>>, ApiError> {
    let target = named.or(shared.default_target.as_ref())?;
    let restarts = RestartClient::new(client, &target.namespace);
    let newest = restarts.newest(&target.workload).await?;
    let before = if newest.is_none() { before(&restarts, &target.workload).await? } else { Word::Idle };
    Ok(Json(Data::from(status_of(newest, before))))
}

/// Where the workload stands when there is no request for it: these go away, what they did stays in its history, for those
/// who may read it.
pub async fn before(restarts: &RestartClient, workload: &TargetRef) -> Result<Word, ApiError> {
    match restarts.get_restart_history(workload, 1).await {
        Ok(past) => Ok(past.first().map_or(Word::Idle, |run| Word::of(run.record.result))),
        Err(error) if error.status() == Some(403) => Ok(Word::Idle),
        Err(error) => Err(error.into()),
    }
}

/// The status of a workload whose newest restart this is; without any, `before`.
pub fn status_of(newest: Option<RestartRequest>, before: Word) -> Status {
    let word = newest.as_ref().map_or(before, |run| Word::of(phase(run)));
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
    let permitted = shared.settings.now();
    refused_at_once(&body, permitted)?;
    let ask = ask(&target, &body, permitted.default_timeout_seconds);
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

/// What the controller would refuse as soon as it saw it.
fn refused_at_once(body: &RestartBody, permitted: Permitted) -> Result<(), ApiError> {
    short(body.user.as_ref())?;
    let most = permitted.max_wait_seconds;
    match body.timeout.filter(|timeout| *timeout > most) {
        Some(timeout) => Err(ApiError::new(
            Code::InvalidSpec,
            format!("timeout {timeout} is more than the controller allows (maxWaitSeconds {most}); ask for less"),
        )),
        None if body.force && !permitted.force => Err(ApiError::new(
            Code::Forbidden,
            "force is disabled in the controller's configuration (enableForceRestart); ask without force",
        )),
        None => Ok(()),
    }
}

/// A note, and no place to keep things.
fn short(user: Option<&String>) -> Result<(), ApiError> {
    match user {
        Some(user) if user.chars().count() > LONGEST_NOTE => {
            Err(ApiError::new(Code::InvalidSpec, format!("user is longer than {LONGEST_NOTE} characters")))
        }
        _ => Ok(()),
    }
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
    short(body.user.as_ref())?;
    let (named, default) = (body.named(), shared.default_target.as_ref());
    let namespace = named.namespace_or(default)?;
    let restarts = RestartClient::new(client, &namespace);
    let cancelled = match &body.request_id {
        Some(id) => {
            let run = read(restarts.kube(), Place(namespace.clone(), id.clone())).await?;
            named.fits(id, &run.spec.target_ref)?;
            restarts.cancel(&run, false).await?
        }
        None => restarts.cancel_restart(&named.or(default)?.workload).await?,
    };
    let (name, who) = (cancelled.name_any(), restarts.whoami().await);
    tracing::info!(target: "audit", who, note = body.user, namespace, request = name, "restart cancelled over HTTP");
    let workload = &cancelled.spec.target_ref;
    let message = format!("{} of {workload} in namespace {namespace} is being cancelled", request_id(&name));
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
        let status = status_of(None, Word::Idle);
        assert_eq!((status.status, status.is_restarting, status.active_requests_count), (Word::Idle, false, 0));
    }

    #[test]
    fn what_the_controller_would_refuse_at_once_is_refused_here() {
        let permitted = |force| Permitted { default_timeout_seconds: 30, max_wait_seconds: 300, force };
        let said = |text: &str, force| {
            let refused = refused_at_once(&serde_json::from_str(text).unwrap(), permitted(force));
            refused.err().map(|error| (error.status.as_u16(), error.code))
        };
        assert_eq!(said(r#"{"reason": "x", "timeout": 300, "force": true}"#, true), None);
        assert_eq!(said(r#"{"reason": "x", "timeout": 301}"#, true), Some((422, Code::InvalidSpec)));
        assert_eq!(said(r#"{"reason": "x", "force": true}"#, false), Some((403, Code::Forbidden)));
        let user = format!(r#"{{"reason": "x", "user": "{}"}}"#, "u".repeat(254));
        assert_eq!(said(&user, true), Some((422, Code::InvalidSpec)));
    }
}
