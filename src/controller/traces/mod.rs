//! One OpenTelemetry trace per restart, its phases as spans; feature `otel`, switched on by the variables of the
//! OpenTelemetry specification (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`).
//!
//! A trace is made of the recorded status when the run has ended, and its ids of the request's UID and the run: a controller
//! that is killed in mid-run loses nothing of it, and one that is killed after the last write has its successor send it
//! with the same ids.
//!
//! **Invariant:** no span is kept open and none is sent before the end is recorded; nothing here can fail or delay a pass.

#[cfg(feature = "otel")]
mod export;
#[cfg(not(feature = "otel"))]
#[path = "without.rs"]
mod export;
#[cfg(feature = "otel")]
mod spans;

use super::error::Error;
use crate::api::{RestartRequest, Step};
use export::Queue;
use std::time::Duration;

/// Where traces go when one of these is set; the second is for traces alone.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// The way to the receiver of traces, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    queue: Option<Queue>,
}

impl Traces {
    /// Follows the environment; `instance` is the controller's pod.
    ///
    /// # Errors
    /// When what the environment says is no endpoint.
    pub fn from_environment(instance: Option<&str>) -> Result<Self, Error> {
        if !ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
            return Ok(Self::default());
        }
        let queue = Queue::begin(instance);
        Ok(Self { queue: queue.map_err(|why| Error::Startup(format!("{}: {why}", ENDPOINTS.join(" or "))))? })
    }

    /// The end of this run has just been recorded.
    pub fn ended(&self, request: &RestartRequest) {
        if let Some(queue) = &self.queue {
            queue.send(request);
        }
    }

    /// A run that was over when it was first seen: if it ended just before this process led, another one may have recorded
    /// its end and not have sent it.
    pub fn seen(&self, request: &RestartRequest) {
        let over = request.status.as_ref().is_some_and(|status| status.step == Some(Step::Finished));
        if let Some(queue) = self.queue.as_ref().filter(|_| over) {
            queue.catch_up(request);
        }
    }

    /// Waits until what ended is sent, at most so long.
    pub async fn settled(&self, limit: Duration) {
        if let Some(queue) = &self.queue {
            queue.settled(limit).await;
        }
    }
}
