//! The controller's own HTTP port: `/livez`, `/readyz`, `/metrics`.
//!
//! **Invariant:** nothing here changes anything or shows an object of the cluster.

use super::error::Error;
use super::metrics::Metrics;
use super::watchdog::Watchdog;
use crate::sockets;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections served at any time; more wait.
const CONNECTIONS: usize = 64;
/// Longest wait for a request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// What the controller still waits for before it is ready.
#[derive(Clone, Debug)]
pub struct Health {
    outstanding: Arc<Mutex<BTreeMap<&'static str, String>>>,
    /// Whether the loops still answer.
    pub watchdog: Watchdog,
}

impl Health {
    /// Not ready before each of `outstanding` is [`done`](Self::done).
    #[must_use]
    pub fn waiting_for(outstanding: impl IntoIterator<Item = &'static str>) -> Self {
        let outstanding = outstanding.into_iter().map(|what| (what, what.to_owned())).collect();
        Self { outstanding: Arc::new(Mutex::new(outstanding)), watchdog: Watchdog::start() }
    }

    /// Not ready, or no longer, before `what` is done; `why` is what readiness says of it.
    pub fn wait(&self, what: &'static str, why: String) {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner).insert(what, why);
    }

    /// `what` is no longer waited for.
    pub fn done(&self, what: &str) {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    fn missing(&self) -> Vec<String> {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Serves on `address` for as long as the process lives; returns the address with its real port.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(address: SocketAddr, health: Health, metrics: Metrics) -> Result<SocketAddr, Error> {
    let refused = |error| Error::Startup(format!("--admin {address} cannot be listened on: {error}"));
    let listener = sockets::listen(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    tokio::spawn(accept(listener, health, metrics));
    tracing::info!(address = %bound, "serving /livez, /readyz and /metrics");
    Ok(bound)
}

async fn accept(listener: TcpListener, health: Health, metrics: Metrics) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: an immediate retry would spin.
                tracing::warn!(%error, "a connection to the admin port was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (health, metrics) = (health.clone(), metrics.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &health, &metrics);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
            // A client that breaks off is its own affair.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match request.uri().path() {
        // A loop that ends ends the process.
        "/livez" => match health.watchdog.hanging().as_slice() {
            [] => text(StatusCode::OK, "ok\n"),
            loops => text(StatusCode::SERVICE_UNAVAILABLE, format!("no sign of life from {}\n", loops.join(", "))),
        },
        "/readyz" => match health.missing().as_slice() {
            [] => text(StatusCode::OK, "ok\n"),
            missing => text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", missing.join(", "))),
        },
        "/metrics" => {
            typed(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics.encoded())
        }
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn served(health: &Health) -> SocketAddr {
        serve(([127, 0, 0, 1], 0).into(), health.clone(), Metrics::default()).await.unwrap()
    }

    #[tokio::test]
    async fn readiness_names_what_is_waited_for_and_comes_when_all_is_there() {
        let health = Health::waiting_for(["keys", "watches"]);
        let address = served(&health).await;
        health.done("keys");
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("waiting for watches\n"), "{answer}");
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        health.done("watches");
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn metrics_are_openmetrics_text() {
        let answer = get(served(&Health::waiting_for([])).await, "/metrics").await;
        assert!(answer.contains("application/openmetrics-text"), "{answer}");
        assert!(answer.contains("restart_controller_build_info{version="), "{answer}");
        assert!(answer.ends_with("# EOF\n"), "{answer}");
    }

    #[tokio::test]
    async fn any_other_path_is_not_found() {
        assert!(get(served(&Health::waiting_for([])).await, "/").await.starts_with("HTTP/1.1 404"));
    }
}
