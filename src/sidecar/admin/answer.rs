//! What is answered on the admin port.
//!
//! **Invariant:** one function for each page, and each says which [`Stage`] its connection is in meanwhile.

use super::seats::{Stage, Taken};
use super::{Port, command, polls};
use crate::sidecar::drain::Refused;
use crate::sidecar::metrics;
use crate::sidecar::seldom::Seldom;
use crate::sidecar::termination::{self, Drained};
use crate::wire;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

static REFUSED: Seldom = Seldom::new();

type Answer = Response<Full<Bytes>>;

impl Port {
    /// Answers `request` of the connection at `seat`.
    pub(super) async fn answer(&self, request: Request<Incoming>, seat: &Taken) -> Answer {
        seat.enter(Stage::Brief);
        // One answer a turn: a client that sends a thousand requests at once waits its turn for each.
        tokio::task::yield_now().await;
        let post = request.method() == Method::POST;
        let answer = match (post, request.uri().path()) {
            (true, wire::DRAIN_PATH) => self.drain(request, seat.source()).await,
            (false, wire::IN_FLIGHT_PATH) => self.in_flight(request.uri().query().unwrap_or(""), seat).await,
            (false, "/livez") => text(StatusCode::OK, "ok\n"),
            (false, "/readyz") => self.readyz().await,
            (false, "/metrics") => self.metrics().await,
            (false, wire::WAIT_DRAINED_PATH) => self.wait_drained(seat).await,
            (
                _,
                wire::DRAIN_PATH | wire::IN_FLIGHT_PATH | "/livez" | "/readyz" | "/metrics" | wire::WAIT_DRAINED_PATH,
            ) => text(StatusCode::METHOD_NOT_ALLOWED, "use POST for /v1/drain and GET for the others\n"),
            _ => text(StatusCode::NOT_FOUND, "no such page: see /v1/in-flight, /readyz, /metrics\n"),
        };
        seat.enter(Stage::Idle);
        answer
    }

    /// A report; of a long poll as soon as fewer are in flight. If as many wait as may, it is answered at once.
    async fn in_flight(&self, query: &str, seat: &Taken) -> Answer {
        let shared = &self.admin.shared;
        match polls::parse(query) {
            Err(why) => return text(StatusCode::BAD_REQUEST, &format!("{why}\n")),
            Ok(Some((below, wait))) => {
                if let Some(_waiting) = self.polls.begin(seat.source()) {
                    seat.enter(Stage::Poll);
                    let _watched = shared.watch();
                    let _ = tokio::time::timeout(wait, shared.in_flight.below(below)).await;
                    seat.enter(Stage::Brief);
                }
            }
            Ok(None) => {}
        }
        shared.refresh().await;
        json(StatusCode::OK, &shared.report())
    }

    async fn metrics(&self) -> Answer {
        self.admin.shared.refresh().await;
        text(StatusCode::OK, &metrics::page(&self.admin.shared))
    }

    async fn drain(&self, request: Request<Incoming>, source: IpAddr) -> Answer {
        match self.obey(request, source).await {
            Ok(()) => json(StatusCode::OK, &self.admin.shared.report()),
            Err(refused) => {
                self.garbage.count(source, Instant::now());
                if REFUSED.is_due() {
                    tracing::warn!(%source, reason = refused.reason, why = ?refused.message, "drain command refused");
                }
                json(StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::BAD_REQUEST), &refused.to_wire())
            }
        }
    }

    async fn obey(&self, request: Request<Incoming>, source: IpAddr) -> Result<(), Refused> {
        let shared = &self.admin.shared;
        self.garbage.check(source, Instant::now()).map_err(|refused| shared.refuse(refused))?;
        let command = command::read(request).await.map_err(|refused| shared.refuse(refused))?;
        shared.obey(&command)?;
        tracing::info!(action = ?command.action, seconds = command.ttl_seconds, key = ?command.key_id, "drain command obeyed");
        Ok(())
    }

    /// Ready while terminating: where no other endpoint is left, kube-proxy falls back to ready, terminating ones.
    async fn readyz(&self) -> Answer {
        let shared = &self.admin.shared;
        let is_cordoned =
            || shared.drain(|drain| drain.is_cordoned(Instant::now()) && drain.terminating_since().is_none());
        let is_full = shared.idle.is_full();
        let is_ready = !is_cordoned() && !is_full && self.admin.app.is_ready().await;
        // A lease that began during the look counts: its report must not be followed by an answer of before.
        let is_cordoned = is_cordoned();
        shared.probed(is_ready && !is_cordoned);
        if is_cordoned {
            text(StatusCode::SERVICE_UNAVAILABLE, "a drain lease is in force\n")
        } else if is_ready {
            text(StatusCode::OK, "ok\n")
        } else if is_full {
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                "as many client connections as fit, and none of them is idle: see --max-connections and the limits of memory and open files\n",
            )
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "the app is not ready\n")
        }
    }

    /// Waits on the runtime of the traffic, where nothing is accepted or counted between two of its steps.
    async fn wait_drained(&self, seat: &Taken) -> Answer {
        seat.enter(Stage::Hook);
        let (shared, limits) = (Arc::clone(&self.admin.shared), self.admin.limits);
        // Ends with the connection that asked.
        let mut waiting = JoinSet::new();
        waiting.spawn_on(async move { termination::wait_drained(&shared, limits).await }, &self.traffic);
        match waiting.join_next().await {
            Some(Ok(Drained::Clean)) => text(StatusCode::OK, "drained\n"),
            Some(Ok(Drained::OutOfTime)) => text(StatusCode::OK, "the grace period is nearly over\n"),
            Some(Ok(Drained::NotTerminating)) => text(StatusCode::OK, "not terminating: nothing was closed\n"),
            Some(Err(_)) | None => text(StatusCode::INTERNAL_SERVER_ERROR, "the sidecar is ending\n"),
        }
    }
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
