//! What can go wrong between the controller and the rest of the cluster, in sentences that name the object.
//!
//! **Invariant:** no variant carries a ConfigMap's or a Secret's data; callers ask the helpers, never the status code.

use super::leader::NotLeading;
use super::sidecars::SidecarError;
use std::time::Duration;

/// Why a call, or a whole pass, did not succeed.
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
    /// No answer came in time; the call may or may not have taken effect.
    #[error("{what}: no answer within {limit:?}; the next pass looks again")]
    Timeout {
        /// What was attempted, on which object.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A sidecar did not answer as the protocol says.
    #[error("{what}: {source}")]
    Sidecar {
        /// What was attempted, on which pod.
        what: String,
        /// What happened.
        #[source]
        source: SidecarError,
    },
    /// This process does not lead any more; nothing was sent.
    #[error("{what}: {NotLeading}")]
    NotLeading {
        /// What was attempted, on which object.
        what: String,
    },
    /// This process led and must not act any more; it ends, so that a fresh one can stand for election.
    #[error("leadership lost: {0}; this process ends")]
    Lost(String),
    /// The controller's own configuration or environment cannot be used.
    #[error("{0}")]
    Startup(String),
    /// A fault of the controller itself.
    #[error("{0}; this is a fault of restart-controller, please report it")]
    Internal(String),
}

impl Error {
    /// One word for labels of metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Sidecar { .. } => "sidecar",
            Self::NotLeading { .. } | Self::Lost(_) => "not_leading",
            Self::Startup(_) => "startup",
            Self::Internal(_) => "internal",
            Self::Kube { source: kube::Error::BuildRequest(_) | kube::Error::HttpError(_), .. } => "unsendable",
            Self::Kube { source: kube::Error::SerdeError(_), .. } => "garbled",
            Self::Kube { .. } => match self.code() {
                Some(404) => "not_found",
                Some(409) => "conflict",
                Some(429) => "throttled",
                Some(code) if refuses(code) => "refused",
                Some(_) => "server_error",
                None => "unreachable",
            },
        }
    }

    /// 409: somebody changed or made the object first, or a precondition (UID, resourceVersion) does not hold.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// 409 of a create: the object is there already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(|status| status.reason == "AlreadyExists")
    }

    /// 404: the object, or the kind, does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// 404 of a path that the API server does not serve: not one object is missing, but the definition of its kind.
    #[must_use]
    pub fn is_kind_missing(&self) -> bool {
        self.status().is_some_and(serves_no_such_kind)
    }

    /// 400, 403, 405, 413, 422: the same call will be refused again until somebody changes a right, a quota, a policy or the object.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.code().is_some_and(refuses)
    }

    /// 422: the object itself is not what its schema or a policy permits.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    /// The same call may well succeed later: the API server is away, busy or slow.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Kube { .. } => self.code().is_none_or(|code| code == 429 || code >= 500),
            Self::Sidecar { .. } | Self::NotLeading { .. } | Self::Lost(_) | Self::Startup(_) | Self::Internal(_) => {
                false
            }
        }
    }

    /// After which the API server wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.status()?.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
    }

    /// The API server answered, or this one call was not answered in time: what it is about may be awaited and judged, as
    /// opposed to an API server that cannot be reached.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.code().is_some() || matches!(self, Self::Timeout { .. })
    }

    /// 429 of a PodDisruptionBudget, as opposed to flow control, which has no such cause (DESIGN 10).
    #[must_use]
    pub fn is_budget(&self) -> bool {
        self.code() == Some(429) && self.has_cause("DisruptionBudget")
    }

    /// 403 because the namespace is being deleted: nothing can be created in it any more.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        self.code() == Some(403) && self.has_cause("NamespaceTerminating")
    }

    /// The API server's own sentence, without ours; for messages that quote it.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        self.status().map(|status| status.message.as_str())
    }

    fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Kube { source: kube::Error::Api(status), .. } => Some(status),
            Self::Kube { .. }
            | Self::Timeout { .. }
            | Self::Sidecar { .. }
            | Self::NotLeading { .. }
            | Self::Lost(_)
            | Self::Startup(_)
            | Self::Internal(_) => None,
        }
    }

    fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    fn has_cause(&self, reason: &str) -> bool {
        let causes = self.status().and_then(|status| status.details.as_ref()).map(|details| &details.causes);
        causes.is_some_and(|causes| causes.iter().any(|cause| cause.reason == reason))
    }
}

