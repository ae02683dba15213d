//! The restarts that a caller may see, in the order of the page.
//!
//! **Invariant:** reads only; an object that this version cannot read is passed over and hides no other.

use crate::api::{Phase, RestartRequest, TargetRef};
use crate::client::words::phase;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};

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

/// Those that run or wait come before all that ended: what is newer and has ended was refused or cancelled beside them.
pub fn order(run: &RestartRequest) -> (bool, Option<Time>, String) {
    let begun = run.status.as_ref().and_then(|status| status.started_at.clone());
    (!phase(run).is_terminal(), begun.max(run.creation_timestamp()), run.name_any())
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
    use serde_json::json;

    fn run(name: &str, created: &str, phase: Option<&str>) -> RestartRequest {
        let status = phase.map(|phase| json!({"phase": phase}));
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "x"}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_comes_first_and_one_under_way_before_one_that_was_refused_beside_it() {
        let mut runs = [
            run("old", "2026-01-01T00:00:00Z", Some("Completed")),
            run("under-way", "2026-01-02T00:00:00Z", Some("Restarting")),
            run("refused", "2026-01-03T00:00:00Z", Some("Failed")),
        ];
        runs.sort_by_key(|run| std::cmp::Reverse(order(run)));
        assert_eq!(runs.map(|run| run.name_any()), ["under-way", "refused", "old"]);
    }

    #[test]
    fn a_request_id_leads_back_to_the_object() {
        for name in ["restart-1234567890", "web", "restart-of-web.v2"] {
            assert_eq!(object_name(&request_id(name)), name);
        }
    }
}
