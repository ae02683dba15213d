//! The `OpenAPI` document, made of the types in [`wire`](super::wire) and `views`; `docs/openapi.json` is a copy of it.
//!
//! **Invariant:** no field is described here: a body's fields, bounds and words stand with the type that is parsed.

use super::Shared;
use super::diff::ConfigMapDiff;
use super::target::REQUEST_ID;
use super::views::Run;
use super::wire::{Accepted, CancelBody, Cancelled, Data, Past, Refusal, RestartBody, Status};
use crate::api::TargetKind;
use crate::api::names::{LABEL, SUBDOMAIN};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Where the longest wait stands that a caller may ask for.
const LONGEST_WAIT: &str = "/components/schemas/RestartBody/properties/timeout/maximum";

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// `GET /openapi.json`.
pub async fn served(State(shared): State<Shared>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], with_limit(shared.settings.now().max_wait_seconds))
}

/// The document, for a controller with the longest `maxWaitSeconds` that there is.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", *DOCUMENT)
}

fn with_limit(max_wait_seconds: i32) -> String {
    let mut document = DOCUMENT.clone();
    if let Some(maximum) = document.pointer_mut(LONGEST_WAIT) {
        *maximum = max_wait_seconds.into();
    }
    format!("{document:#}\n")
}

/// The document.
fn document() -> Value {
    let mut schemas = Schemas::default();
    let paths = paths(&mut schemas);
    let refusal = schemas.of::<Refusal>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "restart-controller", "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Restart a Kubernetes workload without losing a request. Every call is made with the caller's own rights: the bearer token is handed on to the cluster's API server.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "A token of the cluster, such as `kubectl create token NAME` prints."}},
            "responses": {"Refused": {
                "description": "Nothing was done. The HTTP status, the code and the message say why.",
                "content": {"application/json": {"schema": refusal}},
            }},
            "schemas": schemas.definitions(),
        },
    })
}

/// Those of bodies are as they are read, those of answers as they are written.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self { read: settings().for_deserialize().into(), written: settings().for_serialize().into() }
    }
}

impl Schemas {
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    fn body<T: JsonSchema>(&mut self) -> Value {
        json!({"required": true, "content": {"application/json": {"schema": self.read.subschema_for::<T>().to_value()}}})
    }

    fn definitions(&mut self) -> Value {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        Value::Object(all)
    }
}

fn paths(schemas: &mut Schemas) -> Value {
    let target = || vec![query("namespace", &label()), query("kind", &kind()), query("name", &subdomain())];
    let limit = json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 10});
    let scope = json!({"type": "string", "enum": ["workload", "all"], "default": "workload"});
    let space = || vec![query("namespace", &label())];
    let run = || vec![path("namespace", &label()), path("request_id", &request_id())];
    let and = |mut some: Vec<Value>, one: Value| {
        some.push(one);
        some
    };
    json!({
        "/api/restart/status": {"get": call("status", "Where the newest restart of a workload stands; idle only before the first.", &target(), &answer::<Data<Status>>(schemas))},
        "/api/restart/request": {"post": with_body(call("request", "Ask for a restart.", &[], &answer::<Accepted>(schemas)), schemas.body::<RestartBody>())},
        "/api/restart/cancel": {"post": with_body(call("cancel", "Cancel the newest restart of a workload, while it is preparing.", &[], &answer::<Cancelled>(schemas)), schemas.body::<CancelBody>())},
        "/api/restart/history": {"get": call("history", "The last restarts of a workload that ended, newest first.", &and(target(), query("limit", &limit)), &answer::<Data<Vec<Past>>>(schemas))},
        "/api/restart/events": {"get": call("events", "Server-sent events: `run` for each restart in full, `listed` after those that were there, `gone`, `status` of one workload. Ends after five minutes at most; ask again.", &and(target(), query("scope", &scope)), &stream())},
        "/api/restart/runs": {"get": call("runs", "The restarts of a namespace, or of all, newest first.", &space(), &answer::<Data<Vec<Run>>>(schemas))},
        "/api/restart/runs/{namespace}/{request_id}": {"get": call("run", "One restart in full.", &run(), &answer::<Data<Run>>(schemas))},
        "/api/restart/runs/{namespace}/{request_id}/diff": {"get": call("diff", "What a restart means for its ConfigMaps.", &run(), &answer::<Data<Vec<ConfigMapDiff>>>(schemas))},
    })
}

fn call(id: &str, summary: &str, parameters: &[Value], content: &Value) -> Value {
    let refused = json!({"$ref": "#/components/responses/Refused"});
    let mut responses = json!({"200": {"description": "Done.", "content": content}});
    for status in ["400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "502", "503", "504"] {
        responses[status] = refused.clone();
    }
    json!({"operationId": id, "summary": summary, "parameters": parameters, "responses": responses})
}

fn with_body(mut call: Value, body: Value) -> Value {
    call["requestBody"] = body;
    call
}

fn answer<T: JsonSchema>(schemas: &mut Schemas) -> Value {
    json!({"application/json": {"schema": schemas.of::<T>()}})
}

fn stream() -> Value {
    json!({"text/event-stream": {"schema": {"type": "string"}}})
}

fn query(name: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "query", "required": false, "schema": schema})
}

fn path(name: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn label() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 63, "pattern": LABEL})
}

fn subdomain() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": SUBDOMAIN})
}

fn request_id() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": REQUEST_ID})
}

fn kind() -> Value {
    let words = [TargetKind::Deployment, TargetKind::StatefulSet, TargetKind::DaemonSet];
    json!({"type": "string", "enum": words})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_the_one_that_this_controller_permits() {
        let limited: Value = serde_json::from_str(&with_limit(300)).unwrap();
        assert_eq!(
            (limited.pointer(LONGEST_WAIT), document().pointer(LONGEST_WAIT)),
            (Some(&json!(300)), Some(&json!(86_400)))
        );
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document = document();
        let mut waiting = vec![&document];
        let mut seen = 0;
        while let Some(value) = waiting.pop() {
            if let Some(path) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(path.trim_start_matches('#')).is_some(), "{path}");
                seen += 1;
            }
            match value {
                Value::Object(members) => waiting.extend(members.values()),
                Value::Array(members) => waiting.extend(members),
                _ => {}
            }
        }
        assert!(seen > 20, "{seen}");
    }
}