/// An object that is missing is answered with the reason NotFound; a kind that is missing with a page of plain text.
fn serves_no_such_kind(status: &kube::core::Status) -> bool {
    status.code == 404 && status.reason != "NotFound"
}

fn refuses(code: u16) -> bool {
    matches!(code, 400 | 403 | 405 | 413 | 422)
}

/// kube prints an API error twice, once as a debug dump; people get the server's sentence and its code.
fn explained(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if serves_no_such_kind(status) => {
            "the API server does not serve this kind: its CustomResourceDefinition is missing, install the definitions again".to_owned()
        }
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn answered(code: u16, reason: &str, cause: &str) -> Error {
        let cause = StatusCause { reason: cause.into(), message: String::new(), field: String::new() };
        let details = StatusDetails { causes: vec![cause], ..no_details() };
        let status = kube::core::Status::failure("no", reason).with_code(code).with_details(details);
        Error::Kube { what: "evict pod shop/web-1".into(), source: kube::Error::Api(status.boxed()) }
    }

    #[test]
    fn a_kind_that_is_missing_is_told_from_an_object_that_is() {
        let (object, kind) = (answered(404, "NotFound", ""), answered(404, "Failed to parse error data", ""));
        assert!(object.is_not_found() && !object.is_kind_missing());
        assert!(kind.is_not_found() && kind.is_kind_missing());
        assert!(kind.to_string().contains("CustomResourceDefinition is missing"), "{kind}");
    }

    fn no_details() -> StatusDetails {
        serde_json::from_str("{}").unwrap()
    }

    #[test]
    fn a_budget_is_told_from_flow_control() {
        assert!(answered(429, "TooManyRequests", "DisruptionBudget").is_budget());
        let flow_control = answered(429, "TooManyRequests", "");
        assert!(!flow_control.is_budget());
        assert_eq!(flow_control.category(), "throttled");
    }

    #[test]
    fn an_existing_object_is_a_conflict_and_a_refusal_is_not() {
        assert!(answered(409, "AlreadyExists", "").is_conflict());
        assert!(answered(409, "AlreadyExists", "").is_already_exists());
        assert!(!answered(409, "Conflict", "").is_already_exists());
        assert!(answered(403, "Forbidden", "NamespaceTerminating").is_namespace_terminating());
        assert!(answered(422, "Invalid", "").is_refusal());
        assert!(!answered(422, "Invalid", "").is_conflict());
        assert!(answered(503, "ServiceUnavailable", "").is_passing());
        assert!(!answered(403, "Forbidden", "").is_passing());
        assert!(answered(500, "InternalError", "").is_answer());
        let slow = Error::Timeout { what: "ask".into(), limit: Duration::from_secs(1) };
        assert!(slow.is_answer() && !Error::Internal("broken".into()).is_answer());
    }

    #[test]
    fn only_an_api_server_that_does_not_answer_is_called_unreachable() {
        let of = |source| Error::Kube { what: "read ConfigMap a".into(), source }.category();
        let garbled = serde_json::from_str::<u8>("x").unwrap_err();
        assert_eq!(of(kube::Error::SerdeError(garbled)), "garbled");
        let unsendable = kube::core::request::Error::Validation("no name".into());
        assert_eq!(of(kube::Error::BuildRequest(unsendable)), "unsendable");
        assert_eq!(of(kube::Error::Service("connection refused".into())), "unreachable");
        assert!(answered(413, "RequestEntityTooLarge", "").is_refusal());
    }

    #[test]
    fn the_sentence_names_the_object_and_quotes_the_server_once() {
        assert_eq!(answered(409, "Conflict", "").to_string(), "evict pod shop/web-1: no (409 Conflict)");
    }
}
