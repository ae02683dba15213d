//! The least status that says where a run stands, for an API server that refuses the whole one.
//!
//! **Invariant:** everything that the next pass or a recovery needs is kept; sentences and what is for people alone is not.

use crate::api::{Condition, HookProgress, Outcome, RestartRequestStatus};

/// Conditions that tools or the next pass read.
const READ: [&str; 5] = ["Ready", "Reconciling", "Stalled", "Succeeded", "CancelRejected"];

/// `next` without what it need not say; `why` is what the API server said of the whole.
pub fn least(old: &RestartRequestStatus, next: RestartRequestStatus, why: &str) -> RestartRequestStatus {
    let why: String = why.chars().take(300).collect();
    let message = format!("the API server refused the whole status of this restart: {why}");
    let short = |condition: Condition| Condition { message: message.clone(), ..condition };
    let conditions = next.conditions.into_iter().filter(|condition| READ.contains(&condition.condition_type.as_str()));
    let untold = |hook: HookProgress| HookProgress { message: String::new(), ..hook };
    let outcome = next.outcome.map(|outcome| Outcome {
        not_restored: outcome.not_restored.as_ref().map(|_| message.clone()),
        message: message.clone(),
        ..outcome
    });
    let same_run =
        old.history.first().map(|entry| &entry.started_at) == next.history.first().map(|entry| &entry.started_at);
    RestartRequestStatus {
        conditions: conditions.map(short).collect(),
        hooks: next.hooks.into_iter().map(untold).collect(),
        history: if same_run { old.history.clone() } else { vec![] },
        progress: String::new(),
        in_flight: None,
        estimated_seconds: None,
        outcome,
        message,
        ..next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Code, Phase, Plan, Step};
    use crate::machine::{Change, cursor, fold};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    #[test]
    fn what_the_next_pass_needs_is_kept_and_sentences_are_not() {
        let now = Time(Timestamp::UNIX_EPOCH);
        let old = fold(
            &RestartRequestStatus::default(),
            &Change::new(Phase::Restarting, Step::Surging, "Surging", "a sentence".into()),
            Some(1),
            &now,
        );
        let outcome = Outcome {
            result: Phase::Failed,
            code: Some(Code::DrainTimeout),
            message: "a sentence".into(),
            suspect_configuration: true,
            not_restored: None,
            not_restored_reason: None,
        };
        let plan = Plan { config_map: "plan".into(), pods: 3, late: vec![], again: None };
        let change = Change {
            outcome: Some(outcome.clone()),
            plan: Some(plan.clone()),
            cancel_rejected: true,
            ..Change::new(Phase::Recovering, Step::Restoring, "DrainTimeout", "a sentence".into())
        };
        let whole = fold(&old, &change, Some(2), &now);
        let least = least(&old, whole.clone(), "status.message: Too long");
        let (kept, had) = (cursor(&least).unwrap(), cursor(&whole).unwrap());
        assert_eq!((kept.step, kept.plan, kept.cancel_rejected), (had.step, Some(plan), true));
        assert_eq!(kept.outcome.map(|kept| (kept.code, kept.suspect_configuration)), Some((outcome.code, true)));
        assert_eq!((least.phase, least.code, least.observed_generation), (whole.phase, whole.code, Some(2)));
        assert_eq!(least.history, old.history);
        assert!(
            least.message.ends_with("status.message: Too long")
                && !format!("{:?}", least.conditions).contains("a sentence")
        );
    }
}
