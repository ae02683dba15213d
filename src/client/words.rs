//! Phases in the seed's words, which the HTTP API and the embedding calls speak.
//!
//! **Invariant:** every phase has a word, and `idle` is said only where there has never been a request.

use crate::api::{Phase, RestartRequest};

/// Before the first request.
pub const IDLE: &str = "idle";

impl Phase {
    /// The seed's word: Pending reads `preparing`, Cancelled `failed`.
    #[must_use]
    pub fn seed_word(self) -> &'static str {
        match self {
            Self::Pending | Self::Preparing => "preparing",
            Self::Restarting => "restarting",
            Self::WaitingRequests => "waiting_requests",
            Self::Recovering => "recovering",
            Self::Completed => "completed",
            Self::Failed | Self::Cancelled => "failed",
        }
    }
}

/// The phase that a request is in, or will be in as soon as the controller sees it.
#[must_use]
pub fn phase(request: &RestartRequest) -> Phase {
    request.phase().filter(|_| !unseen(request)).unwrap_or(Phase::Pending)
}

/// The controller has not looked at this generation of a spec with another trigger: the phase is an earlier run's.
fn unseen(request: &RestartRequest) -> bool {
    request.triggered() && request.phase().is_some_and(Phase::is_terminal)
}

/// The seed's `request_id`: the name with `_` in place of `-`.
#[must_use]
pub fn request_id(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(spec_trigger: &str, handled: &str, phase: &str) -> RestartRequest {
        serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": "web"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test", "trigger": spec_trigger},
            "status": {"phase": phase, "lastHandledTrigger": handled}}))
        .unwrap()
    }

    #[test]
    fn a_request_with_a_new_trigger_is_not_finished_although_its_status_says_so() {
        assert_eq!(phase(&request("2", "1", "Completed")), Phase::Pending);
        assert_eq!(phase(&request("2", "2", "Completed")), Phase::Completed);
        assert_eq!(phase(&request("2", "1", "Restarting")), Phase::Restarting);
    }

    #[test]
    fn the_seed_knows_seven_words() {
        assert_eq!(Phase::Pending.seed_word(), "preparing");
        assert_eq!(Phase::Cancelled.seed_word(), "failed");
        assert_eq!(request_id("restart-1234567890"), "restart_1234567890");
    }
}
