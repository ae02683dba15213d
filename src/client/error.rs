//! Why a call did not succeed, in sentences that name the object, and which code of the table it is.
//!
//! **Invariant:** the API server's own sentence is kept; nothing of it is guessed.

use crate::api::{Code, TargetRef};

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused the call or could not be reached.
    #[error("{what}: {}", explained(source))]
    Kube {
        /// What was attempted, on which object.
        what: String,
        /// The API server's answer, or the failure to reach it.
        #[source]
        source: kube::Error,
    },
    /// The workload does not exist.
    #[error(
        "{target} does not exist in namespace {namespace}; look at: kubectl get deployments,statefulsets,daemonsets -n {namespace}"
    )]
    NoTarget {
        /// The workload.
        target: TargetRef,
        /// Where it was looked for.
        namespace: String,
    },
    /// Another restart holds the workload.
    #[error(
        "{target} is already being restarted by {namespace}/{holder}; wait for it, or ask to be queued (concurrencyPolicy: Queue)"
    )]
    AlreadyRestarting {
        /// The workload.
        target: TargetRef,
        /// Where it is.
        namespace: String,
        /// Name of the request that holds it.
        holder: String,
    },
    /// There is nothing to cancel, or it is too late.
    #[error("{0}")]
    CannotCancel(String),
    /// What was asked for contradicts itself or the cluster.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    pub(crate) fn kube(what: impl Into<String>, source: kube::Error) -> Self {
        Self::Kube { what: what.into(), source }
    }

    /// The HTTP status of the API server's refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Kube { source: kube::Error::Api(status), .. } => Some(status.code),
            Self::Kube { .. }
            | Self::NoTarget { .. }
            | Self::AlreadyRestarting { .. }
            | Self::CannotCancel(_)
            | Self::Invalid(_) => None,
        }
    }

    /// The entry of the table of codes that says the same, if there is one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::NoTarget { .. } => Some(Code::TargetInvalid),
            Self::AlreadyRestarting { .. } => Some(Code::AlreadyRestarting),
            Self::CannotCancel(_) => Some(Code::CancelRejected),
            Self::Invalid(_) => Some(Code::InvalidSpec),
            Self::Kube { .. } => match self.status()? {
                403 => Some(Code::Forbidden),
                400 | 422 => Some(Code::InvalidSpec),
                _ => None,
            },
        }
    }
}

/// The API server's sentence, and what helps where it names no way out.
#[must_use]
pub fn sentence(status: &kube::core::Status) -> String {
    let message = status.message.trim_end();
    if message.contains("exceeded quota") && message.contains("count/restartrequests") {
        format!(
            "{message}; requests that have ended count, too: delete some of them, or let them go by ttlSecondsAfterFinished"
        )
    } else {
        message.to_owned()
    }
}

/// The API server's sentence, or the failure to reach it with all its causes.
fn explained(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return sentence(status);
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_meets_a_full_quota_is_told_what_makes_room() {
        let said = |text: &str| sentence(&kube::core::Status::failure(text, "Forbidden"));
        let full = "exceeded quota: restart-requests, requested: count/restartrequests.restart-controller.dev=1";
        assert!(said(full).starts_with(full) && said(full).contains("ttlSecondsAfterFinished"));
        assert_eq!(said("no"), "no");
    }
}
