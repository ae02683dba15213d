//! How the program ends; the codes are public API.
//!
//! **Invariant:** what a restart's end means is decided here alone.

use crate::api::{Phase, RestartRequest};
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// It could not be asked for, or not be looked at.
    Error,
    /// The wait ran out; the restart goes on.
    TimedOut,
    /// The restart failed or was cancelled, and everything is as before.
    FailedRestored,
    /// The restart failed, and something could not be put back.
    NotRestored,
    /// Ctrl-C; the restart goes on.
    Interrupted,
}

impl Exit {
    /// Of a request that has ended.
    #[must_use]
    pub fn of(request: &RestartRequest) -> Self {
        let outcome = request.status.as_ref().and_then(|status| status.outcome.as_ref());
        let not_restored = outcome.is_some_and(|outcome| outcome.not_restored.is_some());
        match request.phase() {
            Some(Phase::Completed) => Self::Done,
            Some(
                Phase::Pending
                | Phase::Preparing
                | Phase::Restarting
                | Phase::WaitingRequests
                | Phase::Recovering
                | Phase::Failed
                | Phase::Cancelled,
            )
            | None => {
                if not_restored {
                    Self::NotRestored
                } else {
                    Self::FailedRestored
                }
            }
        }
    }

    /// What the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::TimedOut => 2,
            Self::FailedRestored => 3,
            Self::NotRestored => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ended(phase: &str, not_restored: &Value) -> RestartRequest {
        serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": "a"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"},
            "status": {"phase": phase, "outcome": {"result": phase, "message": "", "suspectConfiguration": false,
                "notRestored": not_restored}}}))
        .unwrap()
    }

    #[test]
    fn a_restart_ends_with_zero_three_or_four() {
        assert_eq!(Exit::of(&ended("Completed", &json!(null))).code(), 0);
        assert_eq!(Exit::of(&ended("Failed", &json!(null))).code(), 3);
        assert_eq!(Exit::of(&ended("Cancelled", &json!(null))).code(), 3);
        assert_eq!(Exit::of(&ended("Failed", &json!("ConfigMap web-config was changed"))).code(), 4);
    }
}
