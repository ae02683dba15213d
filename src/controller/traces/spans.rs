//! The spans of a run that is over, from its request as it is recorded.
//!
//! **Invariant:** pure: the same request gives the same spans, ids included, whoever makes them and however often.

use crate::api::{HistoryEntry, Phase, RestartRequest, RestartRequestStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::time::SystemTime;

/// The run, then each phase that it went through before its end, in their order.
#[must_use]
pub fn spans(request: &RestartRequest) -> Vec<SpanData> {
    let Some(status) = request.status.as_ref().map(recorded) else { return vec![] };
    let Some(begun) = status.history.first().map(|entry| entry.started_at.clone()).or(status.started_at.clone()) else {
        return vec![];
    };
    let ended = status.finished_at.clone().unwrap_or_else(|| begun.clone());
    let trace = trace_id(request, &status);
    let root = span_id(trace, "run");
    let mut run = span(trace, root, SpanId::INVALID, "restart", &begun, &ended);
    run.attributes = common(request);
    run.attributes.extend(result(request, &status));
    run.status = verdict(&status);
    let mut spans = vec![run];
    for (index, entry) in status.history.iter().enumerate().filter(|(_, entry)| !entry.phase.is_terminal()) {
        let id = span_id(trace, &format!("phase {index}"));
        let ended = entry.finished_at.as_ref().unwrap_or(&ended);
        let mut phase = span(trace, id, root, entry.phase.word(), &entry.started_at, ended);
        phase.attributes = common(request);
        phase.attributes.extend(of_phase(entry));
        spans.push(phase);
    }
    spans
}

/// As it is at the API server, whose times have whole seconds.
fn recorded(status: &RestartRequestStatus) -> RestartRequestStatus {
    let written = serde_json::to_value(status).and_then(serde_json::from_value);
    written.unwrap_or_else(|_| status.clone())
}

/// Of the request's UID and the run.
fn trace_id(request: &RestartRequest, status: &RestartRequestStatus) -> TraceId {
    let uid = request.metadata.uid.as_deref().unwrap_or_default();
    let run = status.run_generation.or(status.observed_generation).unwrap_or_default();
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(format!("restart {uid} {run}"))[..16]);
    TraceId::from_bytes(id)
}

fn span_id(trace: TraceId, what: &str) -> SpanId {
    let mut id = [0; 8];
    id.copy_from_slice(&Sha256::digest(format!("{trace} {what}"))[..8]);
    SpanId::from_bytes(id)
}

fn span(
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    name: impl Into<Cow<'static, str>>,
    from: &Time,
    to: &Time,
) -> SpanData {
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: time(from.0),
        end_time: time(to.0),
        attributes: vec![],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("restart-controller")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

fn time(at: Timestamp) -> SystemTime {
    SystemTime::from(at)
}

/// On every span, so that each can be found alone.
fn common(request: &RestartRequest) -> Vec<KeyValue> {
    let target = &request.spec.target_ref;
    vec![
        KeyValue::new("k8s.namespace.name", request.metadata.namespace.clone().unwrap_or_default()),
        KeyValue::new("restart.name", request.metadata.name.clone().unwrap_or_default()),
        KeyValue::new("restart.uid", request.metadata.uid.clone().unwrap_or_default()),
        KeyValue::new("restart.target", format!("{:?}/{}", target.kind, target.name)),
    ]
}

fn result(request: &RestartRequest, status: &RestartRequestStatus) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("restart.result", status.phase.map_or("", Phase::word)),
        KeyValue::new("restart.reason", request.spec.reason.clone()),
        KeyValue::new("restart.progress", status.progress.clone()),
    ];
    attributes.extend(status.code.map(|code| KeyValue::new("restart.code", code.number())));
    attributes.extend(status.requested_by.clone().map(|user| KeyValue::new("restart.requested_by", user)));
    attributes.extend(request.spec.trigger.clone().map(|trigger| KeyValue::new("restart.trigger", trigger)));
    attributes
}

fn of_phase(entry: &HistoryEntry) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("restart.step", entry.reason.clone()),
        KeyValue::new("restart.message", entry.message.clone()),
    ];
    if !entry.pods.is_empty() {
        let pods = entry.pods.iter().cloned().map(StringValue::from).collect();
        attributes.push(KeyValue::new("restart.pods", Value::Array(Array::String(pods))));
    }
    attributes.extend(entry.merged.map(|merged| KeyValue::new("restart.merged", merged)));
    attributes
}

fn verdict(status: &RestartRequestStatus) -> Status {
    match status.phase {
        Some(Phase::Completed) => Status::Ok,
        Some(Phase::Failed) => Status::error(status.message.clone()),
        Some(
            Phase::Pending
            | Phase::Preparing
            | Phase::Restarting
            | Phase::WaitingRequests
            | Phase::Recovering
            | Phase::Cancelled,
        )
        | None => Status::Unset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(generation: i64) -> RestartRequest {
        let entry = |phase: &str, from: &str, to: Option<&str>| {
            json!({"phase": phase, "reason": "Step", "message": "said", "startedAt": format!("2026-11-23T01:00:{from}Z"),
                "finishedAt": to.map(|to| format!("2026-11-23T01:00:{to}Z")), "pods": ["web-1"]})
        };
        serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
            "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "prices"},
            "status": {"phase": "Failed", "step": "Finished", "code": "RESTART_006", "message": "no", "runGeneration": generation,
                "startedAt": "2026-11-23T01:00:00Z", "finishedAt": "2026-11-23T01:00:09Z",
                "history": [entry("Preparing", "00", Some("02")), entry("Restarting", "02", Some("09")), entry("Failed", "09", None)]},
        }))
        .unwrap()
    }

    fn seconds(span: &SpanData) -> (u64, u64) {
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() % 60;
        (since(span.start_time), since(span.end_time))
    }

    #[test]
    fn a_run_is_the_parent_of_its_phases_which_have_the_times_of_the_history() {
        let spans = spans(&request(1));
        let shown: Vec<_> = spans.iter().map(|span| (span.name.as_ref(), seconds(span))).collect();
        assert_eq!(shown, [("restart", (0, 9)), ("Preparing", (0, 2)), ("Restarting", (2, 9))]);
        assert!(spans[1..].iter().all(|span| span.parent_span_id == spans[0].span_context.span_id()));
        assert_eq!(spans[0].status, Status::error("no"));
        for (name, value) in [
            ("k8s.namespace.name", "shop"),
            ("restart.name", "web"),
            ("restart.target", "Deployment/web"),
            ("restart.result", "Failed"),
            ("restart.code", "RESTART_006"),
        ] {
            assert!(spans[0].attributes.contains(&KeyValue::new(name, value)), "{name}: {:?}", spans[0].attributes);
        }
    }

    #[test]
    fn whoever_makes_the_trace_it_has_the_same_ids_and_another_run_has_others() {
        let ids = |request: &RestartRequest| {
            let ids = |span: &SpanData| (span.span_context.trace_id(), span.span_context.span_id());
            spans(request).iter().map(ids).collect::<Vec<_>>()
        };
        assert_eq!(ids(&request(1)), ids(&request(1)));
        assert!(ids(&request(1)).iter().all(|id| !ids(&request(2)).contains(id)));
    }
}
