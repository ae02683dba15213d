//! What a call asks for, read from its method, its path and its body.
//!
//! **Invariant:** nothing is guessed: a body that cannot be read makes an unknown write.

use super::kind::Kind;
use hyper::{Method, Uri};
use restart_controller::api::names;
use serde_json::Value;

/// A call to the API server or to a sidecar.
#[derive(Clone, Debug)]
pub struct Call {
    /// The kind of write; absent for a read.
    pub write: Option<Kind>,
    /// A stream of events.
    pub watch: bool,
    /// The UID that the body names as a precondition.
    pub uid: Option<String>,
    /// The body names the UID or the resourceVersion that was seen.
    pub guarded: bool,
    /// Method and path, for people.
    pub line: String,
}

struct Place<'a> {
    resource: &'a str,
    subresource: &'a str,
}

/// `/api/v1/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE` and its relatives.
fn place(path: &str) -> Place<'_> {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let skipped = if words.first() == Some(&"apis") { 3 } else { 2 };
    let rest = words.get(skipped..).unwrap_or_default();
    let rest = if rest.first() == Some(&"namespaces") && rest.len() > 2 { &rest[2..] } else { rest };
    let word = |index: usize| rest.get(index).copied().unwrap_or_default();
    Place { resource: word(0), subresource: word(2) }
}

impl Call {
    /// To the API server.
    pub fn to_api_server(method: &Method, uri: &Uri, body: &[u8]) -> Self {
        let at = place(uri.path());
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let query = uri.query().unwrap_or_default();
        let named = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let conditions = if at.subresource == "eviction" { "/deleteOptions/preconditions" } else { "/preconditions" };
        let deletes = *method == Method::DELETE || at.subresource == "eviction";
        let place = if deletes { conditions } else { "/metadata" };
        let uid = named(&format!("{place}/uid"));
        let guarded = uid.is_some() || named(&format!("{place}/resourceVersion")).is_some();
        // A Job is tried out before the run.
        let write = kind(method, &at, &body).filter(|_| !query.contains("dryRun=All"));
        Self { write, watch: query.contains("watch=true"), uid, guarded, line: format!("{method} {uri}") }
    }

    /// To a sidecar, which has a challenge in place of a resourceVersion.
    pub fn to_sidecar(method: &Method, uri: &Uri, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let named = |field: &str| body[field].as_str().map(str::to_owned);
        let write = (*method == Method::POST).then(|| match named("action").as_deref() {
            Some("Drain") => Kind::Cordon,
            Some("Release") => Kind::Release,
            Some(_) | None => Kind::Unknown,
        });
        let (uid, guarded) = (named("podUid"), named("challenge").is_some());
        Self { write, watch: false, uid, guarded, line: format!("{method} {uri}") }
    }
}

fn kind(method: &Method, at: &Place<'_>, body: &Value) -> Option<Kind> {
    let (put, post, patch) = (Method::PUT, Method::POST, Method::PATCH);
    if *method == Method::GET {
        return None;
    }
    let delete = *method == Method::DELETE;
    let dry = body.pointer("/deleteOptions/dryRun").is_some_and(|dry| !dry.is_null());
    Some(match (at.resource, at.subresource) {
        ("pods", "eviction") if dry => return None,
        ("pods", "eviction") => Kind::Evict,
        ("restartrequests", "status") if *method == put => Kind::Status,
        ("restartrequests", "") if *method == patch => Kind::Finalizer,
        ("restartrequests", "") if delete => Kind::RequestDelete,
        ("restarthistories", "status") if *method == put => Kind::HistoryStatus,
        ("restarthistories", "") if *method == post => Kind::HistoryCreate,
        ("restarthistories", "") if *method == put => Kind::HistoryUpdate,
        ("configmaps", "") if *method == patch => Kind::Key,
        ("configmaps", "") if *method == put => Kind::Map,
        ("configmaps", "") if delete => Kind::MapDelete,
        ("configmaps", "") if *method == post => made(body),
        ("pods", "") if *method == patch => patched(body),
        ("pods", "") if delete => Kind::PodDelete,
        ("jobs", "") if *method == post => Kind::JobCreate,
        ("jobs", "") if delete => Kind::JobDelete,
        ("events", "") => Kind::Event,
        ("leases", "") => Kind::Lease,
        ("secrets", "") => Kind::Key,
        _ => Kind::Unknown,
    })
}

fn made(body: &Value) -> Kind {
    match body["metadata"]["labels"][names::ROLE].as_str() {
        Some("snapshot") => Kind::Copy,
        Some("plan") => Kind::List,
        Some(_) | None => Kind::Unknown,
    }
}

fn patched(body: &Value) -> Kind {
    let annotations = &body["metadata"]["annotations"];
    match annotations.get(names::DETACHED_HASH) {
        Some(Value::String(_)) => Kind::Detach,
        Some(Value::Null) => Kind::PutBack,
        None if annotations.get(names::DELETION_COST).is_some() => Kind::Expend,
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => Kind::Unknown,
    }
}
