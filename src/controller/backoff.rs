//! How long a restart waits after a pass that failed: each restart by itself, so none pays for another's fault.
//!
//! **Invariant:** pure but for the small map; no clock, no randomness.

use super::error::Error;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// After a conflict the next pass reads what the other wrote: nothing to wait for.
const AFTER_CONFLICT: Duration = Duration::from_millis(100);
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Failures in a row, by namespace and name.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// The pass for `object` failed with `error`: when to try again.
    pub fn after(&self, object: &str, error: &Error) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.to_owned()).or_default();
        *count += 1;
        let doubled = |first: Duration| first.saturating_mul(1 << (*count - 1).min(16)).min(LONGEST);
        let wait = if error.is_conflict() { doubled(AFTER_CONFLICT).min(FIRST) } else { doubled(FIRST) };
        wait.max(error.retry_after().unwrap_or_default())
    }

    /// The pass for `object` succeeded, or the object is gone.
    pub fn forget(&self, object: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict() -> Error {
        let status = kube::core::Status::failure("no", "Conflict").with_code(409);
        Error::Kube { what: "write".into(), source: kube::Error::Api(status.boxed()) }
    }

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew_after_a_success() {
        let backoff = Backoff::default();
        let error = Error::Internal("broken".into());
        let waits: Vec<_> = (0..9).map(|_| backoff.after("shop/web", &error).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(backoff.after("shop/other", &error), FIRST);
        backoff.forget("shop/web");
        assert_eq!(backoff.after("shop/web", &error), FIRST);
    }

    #[test]
    fn what_the_api_server_asks_for_is_waited_for_and_no_less() {
        let mut status = kube::core::Status::failure("busy", "TooManyRequests").with_code(429);
        status.details = Some(serde_json::from_str(r#"{"retryAfterSeconds": 7}"#).unwrap());
        let busy = Error::Kube { what: "read".into(), source: kube::Error::Api(status.boxed()) };
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..6).map(|_| backoff.after("shop/web", &busy).as_secs()).collect();
        assert_eq!(waits, [7, 7, 7, 7, 8, 16]);
    }

    #[test]
    fn a_conflict_is_tried_again_almost_at_once_and_never_waits_long() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..5).map(|_| backoff.after("shop/web", &conflict()).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 500, 500]);
    }
}
