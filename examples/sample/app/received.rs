//! A receiver of hooks: answers as the query asks, and tells afterwards what it was sent.
//!
//! **Invariant:** everything is on record before it is answered: a caller that was cut off is on record as well.

use crate::http::{Body, json, query, text};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode, header};
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const LONGEST_BODY: usize = 64 * 1024;
const LONGEST_DELAY_MILLIS: u64 = 600_000;

/// What has been sent so far, in order.
#[derive(Default)]
pub struct Received(Mutex<Vec<One>>);

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    method: String,
    path: String,
    idempotency_key: String,
    user_agent: String,
    body: String,
}

impl Received {
    /// `/hook?status=500&millis=2000&location=http://...`: answers so, after so long.
    pub async fn take(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
            return text(StatusCode::BAD_REQUEST, "the body broke off or is too long");
        };
        let one = One {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            idempotency_key: value(&head.headers, "idempotency-key"),
            user_agent: value(&head.headers, "user-agent"),
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        let number = |key| query(&head.uri, key).and_then(|value| value.parse::<u64>().ok());
        tokio::time::sleep(Duration::from_millis(number("millis").unwrap_or(0).min(LONGEST_DELAY_MILLIS))).await;
        let status = number("status").and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
        let mut answer = text(status.unwrap_or(StatusCode::OK), "the receiver answers as it was asked");
        if let Some(location) = query(&head.uri, "location").and_then(|location| location.parse().ok()) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        answer
    }

    /// `/hooks`: everything so far.
    pub fn all(&self) -> Response<Body> {
        json(StatusCode::OK, &*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn value(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
