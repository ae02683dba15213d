//! The admin port: reports, drain commands, probes, metrics, and the app's preStop hook.
//!
//! **Invariant:** nothing here counts as a request, and only a signed command changes anything.

use super::descriptors::Room;
use super::drain::Refused;
use super::listen;
use super::metrics;
use super::readiness::{self, ReadinessUrl};
use super::state::Shared;
use super::termination::{self, Drained, Limits};
use crate::wire::{self, DrainCommand};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Longest long poll, in seconds.
pub const MAX_WAIT_SECONDS: u64 = 60;
/// Longest time for a request to this port to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

type Answer = Response<Full<Bytes>>;

/// What the admin port needs.
pub struct Admin {
    /// Counts and drain.
    pub shared: Arc<Shared>,
    /// Where the app listens.
    pub app: SocketAddr,
    /// The app's own readiness URL.
    pub readiness_url: Option<ReadinessUrl>,
    /// How long a termination may take.
    pub limits: Limits,
}

/// Serves the admin port as long as the process runs.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, room: Room) {
    loop {
        let one = room.one().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let admin = Arc::clone(&admin);
                tokio::spawn(async move {
                    serve_connection(stream, admin).await;
                    drop(one);
                });
            }
            Err(error) => listen::wait_out(&error).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, admin: Arc<Admin>) {
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(admin.answer(request).await) }
    });
    // A broken admin connection is its client's matter.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let post = request.method() == Method::POST;
        match (post, request.uri().path()) {
            (true, wire::DRAIN_PATH) => self.drain(request).await,
            (false, wire::IN_FLIGHT_PATH) => self.in_flight(request.uri().query().unwrap_or("")).await,
            (false, "/livez") => text(StatusCode::OK, "ok\n"),
            (false, "/readyz") => self.readyz().await,
            (false, "/metrics") => text(StatusCode::OK, &metrics::page(&self.shared)),
            (false, "/wait-drained") => self.wait_drained().await,
            (_, wire::DRAIN_PATH | wire::IN_FLIGHT_PATH | "/livez" | "/readyz" | "/metrics" | "/wait-drained") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "use POST for /v1/drain and GET for the others\n")
            }
            _ => text(StatusCode::NOT_FOUND, "no such page: see /v1/in-flight, /readyz, /metrics\n"),
        }
    }

    async fn in_flight(&self, query: &str) -> Answer {
        match long_poll(query) {
            Err(why) => return text(StatusCode::BAD_REQUEST, &format!("{why}\n")),
            Ok(Some((below, wait))) => {
                let _ = tokio::time::timeout(wait, self.shared.in_flight.below(below)).await;
            }
            Ok(None) => {}
        }
        self.shared.refresh().await;
        json(StatusCode::OK, &self.shared.report())
    }

    async fn drain(&self, request: Request<Incoming>) -> Answer {
        let obeyed = match read_command(request).await {
            Ok(command) => self.shared.obey(&command).map(|()| command),
            Err(refused) => Err(self.shared.refuse(refused)),
        };
        match obeyed {
            Ok(command) => {
                tracing::info!(action = ?command.action, seconds = command.ttl_seconds, key = command.key_id, "drain command obeyed");
                json(StatusCode::OK, &self.shared.report())
            }
            Err(refused) => {
                tracing::warn!(reason = refused.reason, message = refused.message, "drain command refused");
                json(StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::BAD_REQUEST), &refused.to_wire())
            }
        }
    }

    /// Ready while terminating: where no other endpoint is left, kube-proxy falls back to ready, terminating ones.
    async fn readyz(&self) -> Answer {
        let (cordoned, terminating) = self
            .shared
            .drain(|drain| (drain.is_cordoned(std::time::Instant::now()), drain.terminating_since().is_some()));
        if cordoned && !terminating {
            return text(StatusCode::SERVICE_UNAVAILABLE, "a drain lease is in force\n");
        }
        if readiness::app_is_ready(self.app, self.readiness_url.as_ref()).await {
            text(StatusCode::OK, "ok\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "the app is not ready\n")
        }
    }

    async fn wait_drained(&self) -> Answer {
        text(
            StatusCode::OK,
            match termination::wait_drained(&self.shared, self.limits).await {
                Drained::Clean => "drained\n",
                Drained::OutOfTime => "the grace period is nearly over\n",
                Drained::NotTerminating => "not terminating: nothing was closed\n",
            },
        )
    }
}

async fn read_command(request: Request<Incoming>) -> Result<DrainCommand, Refused> {
    let body = Limited::new(request.into_body(), wire::MAX_BODY);
    let arrived = tokio::time::timeout(HEAD_TIMEOUT, body.collect()).await;
    let body =
        arrived.map_err(|_| Refused::new("BadRequest", "the body took too long to arrive"))?.map_err(|error| {
            match error.downcast_ref::<http_body_util::LengthLimitError>() {
                Some(_) => Refused::new("TooLarge", format!("a command has at most {} bytes", wire::MAX_BODY)),
                None => Refused::new("BadRequest", "the body broke off"),
            }
        })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| Refused::new("BadRequest", format!("no drain command: {error}")))
}

/// `below=N&waitSeconds=S`; each may be absent: below 1, without a wait.
fn long_poll(query: &str) -> Result<Option<(u64, Duration)>, String> {
    let (mut below, mut wait) = (1, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let number: u64 = value.parse().map_err(|_| format!("{name}: {value:?} is not a number"))?;
        match name {
            "below" => below = number,
            "waitSeconds" => wait = Some(number.min(MAX_WAIT_SECONDS)),
            _ => return Err(format!("{name:?} is not known: below and waitSeconds are")),
        }
    }
    Ok(wait.map(|seconds| (below, Duration::from_secs(seconds))))
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // These types hold strings and numbers only: they always serialise.
    answer(status, "application/json", serde_json::to_vec(value).unwrap_or_default().into())
}

fn text(status: StatusCode, text: &str) -> Answer {
    answer(status, "text/plain", text.to_owned().into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_poll_is_asked_for_by_its_wait() {
        assert_eq!(long_poll(""), Ok(None));
        assert_eq!(long_poll("below=3&waitSeconds=5"), Ok(Some((3, Duration::from_secs(5)))));
        assert_eq!(long_poll("waitSeconds=9999"), Ok(Some((1, Duration::from_secs(MAX_WAIT_SECONDS)))));
        assert!(long_poll("below=x").is_err() && long_poll("bellow=1").is_err());
    }
}
