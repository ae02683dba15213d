//! The restarts that a caller may see.
//!
//! **Invariant:** reads only; an object that this version cannot read is passed over and hides no other.

use crate::api::{Phase, RestartRequest, TargetRef};
use crate::client::words::phase;
use kube::Api;
use kube::core::DeserializeGuard;

/// Requests that may be unreadable.
pub type Requests = Api<DeserializeGuard<RestartRequest>>;

/// The requests for this workload alone, in the API server's words.
pub fn selector(target: &TargetRef) -> String {
    format!("spec.targetRef.kind={},spec.targetRef.name={}", target.kind.word(), target.name)
}

/// What can be read of a list.
pub fn readable(listed: Vec<DeserializeGuard<RestartRequest>>) -> Vec<RestartRequest> {
    listed.into_iter().filter_map(|item| item.0.ok()).collect()
}

/// Nothing has been touched, so that it can be cancelled.
pub fn can_be_cancelled(run: &RestartRequest) -> bool {
    matches!(phase(run), Phase::Pending | Phase::Preparing) && !run.spec.cancel
}

/// The object that callers call so: a name of Kubernetes has no underscore.
pub fn object_name(request_id: &str) -> String {
    request_id.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::words::request_id;

    #[test]
    fn a_request_id_leads_back_to_the_object() {
        for name in ["restart-1234567890", "web", "restart-of-web.v2"] {
            assert_eq!(object_name(&request_id(name)), name);
        }
    }
}
