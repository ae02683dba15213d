//! What the client itself saw of each request.
//!
//! **Invariant:** every request issued has exactly one outcome, and one without any has not been answered.

use super::request::{Answered, Failure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many failures of each class are kept in full.
const EXAMPLES: usize = 5;

/// The client's verdict on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not answered yet.
    Outstanding,
    /// Answered in full and rightly.
    Ok,
    /// The same, at the second attempt after an idle close.
    OkRetried,
    /// Anything else.
    Failed,
}

/// One class of failures.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// The first few.
    pub examples: Vec<Example>,
}

/// One failure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The request's id.
    pub id: String,
    /// When the request was due, from the start of the run.
    pub at_millis: u64,
    /// For people.
    pub detail: String,
}

/// Failures by class.
pub type FailuresByClass = BTreeMap<String, Failures>;

/// Adds a failure to its class.
pub fn add(failures: &mut FailuresByClass, class: &str, example: Example) {
    let failures = failures.entry(class.into()).or_default();
    failures.count += 1;
    if failures.examples.len() < EXAMPLES {
        failures.examples.push(example);
    }
}

/// All outcomes of a run.
#[derive(Clone, Default)]
pub struct Record {
    /// By request number.
    pub outcomes: Vec<Outcome>,
    /// Of the requests answered, from the due time, in microseconds.
    pub latencies: Vec<u32>,
    /// By class.
    pub failures: FailuresByClass,
    /// Requests answered, as far as the client can tell.
    pub ok: u64,
    /// Requests failed.
    pub failed: u64,
    /// Requests sent a second time after an idle close.
    pub retried_idle: u64,
    /// 503 answers with Retry-After that were obeyed.
    pub turned_away: u64,
    /// Requests that ended on a kept connection.
    pub on_kept_connections: u64,
    /// The client's own worst delay between due and sent.
    pub worst_start_delay: Duration,
    /// From the start of the run to the latest outcome.
    pub duration: Duration,
}

impl Record {
    /// Takes down one more request as issued.
    pub fn issue(&mut self) {
        self.outcomes.push(Outcome::Outstanding);
    }

    /// Takes down an answer.
    pub fn answered(&mut self, index: usize, answered: &Answered, latency: Duration) {
        self.outcomes[index] = if answered.retried { Outcome::OkRetried } else { Outcome::Ok };
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        self.ok += 1;
        self.retried_idle += u64::from(answered.retried);
        self.turned_away += answered.turned_away;
        self.on_kept_connections += u64::from(answered.kept);
    }

    /// Takes down a failure.
    pub fn failed(&mut self, index: usize, failure: &Failure, example: Example) {
        self.outcomes[index] = Outcome::Failed;
        self.failed += 1;
        self.retried_idle += u64::from(failure.retried);
        add(&mut self.failures, &failure.class, example);
    }
}
