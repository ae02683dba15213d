//! The two accounts compared: the client's outcomes and the service's lines.
//!
//! **Invariant:** a request counts as ok only if both accounts agree; in a finished report ok and failed add up to sent.

use super::ledger::Marks;
use super::record::{FailuresByClass, Outcome, Record, add};
use super::run::{Phase, Run};
use super::spec::Spec;
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer of `POST /stop` and `GET /report`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was asked for.
    pub spec: Spec,
    /// False: the run is still under way, and these are interim figures.
    pub finished: bool,
    /// Requests issued.
    pub sent: u64,
    /// Answered in full and rightly, and ended once in the ledger.
    pub ok: u64,
    /// The client's failures, and the answered ones about which the ledger says otherwise.
    pub failed: u64,
    /// Sent a second time after an idle close, RFC 9112 9.5.
    pub retried_idle: u64,
    /// 503 answers with Retry-After that were obeyed.
    pub turned_away: u64,
    /// By class, each with its first examples.
    pub failures: FailuresByClass,
    /// Of the requests answered, from the due time.
    pub latency_millis: Latency,
    /// From the start to the last outcome.
    pub duration_seconds: f64,
    /// Sent per second of that.
    pub per_second: f64,
    /// Ended on a kept connection.
    pub on_kept_connections: u64,
    /// The client's own worst delay between due and sent: its share of the latency.
    pub worst_start_delay_millis: u64,
    /// The service's account; none where the run does not ask for it.
    pub ledger: Option<LedgerCheck>,
    /// By the second in which requests were due.
    pub timeline: Timeline,
}

/// Percentiles in milliseconds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
}

/// What the ledger adds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerCheck {
    /// Answered by the client's account, never ended by the service's.
    pub missing_at_server: u64,
    /// Begun or ended twice though sent once.
    pub duplicates: u64,
    /// Sent a second time after what looked like an idle close, but the first attempt had been received.
    pub lost_after_receipt: u64,
    /// Failed, and never begun.
    pub failed_never_begun: u64,
    /// Failed, begun and never ended.
    pub failed_never_ended: u64,
    /// Failed, although the service ended them.
    pub failed_though_ended: u64,
    /// Requests in the ledger that this run never issued, and lines that no run claims.
    pub unknown: u64,
    /// Requests ended, by pod.
    pub ended_by_pod: BTreeMap<String, u64>,
}

/// Counts by second.
#[derive(Debug, Default, Serialize)]
pub struct Timeline {
    sent: Vec<u32>,
    failed: Vec<u32>,
}

impl Report {
    /// Compares the accounts.
    pub fn of(run: &Run, mut record: Record) -> Self {
        let finished = run.phase() == Phase::Finished;
        if finished {
            fail_unanswered(run, &mut record);
        }
        let ledger = (run.spec.ledger && finished).then(|| compare(run, &mut record));
        let count =
            |wanted: &[Outcome]| record.outcomes.iter().filter(|outcome| wanted.contains(outcome)).count() as u64;
        let duration_seconds = record.duration.as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        let per_second = record.outcomes.len() as f64 / duration_seconds.max(0.001);
        Self {
            spec: run.spec.clone(),
            finished,
            sent: record.outcomes.len() as u64,
            ok: count(&[Outcome::Ok, Outcome::OkRetried]),
            failed: count(&[Outcome::Failed]),
            retried_idle: record.retried_idle,
            turned_away: record.turned_away,
            latency_millis: Latency::of(record.latencies),
            duration_seconds,
            per_second,
            on_kept_connections: record.on_kept_connections,
            worst_start_delay_millis: u64::try_from(record.worst_start_delay.as_millis()).unwrap_or(u64::MAX),
            timeline: Timeline::of(&run.spec, &record.outcomes),
            failures: record.failures,
            ledger,
        }
    }
}

/// A request whose task ended without an outcome is no success.
fn fail_unanswered(run: &Run, record: &mut Record) {
    for index in 0..record.outcomes.len() {
        if record.outcomes[index] == Outcome::Outstanding {
            record.outcomes[index] = Outcome::Failed;
            add(&mut record.failures, "lostByClient", run.example(index, "its task panicked"));
        }
    }
}

/// Moves to the failed what the ledger contradicts.
fn compare(run: &Run, record: &mut Record) -> LedgerCheck {
    let marks = run.book.marks();
    let mut check = LedgerCheck { ended_by_pod: run.book.pods(), ..LedgerCheck::default() };
    let unissued = marks.iter().skip(record.outcomes.len()).filter(|marks| marks.begins > 0 || marks.ends > 0).count();
    check.unknown = unissued as u64 + run.stray_lines();
    for index in 0..record.outcomes.len() {
        let marks = marks.get(index).copied().unwrap_or_default();
        if let Some(class) = check.judge(record.outcomes[index], marks) {
            record.outcomes[index] = Outcome::Failed;
            let detail = format!("answered, but begun {} and ended {} times in the ledger", marks.begins, marks.ends);
            add(&mut record.failures, class, run.example(index, detail));
        }
    }
    check
}

impl LedgerCheck {
    /// Counts one request; for an answered one that the ledger contradicts, the failure's class.
    fn judge(&mut self, outcome: Outcome, marks: Marks) -> Option<&'static str> {
        match (outcome, marks.begins, marks.ends) {
            (Outcome::Outstanding, ..) => None,
            (Outcome::Failed, begins, ends) => {
                self.failed_never_begun += u64::from(begins == 0 && ends == 0);
                self.failed_never_ended += u64::from(begins > 0 && ends == 0);
                self.failed_though_ended += u64::from(ends > 0);
                None
            }
            (_, _, 0) => {
                self.missing_at_server += 1;
                Some("missingAtServer")
            }
            (_, 0..=1, 1) => None,
            (Outcome::OkRetried, ..) => {
                self.lost_after_receipt += 1;
                Some("lostAfterReceipt")
            }
            (Outcome::Ok, ..) => {
                self.duplicates += 1;
                Some("duplicate")
            }
        }
    }
}

impl Latency {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let Some(last) = micros.len().checked_sub(1) else { return Self::default() };
        let at = |share: f64| f64::from(micros[(last as f64 * share).round() as usize] / 100) / 10.0;
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

impl Timeline {
    fn of(spec: &Spec, outcomes: &[Outcome]) -> Self {
        let mut timeline = Self::default();
        for (index, outcome) in outcomes.iter().enumerate() {
            let second = usize::try_from(spec.due(index as u64).as_secs()).unwrap_or(usize::MAX);
            if timeline.sent.len() <= second {
                timeline.sent.resize(second + 1, 0);
                timeline.failed.resize(second + 1, 0);
            }
            timeline.sent[second] += 1;
            timeline.failed[second] += u32::from(*outcome == Outcome::Failed);
        }
        timeline
    }
}
