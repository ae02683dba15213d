//! One request, from its connection to the check of its answer.
//!
//! A kept connection can be closed by the server in the very round trip in which the client picks it up; RFC 9112 9.5
//! leaves that to the client. Go's and hyper's clients send such a request again if nothing of it was written, Go's
//! also a GET that was. Here every method is sent again, POST too, once, on a new connection: the ids tell afterwards
//! whether the first attempt had been received, and then it counts as failed (`lostAfterReceipt`).
//!
//! **Invariant:** a request on a connection of its own is never sent again, nor one of whose answer a byte has come;
//! where the run says so, but for one that a 503 with Retry-After turned away, and each of those is counted.

use super::connection::{Connection, Pool};
use super::shape::Shape;
use super::spec::Spec;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode, header};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// What sending needs besides the request.
pub struct Client {
    /// Where to.
    pub address: SocketAddr,
    /// The kept connections.
    pub pool: Pool,
    /// The waits.
    pub spec: Spec,
}

/// A request answered in full and rightly.
#[derive(Debug)]
pub struct Answered {
    /// On a kept connection, in the end.
    pub kept: bool,
    /// Sent twice, after an idle close.
    pub retried: bool,
    /// How often it was turned away by a 503 with Retry-After and sent again.
    pub turned_away: u64,
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// `refused`, `reset`, `eof`, `status503`, `timeout`, ...
    pub class: String,
    /// For people.
    pub detail: String,
    /// Failed after it had been sent a second time.
    pub retried: bool,
    idle_close: bool,
    /// The answer was a 503 that asks for another attempt after this time.
    retry_after: Option<Duration>,
}

/// A client that is turned away so often gives up.
const MOST_ATTEMPTS: u64 = 5;

impl Failure {
    /// A failure that is no idle close.
    pub fn new(class: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { class: class.into(), detail: detail.into(), retried: false, idle_close: false, retry_after: None }
    }
}

impl Client {
    /// Sends one request and checks its answer; sends it again where the module says so.
    pub async fn send(&self, shape: Shape, id: &str) -> Result<Answered, Failure> {
        let mut turned_away = 0;
        let mut result = self.send_once(shape, id).await;
        while self.spec.retry_after
            && turned_away < MOST_ATTEMPTS
            && let Err(Failure { retry_after: Some(time), .. }) = &result
        {
            turned_away += 1;
            sleep(*time).await;
            result =
                self.send_on_new(shape, id).await.map(|()| Answered { kept: false, retried: false, turned_away: 0 });
        }
        result.map(|answered| Answered { turned_away, ..answered })
    }

    async fn send_once(&self, shape: Shape, id: &str) -> Result<Answered, Failure> {
        let kept = if shape.new_connection { None } else { self.pool.take() };
        let Some(connection) = kept else {
            self.send_on_new(shape, id).await?;
            return Ok(Answered { kept: false, retried: false, turned_away: 0 });
        };
        match self.attempt(connection, shape, id, true).await {
            Ok(()) => Ok(Answered { kept: true, retried: false, turned_away: 0 }),
            Err(failure) if failure.idle_close => match self.send_on_new(shape, id).await {
                Ok(()) => Ok(Answered { kept: false, retried: true, turned_away: 0 }),
                Err(failure) => Err(Failure { retried: true, ..failure }),
            },
            Err(failure) => Err(failure),
        }
    }

    async fn send_on_new(&self, shape: Shape, id: &str) -> Result<(), Failure> {
        let patience = Duration::from_millis(self.spec.connect_timeout_millis);
        let connection =
            Connection::open(self.address, patience).await.map_err(|(class, detail)| Failure::new(class, detail))?;
        self.attempt(connection, shape, id, false).await
    }

    async fn attempt(&self, mut connection: Connection, shape: Shape, id: &str, reused: bool) -> Result<(), Failure> {
        let before = connection.wire.bytes();
        let start = Instant::now();
        let patience = Duration::from_millis(self.spec.timeout_millis);
        let result = timeout(patience, self.exchange(&mut connection, shape, id)).await;
        let Ok(result) = result else { return Err(Failure::new("timeout", after(start))) };
        if let Err(mut failure) = result {
            let now = connection.wire.bytes();
            let in_one_round_trip = start.elapsed() <= Duration::from_millis(self.spec.idle_race_millis);
            let ended = matches!(connection.wire.end(), Some("eof" | "reset"));
            failure.idle_close = reused && now.0 == before.0 && (now.1 == before.1 || (ended && in_one_round_trip));
            failure.detail =
                format!("{}, {}{}", failure.detail, after(start), if reused { ", kept connection" } else { "" });
            return Err(failure);
        }
        if !shape.new_connection {
            self.pool.keep(connection);
        }
        Ok(())
    }

    async fn exchange(&self, connection: &mut Connection, shape: Shape, id: &str) -> Result<(), Failure> {
        let request = shape
            .request(&self.address.to_string(), id, self.spec.work_millis)
            .map_err(|error| Failure::new("badRequest", error))?;
        let answer = match connection.sender.send_request(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(broken(connection, &error)),
        };
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        match answer.into_body().collect().await {
            Ok(body) => check(&body.to_bytes(), id, shape.body_size()),
            Err(error) => Err(broken(connection, &error)),
        }
    }
}

fn after(start: Instant) -> String {
    format!("after {} ms", start.elapsed().as_millis())
}

/// The socket's own end, or, where the connection lives, an answer that is no HTTP.
fn broken(connection: &Connection, error: &hyper::Error) -> Failure {
    Failure::new(connection.wire.end().unwrap_or("badAnswer"), error.to_string())
}

/// A status other than 2xx, with the beginning of what the server says about it.
async fn refusal(answer: Response<Incoming>) -> Failure {
    let class = format!("status{}", answer.status().as_u16());
    let asked = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let retry_after = asked.filter(|_| answer.status() == StatusCode::SERVICE_UNAVAILABLE).map(Duration::from_secs);
    let said = timeout(Duration::from_secs(1), answer.into_body().collect()).await;
    let said = said.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let failure = Failure::new(class, String::from_utf8_lossy(&said).chars().take(200).collect::<String>().trim());
    Failure { retry_after, ..failure }
}

/// The answer must carry the request's own id, and the service must have had the whole body.
fn check(answer: &[u8], id: &str, sent: usize) -> Result<(), Failure> {
    let answer: Value = serde_json::from_slice(answer).map_err(|error| Failure::new("badBody", error.to_string()))?;
    if answer["id"] != id {
        return Err(Failure::new("wrongId", format!("the answer is for {}", answer["id"])));
    }
    if answer["received"] != sent {
        return Err(Failure::new("badBody", format!("the service had {} of {sent} bytes", answer["received"])));
    }
    Ok(())
}
