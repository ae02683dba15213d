//! Answers that the proxy makes itself.
//!
//! **Invariant:** they look as the API server's own do.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Response, StatusCode, header};
use serde_json::{Value, json};

/// The body of an answer.
pub type Reply = http_body_util::combinators::UnsyncBoxBody<Bytes, Cut>;

/// The connection is reset.
#[derive(Debug, thiserror::Error)]
#[error("the plan cuts this connection")]
pub struct Cut;

/// A whole answer.
pub fn whole(status: u16, body: impl Into<Bytes>) -> Response<Reply> {
    let mut response = Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// A failure, as the API server words it.
pub fn failure(status: u16) -> Response<Reply> {
    let reason = match status {
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let mut response = whole(status, status_object(status, reason).to_string());
    if matches!(status, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn status_object(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": format!("the plan answers {code}")})
}

/// Bytes that are no JSON.
pub fn garbage() -> Response<Reply> {
    whole(200, Bytes::from_static(b"\x00\xff<html>not what you asked for"))
}

/// The event that ends a watch whose resourceVersion is too old.
pub fn gone_event() -> Bytes {
    let event = json!({"type": "ERROR", "object": status_object(410, "Expired")});
    Bytes::from(format!("{event}\n"))
}
