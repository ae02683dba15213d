//! The way of the spans to their receiver: OTLP over HTTP, sent again while the receiver is away.
//!
//! **Invariant:** one task sends, in order; what does not fit into the queue or cannot be delivered is dropped and told.

use super::spans::spans;
use crate::api::RestartRequest;
use crate::controller::hooks::tls;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Traces that wait for the receiver; more are dropped.
const WAITING: usize = 1024;
/// Attempts for one trace, and the pause after the first of them; each pause is twice the one before (31 s in all).
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);
/// One attempt.
const LIMIT: Duration = Duration::from_secs(10);
/// A run that ended so long before this process led may be one whose end is recorded and not sent: the default lease twice,
/// and as much for clocks that differ.
const CATCH_UP: SignedDuration = SignedDuration::from_secs(60);

enum Job {
    Send(Vec<SpanData>),
    /// All before it are sent, or given up.
    Tell(oneshot::Sender<()>),
}

/// What waits to be sent.
#[derive(Clone, Debug)]
pub struct Queue {
    jobs: mpsc::Sender<Job>,
    /// When this process first looked at a run.
    led: Arc<OnceLock<Timestamp>>,
}

impl Queue {
    /// Begins to send to where the environment says.
    pub fn begin(instance: Option<&str>) -> Result<Option<Self>, String> {
        let exporter = exporter(instance)?;
        let (jobs, waiting) = mpsc::channel(WAITING);
        tokio::spawn(send_all(exporter, waiting));
        tracing::info!("traces of restarts are sent");
        Ok(Some(Self { jobs, led: Arc::default() }))
    }

    /// Sends the trace of a run that is over.
    pub fn send(&self, request: &RestartRequest) {
        self.led.get_or_init(Timestamp::now);
        if self.jobs.try_send(Job::Send(spans(request))).is_err() {
            tracing::warn!(name = request.metadata.name, "its trace is dropped: {WAITING} others wait already");
        }
    }

    /// The same, if it ended just before this process led.
    pub fn catch_up(&self, request: &RestartRequest) {
        let led = *self.led.get_or_init(Timestamp::now);
        let ended = request.status.as_ref().and_then(|status| status.finished_at.as_ref());
        let before = |ended: Timestamp| led.duration_since(ended);
        // Times have whole seconds: what ended in this one may be our own.
        if ended.is_some_and(|ended| before(ended.0) >= SignedDuration::from_secs(1) && before(ended.0) < CATCH_UP) {
            self.send(request);
        }
    }

    /// Waits until the queue is empty, at most so long.
    pub async fn settled(&self, limit: Duration) {
        let (sender, told) = oneshot::channel();
        let settled = async {
            // An error means that the other side is gone: nothing to wait for.
            let _ = self.jobs.send(Job::Tell(sender)).await;
            let _ = told.await;
        };
        if tokio::time::timeout(limit, settled).await.is_err() {
            tracing::warn!("traces are left that were not sent; the next replica sends those of the last minute");
        }
    }
}

async fn send_all(exporter: SpanExporter, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Send(spans) => send(&exporter, spans).await,
            Job::Tell(sender) => drop(sender.send(())),
        }
    }
}

async fn send(exporter: &SpanExporter, spans: Vec<SpanData>) {
    let mut pause = PAUSE;
    for attempt in 1..=ATTEMPTS {
        match exporter.export(spans.clone()).await {
            Ok(()) => return,
            Err(error) if attempt == ATTEMPTS => {
                tracing::warn!(%error, attempts = ATTEMPTS, "a trace is dropped: its receiver does not take it");
            }
            Err(error) => {
                tracing::debug!(%error, attempt, "a trace was not taken");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

/// Endpoint, headers and limits are those of the environment, as the specification has them.
fn exporter(instance: Option<&str>) -> Result<SpanExporter, String> {
    let client = HyperClient::new(connector()?, LIMIT, None);
    let builder = SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
    let mut exporter = builder.with_timeout(LIMIT).build().map_err(|error| error.to_string())?;
    let attributes = [
        Some(("service.version", env!("CARGO_PKG_VERSION").to_owned())),
        instance.map(|pod| ("service.instance.id", pod.to_owned())),
    ];
    let attributes = attributes.into_iter().flatten().map(|(key, value)| opentelemetry::KeyValue::new(key, value));
    exporter
        .set_resource(&Resource::builder().with_service_name("restart-controller").with_attributes(attributes).build());
    Ok(exporter)
}

fn connector() -> Result<HttpsConnector<HttpConnector>, String> {
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls::config()?).https_or_http().enable_http1().build())
}
