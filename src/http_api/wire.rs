//! The bodies of the four endpoints, in this order of fields.
//!
//! **Invariant:** nothing is added to what other programs already parse; what is more stands in other endpoints.

use super::target::{Named, REQUEST_ID};
use crate::api::names::{LABEL, SUBDOMAIN};
use crate::api::{Code, Phase, TargetKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A restart asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartBody {
    /// A note of who asks, kept beside the request; recorded as the requester is the name that the token stands for.
    #[schemars(length(max = 253))]
    pub user: Option<String>,
    /// Why; shown to everybody who looks at the restart.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Do not wait for in-flight requests.
    #[serde(default)]
    pub force: bool,
    /// false: the restart may not pick up changed configuration.
    #[serde(default = "yes")]
    pub config_reload: bool,
    /// Longest wait for one pod's in-flight requests, in seconds; absent: as the server is configured.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout: Option<i32>,
    /// The workload's namespace; absent: that of the default target.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub namespace: Option<String>,
    /// The workload's kind; absent: that of the default target, without one Deployment.
    pub kind: Option<TargetKind>,
    /// The workload's name; absent: that of the default target.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Option<String>,
}

/// JSON has one kind of number: 30.0 is 30.
fn whole<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else { return Ok(None) };
    let integral = || number.as_f64().filter(|number| number.fract() == 0.0).map(|number| format!("{number:.0}"));
    let text = number.as_i64().map(|number| number.to_string()).or_else(integral);
    let parsed = text.and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| serde::de::Error::custom(format!("{number} is not a number of seconds")))
}

fn yes() -> bool {
    true
}

impl RestartBody {
    /// The workload it names.
    #[must_use]
    pub fn named(&self) -> Named {
        Named { namespace: self.namespace.clone(), kind: self.kind, name: self.name.clone() }
    }
}

/// A restart to cancel.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    /// A note of who cancels, for the log of the server.
    #[schemars(length(max = 253))]
    pub user: Option<String>,
    /// Which restart, where several wait; absent: the newest.
    #[schemars(length(min = 1, max = 253), regex(pattern = REQUEST_ID))]
    pub request_id: Option<String>,
    /// The workload's namespace; absent: that of the default target.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub namespace: Option<String>,
    /// The workload's kind; absent: that of the default target, without one Deployment.
    pub kind: Option<TargetKind>,
    /// The workload's name; absent: that of the default target.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Option<String>,
}

impl CancelBody {
    /// The workload it names.
    #[must_use]
    pub fn named(&self) -> Named {
        Named { namespace: self.namespace.clone(), kind: self.kind, name: self.name.clone() }
    }
}

/// Where a restart stands, in seven words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The workload has never been restarted.
    Idle,
    /// Nothing has been touched yet: checks, copies, or another restart comes first.
    Preparing,
    /// Pods are out of their Services and finish their requests.
    WaitingRequests,
    /// Pods are being replaced.
    Restarting,
    /// Something failed; configuration and pods are going back.
    Recovering,
    /// Every pod was replaced.
    Completed,
    /// It failed, was refused or was cancelled.
    Failed,
}

impl Word {
    /// The word for a phase.
    #[must_use]
    pub fn of(phase: Phase) -> Self {
        match phase {
            Phase::Pending | Phase::Preparing => Self::Preparing,
            Phase::Restarting => Self::Restarting,
            Phase::WaitingRequests => Self::WaitingRequests,
            Phase::Recovering => Self::Recovering,
            Phase::Completed => Self::Completed,
            Phase::Failed | Phase::Cancelled => Self::Failed,
        }
    }
}

/// What was asked for, answered.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Data<T> {
    /// true.
    pub success: bool,
    /// What was asked for.
    pub data: T,
}

impl<T> From<T> for Data<T> {
    fn from(data: T) -> Self {
        Self { success: true, data }
    }
}

