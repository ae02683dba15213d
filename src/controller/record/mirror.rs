//! What the RestartHistory says of the run that holds the workload: its phase, and all that recovery needs should the
//! request go away.
//!
//! **Invariant:** only the history's status, only while this run holds the lock, and never worth failing a pass for.

use crate::api::{RestartHistory, RestartHistoryStatus, RestartRequestStatus, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::Facts;
use kube::api::{Api, PostParams};

/// Writes `status` into the history, if that says something else; true if it did. Whoever does not succeed finds the
/// difference again in the next pass.
pub async fn mirror(ctx: &Context, facts: &Facts, status: &RestartRequestStatus) -> bool {
    let behind = facts.history.as_ref().and_then(|history| behind(history, facts.uid(), status));
    let Some(history) = behind else { return false };
    match write(ctx, facts, &history).await {
        Ok(()) => true,
        Err(error) if error.is_conflict() || error.is_not_found() => false,
        Err(error) => {
            tracing::warn!(namespace = facts.namespace, name = facts.name(), %error, "the history does not show the run as it is");
            false
        }
    }
}

/// The status of a run whose request is gone has no other place.
pub async fn orphan(ctx: &Context, facts: &Facts, status: &RestartRequestStatus) -> Result<(), Error> {
    match facts.history.as_ref().and_then(|history| with(history, facts.uid(), status)) {
        Some(history) => write(ctx, facts, &history).await,
        None => Ok(()),
    }
}

async fn write(ctx: &Context, facts: &Facts, history: &RestartHistory) -> Result<(), Error> {
    let name = history.metadata.name.as_deref().unwrap_or_default();
    let api: Api<RestartHistory> = Api::namespaced(ctx.writer.clone(), &facts.namespace);
    let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let what = format!("write the run's phase into RestartHistory {}/{name}", facts.namespace);
    call(what, api.replace_status(name, &params, history)).await.map(drop)
}

/// The history as it should be, if it is not.
fn behind(history: &RestartHistory, uid: &str, status: &RestartRequestStatus) -> Option<RestartHistory> {
    let known = history.status.as_ref()?;
    let active = known.active.as_ref().filter(|active| active.uid == uid)?;
    let state = status.phase?.word();
    let copy = active.status.as_ref().and_then(|copy| serde_json::from_value(copy.clone()).ok());
    if known.state == state && copy.is_some_and(|copy| same(&copy, status)) {
        return None;
    }
    with(history, uid, status)
}

/// The history with that status of the run that holds it.
fn with(history: &RestartHistory, uid: &str, status: &RestartRequestStatus) -> Option<RestartHistory> {
    let known = history.status.as_ref()?;
    let active = known.active.as_ref().filter(|active| active.uid == uid)?;
    let state = status.phase?.word();
    let mut active = active.clone();
    active.status = serde_json::to_value(status).ok();
    let status = RestartHistoryStatus { state: state.to_owned(), active: Some(active), ..known.clone() };
    Some(RestartHistory { status: Some(status), ..history.clone() })
}

/// For recovery: batches are found again by looking at the pods.
fn same(a: &RestartRequestStatus, b: &RestartRequestStatus) -> bool {
    (a.phase, &a.resolved, &a.snapshot, &a.plan, &a.outcome) == (b.phase, &b.resolved, &b.snapshot, &b.plan, &b.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Phase, Plan};
    use serde_json::json;

    fn history(state: &str, status: &RestartRequestStatus) -> RestartHistory {
        let active = json!({"request": "web", "uid": "1", "spec": {}, "status": status});
        serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartHistory", "metadata": {"name": "h"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}},
            "status": {"state": state, "active": active},
        }))
        .unwrap()
    }

    fn status(phase: Phase, message: &str) -> RestartRequestStatus {
        RestartRequestStatus { phase: Some(phase), message: message.to_owned(), ..RestartRequestStatus::default() }
    }

    #[test]
    fn what_recovery_needs_is_written_and_words_alone_are_not() {
        let known = status(Phase::Preparing, "copying");
        let history = history("Preparing", &known);
        assert_eq!(behind(&history, "1", &known), None);
        assert_eq!(behind(&history, "1", &status(Phase::Preparing, "still copying")), None);
        assert_eq!(behind(&history, "another run", &status(Phase::Restarting, "")), None);
        let plan = Plan { config_map: "list".into(), pods: 3, late: vec![], again: None };
        let next = RestartRequestStatus { plan: Some(plan), ..known };
        let written = behind(&history, "1", &next).and_then(|history| history.status).unwrap();
        assert_eq!(written.active.unwrap().status, Some(json!(next)));
        let written = behind(&history, "1", &status(Phase::Restarting, "")).and_then(|history| history.status);
        assert_eq!(written.unwrap().state, "Restarting");
    }
}
