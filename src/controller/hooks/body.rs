//! What an HTTP hook is told.
//!
//! **Invariant:** no configuration and no secret; the fields are documented for users and never change their meaning.

use crate::api::{HookTime, RestartRequest, TargetKind};
use crate::controller::objects::run_id;
use serde::Serialize;

/// The JSON body of a POST or PUT.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Body<'a> {
    request: Request<'a>,
    /// The run: UID of the request and generation of its spec.
    run: String,
    hook: &'a str,
    time: HookTime,
    phase: &'static str,
    target: Target<'a>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Request<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    kind: TargetKind,
    name: &'a str,
}

impl<'a> Body<'a> {
    /// What the hook `name` of `request` is told.
    #[must_use]
    pub fn new(request: &'a RestartRequest, time: HookTime, name: &'a str) -> Self {
        let (metadata, spec, status) = (&request.metadata, &request.spec, request.status.as_ref());
        Self {
            request: Request {
                name: metadata.name.as_deref().unwrap_or_default(),
                namespace: metadata.namespace.as_deref().unwrap_or_default(),
                uid: metadata.uid.as_deref().unwrap_or_default(),
            },
            run: run_id(request),
            hook: name,
            time,
            phase: status.and_then(|status| status.phase).map_or("", crate::api::Phase::word),
            target: Target { kind: spec.target_ref.kind, name: &spec.target_ref.name },
            reason: &spec.reason,
            requested_by: status.and_then(|status| status.requested_by.as_deref()),
            trigger: spec.trigger.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_hook_is_told_who_restarts_what_and_why() {
        let request: RestartRequest = serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "generation": 3},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "new prices", "trigger": "today"},
        }))
        .unwrap();
        let told: Value = serde_json::to_value(Body::new(&request, HookTime::Pre, "check")).unwrap();
        let expected = json!({
            "request": {"name": "web", "namespace": "shop", "uid": "u-1"}, "run": "u-1-3", "hook": "check", "time": "Pre",
            "phase": "", "target": {"kind": "Deployment", "name": "web"}, "reason": "new prices", "trigger": "today",
        });
        assert_eq!(told, expected);
    }
}