/// Where the newest restart of a workload stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Status {
    /// Where it stands.
    pub status: Word,
    /// Whether the workload is being restarted, or a restart of it waits.
    pub is_restarting: bool,
    /// Requests in flight in the pods that are being drained.
    pub active_requests_count: i64,
    /// When this was so, in UTC.
    #[schemars(extend("format" = "date-time"))]
    pub timestamp: String,
}

/// A restart that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Accepted {
    /// true.
    pub success: bool,
    /// What was done, in a sentence.
    pub message: String,
    /// Names the restart: `restart_` and digits. The RestartRequest has the same name with hyphens.
    pub request_id: String,
    /// preparing.
    pub status: Word,
    /// How long it will take at most, about, in seconds: the wait for requests, and ten for each batch of pods.
    pub estimated_time: i64,
}

/// A cancellation that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cancelled {
    /// true.
    pub success: bool,
    /// What was done, in a sentence.
    pub message: String,
}

/// A restart that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Past {
    /// When it started, in UTC.
    #[schemars(extend("format" = "date-time"))]
    pub timestamp: String,
    /// Why it was asked for.
    pub reason: String,
    /// Whether every pod was replaced.
    pub success: bool,
}

/// What was asked for was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refusal {
    /// false.
    pub success: bool,
    /// The code, as in the table of codes.
    pub code: Code,
    /// What happened, to which object, and what to do next.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_those_of_the_seeds_manual_to_the_letter() {
        let status = Status {
            status: Word::Idle,
            is_restarting: false,
            active_requests_count: 0,
            timestamp: "2024-01-01T12:00:00Z".to_owned(),
        };
        assert_eq!(
            serde_json::to_string(&Data::from(status)).unwrap(),
            r#"{"success":true,"data":{"status":"idle","is_restarting":false,"active_requests_count":0,"timestamp":"2024-01-01T12:00:00Z"}}"#
        );
        let accepted = Accepted {
            success: true,
            message: "...".to_owned(),
            request_id: "restart_1234567890".to_owned(),
            status: Word::Preparing,
            estimated_time: 40,
        };
        assert_eq!(
            serde_json::to_string(&accepted).unwrap(),
            r#"{"success":true,"message":"...","request_id":"restart_1234567890","status":"preparing","estimated_time":40}"#
        );
        let past = Past { timestamp: "t".into(), reason: "r".into(), success: true };
        assert_eq!(serde_json::to_string(&past).unwrap(), r#"{"timestamp":"t","reason":"r","success":true}"#);
    }

    #[test]
    fn the_seeds_bodies_are_understood_as_they_are() {
        let text = r#"{"user": "admin", "reason": "x", "force": false, "config_reload": true, "timeout": 30}"#;
        let body: RestartBody = serde_json::from_str(text).unwrap();
        assert_eq!((body.timeout, body.force, body.config_reload), (Some(30), false, true));
        assert_eq!(body.named(), Named::default());
        let _: CancelBody = serde_json::from_str(r#"{"user": "admin"}"#).unwrap();
        assert!(serde_json::from_str::<RestartBody>(r#"{"reason": "x", "timout": 3}"#).is_err());
        let timeout = |text: &str| {
            let body = serde_json::from_str::<RestartBody>(&format!(r#"{{"reason": "x", "timeout": {text}}}"#));
            body.map(|body| body.timeout)
        };
        assert_eq!((timeout("30.0").unwrap(), timeout("null").unwrap()), (Some(30), None));
        assert!(["30.5", "1e12", "\"30\"", "true"].into_iter().all(|text| timeout(text).is_err()));
    }

    #[test]
    fn pending_reads_preparing_and_cancelled_failed() {
        assert_eq!(Word::of(Phase::Pending), Word::Preparing);
        assert_eq!(Word::of(Phase::Cancelled), Word::Failed);
        for phase in [Phase::WaitingRequests, Phase::Recovering, Phase::Completed] {
            assert_eq!(serde_json::to_value(Word::of(phase)).unwrap(), phase.seed_word());
        }
    }
}
