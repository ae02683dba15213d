//! What the API server asks for when it is busy: 429 or 503 with `Retry-After`. Nothing is sent until that time is over.
//!
//! **Invariant:** no call is repeated here. One that would have to wait for long is answered as the API server would answer it,
//! so that its pass ends and comes back then; the election's Lease goes another way and never waits here.

use http_body_util::{BodyExt as _, Limited};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tower_service::Service;

/// The longest time that is believed: an API server that knows more asks again.
const LONGEST: Duration = Duration::from_secs(60);
/// What a call waits for by itself.
const WAIT: Duration = Duration::from_secs(2);
/// Of a refusal, so many bytes are read.
const REFUSAL: usize = 64 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// When the API server may be asked again; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<Mutex<Option<Instant>>>);

impl Pace {
    /// `client`, which keeps this pace.
    #[must_use]
    pub fn keeping(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        Client::new(Paced { client, pace: self.clone() }, namespace)
    }

    /// What is left of the pause.
    fn left(&self, now: Instant) -> Duration {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn pause(&self, until: Instant) {
        let mut pause = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = pause.max(Some(until));
    }
}

struct Paced {
    client: Client,
    pace: Pace,
}

impl Service<Request<Body>> for Paced {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // The client has a queue of its own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, pace) = (self.client.clone(), self.pace.clone());
        Box::pin(async move {
            let left = pace.left(Instant::now());
            if left > WAIT {
                return told(&busy(left));
            }
            tokio::time::sleep(left).await;
            // A budget's refusal is about one pod.
            let eviction = request.uri().path().ends_with("/eviction");
            let response = client.send(request).await?;
            match asked(&response) {
                None => Ok(response),
                Some(wait) => {
                    if !eviction {
                        pace.pause(Instant::now() + wait);
                    }
                    told(&with(response, wait).await?)
                }
            }
        })
    }
}

/// `Retry-After` in seconds; the API server sends no dates.
fn asked(response: &Response<Body>) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// The refusal with the time in it, where `Error` finds it: flow control writes a line of text and the header.
async fn with(response: Response<Body>, wait: Duration) -> Result<Status, Failure> {
    let code = response.status();
    let body = Limited::new(response.into_body(), REFUSAL).collect().await?.to_bytes();
    let mut status: Status = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        Status::failure(&text, code.canonical_reason().unwrap_or_default()).with_code(code.as_u16())
    });
    let details = status.details.get_or_insert_with(|| kube::core::response::StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: vec![],
        retry_after_seconds: 0,
    });
    details.retry_after_seconds = details.retry_after_seconds.max(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
    Ok(status)
}

fn busy(left: Duration) -> Status {
    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
    let message = format!("not sent: the API server is busy and has asked for a pause, of which {seconds} s are left");
    let details = kube::core::response::StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: vec![],
        retry_after_seconds: seconds,
    };
    Status::failure(&message, "TooManyRequests").with_code(429).with_details(details)
}

fn told(status: &Status) -> Result<Response<Body>, Failure> {
    let body = serde_json::to_vec(status)?;
    Ok(Response::builder().status(status.code).header(CONTENT_TYPE, "application/json").body(Body::from(body))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::context::call;
    use crate::controller::error::Error;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, PostParams};
    use serde_json::{Value, json};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// An API server that answers the first so many calls by asking for a pause.
    #[derive(Clone)]
    struct Server {
        asked: Arc<AtomicUsize>,
        refused: usize,
        seconds: &'static str,
    }

    impl Service<Request<Body>> for Server {
        type Response = Response<Body>;
        type Error = Failure;
        type Future = std::future::Ready<Result<Response<Body>, Failure>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            let number = self.asked.fetch_add(1, SeqCst);
            let answer = if number < self.refused {
                // As flow control does: a line of text, and the time in the header alone.
                let body = Body::from(b"Too many requests, please try again later.\n".to_vec());
                Response::builder().status(429).header(RETRY_AFTER, self.seconds).body(body)
            } else {
                Response::builder().body(Body::from(json!({"metadata": {"name": "web"}}).to_string().into_bytes()))
            };
            std::future::ready(Ok(answer.unwrap()))
        }
    }

    fn server(refused: usize, seconds: &'static str) -> (Server, Pace) {
        (Server { asked: Arc::default(), refused, seconds }, Pace::default())
    }

    fn maps(server: &Server, pace: &Pace) -> Api<ConfigMap> {
        Api::namespaced(pace.keeping(Client::new(server.clone(), "shop")), "shop")
    }

    async fn get(maps: &Api<ConfigMap>) -> Result<ConfigMap, Error> {
        call("read ConfigMap web", maps.get("web")).await
    }

    #[tokio::test]
    async fn nothing_is_sent_until_the_time_is_over_that_the_api_server_asked_for() {
        let (server, pace) = server(1, "1");
        let (one, other) = (maps(&server, &pace), maps(&server, &pace));
        let begun = Instant::now();
        let refused = get(&one).await.unwrap_err();
        assert_eq!(
            (refused.category(), refused.retry_after()),
            ("throttled", Some(Duration::from_secs(1))),
            "{refused}"
        );
        assert!(get(&other).await.is_ok(), "another client with the same pace");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(server.asked.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn a_call_that_would_wait_for_long_is_answered_at_once_and_says_when_to_come_back() {
        let (server, pace) = server(1, "30");
        let maps = maps(&server, &pace);
        assert!(get(&maps).await.is_err());
        let refused = get(&maps).await.unwrap_err();
        assert!(refused.retry_after().is_some_and(|wait| wait > Duration::from_secs(28)), "{refused}");
        assert!(refused.is_passing() && !refused.is_budget());
        assert_eq!(server.asked.load(SeqCst), 1, "the second was not sent");
    }

    #[tokio::test]
    async fn the_refusal_of_a_budget_makes_nobody_else_wait() {
        let (server, pace) = server(1, "10");
        let maps = maps(&server, &pace);
        let (params, body) = (PostParams::default(), json!({}));
        assert!(maps.create_subresource::<Value, Value>("eviction", "web-1", &params, &body).await.is_err());
        assert!(get(&maps).await.is_ok());
    }
}
