//! In the place of the exporter, in programs that are built without the feature `otel`.

use crate::api::RestartRequest;
use std::time::Duration;

/// There is none.
#[derive(Clone, Debug)]
pub enum Queue {}

impl Queue {
    #[expect(clippy::unnecessary_wraps, reason = "the signature of the one that sends")]
    pub fn begin(_instance: Option<&str>) -> Result<Option<Self>, String> {
        tracing::warn!(
            "no traces are sent although the environment asks for them: this program was built without the feature otel"
        );
        Ok(None)
    }

    pub fn send(&self, _request: &RestartRequest) {
        match *self {}
    }

    pub fn catch_up(&self, _request: &RestartRequest) {
        match *self {}
    }

    #[allow(clippy::unused_async, reason = "what stands here with the feature waits")]
    pub async fn settled(&self, _limit: Duration) {
        match *self {}
    }
}
