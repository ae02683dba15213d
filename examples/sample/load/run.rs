//! One run: issues requests at their due times and waits for the last outcome.
//!
//! **Invariant:** open loop: no answer, however slow, delays the next request, and latency counts from the due time, so
//! a stalled service cannot hide behind a client that waits for it.

use super::connection::Pool;
use super::ledger::{Book, Ledger};
use super::record::{Example, Outcome, Record};
use super::report::Report;
use super::request::Client;
use super::shape::Shape;
use super::spec::Spec;
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// The longest wait for ledger lines of requests whose answers are complete: they left before the answers did.
const LEDGER_PATIENCE: Duration = Duration::from_secs(3);

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// Requests are being issued.
    Issuing,
    /// No more are issued; answers are outstanding.
    Finishing,
    /// Every request has its outcome.
    Finished,
}

/// The answer of `GET /status`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    name: String,
    phase: Phase,
    planned: u64,
    sent: usize,
    outstanding: u64,
    ok: u64,
    failed: u64,
    retried_idle: u64,
    elapsed_seconds: f64,
}

/// A run, under way or finished.
pub struct Run {
    /// What was asked for.
    pub spec: Spec,
    /// The beginning of every request's id.
    pub prefix: String,
    /// The service's account.
    pub book: Arc<Book>,
    ledger: Arc<Ledger>,
    stray_before: u64,
    client: Client,
    start: Instant,
    record: Mutex<Record>,
    phase: watch::Sender<Phase>,
}

impl Run {
    /// Starts a run; the error says what of the specification is out of bounds.
    pub fn start(spec: Spec, ledger: &Arc<Ledger>) -> Result<Arc<Self>, String> {
        let address = spec.check()?;
        // Ids differ between two runs of one name, also across processes.
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let prefix = format!("{}.{nonce:x}", spec.name);
        let run = Arc::new(Self {
            book: ledger.open(&prefix),
            ledger: Arc::clone(ledger),
            stray_before: ledger.stray(),
            client: Client { address, pool: Pool::default(), spec: spec.clone() },
            spec,
            prefix,
            start: Instant::now(),
            record: Mutex::default(),
            phase: watch::Sender::new(Phase::Issuing),
        });
        tokio::spawn(Arc::clone(&run).issue());
        Ok(run)
    }

    /// Ends the issue of requests; those outstanding go on.
    pub fn stop(&self) {
        self.phase.send_if_modified(|phase| {
            let issuing = *phase == Phase::Issuing;
            if issuing {
                *phase = Phase::Finishing;
            }
            issuing
        });
    }

    /// Returns when every request has its outcome.
    pub async fn finished(&self) {
        // The sender lives as long as the run, so this cannot fail.
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Finished).await;
    }

    /// Where the run stands.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// How far the run is.
    pub fn status(&self) -> Status {
        let record = self.record();
        Status {
            name: self.spec.name.clone(),
            phase: self.phase(),
            planned: self.spec.requests(),
            sent: record.outcomes.len(),
            outstanding: record.outcomes.len() as u64 - record.ok - record.failed,
            ok: record.ok,
            failed: record.failed,
            retried_idle: record.retried_idle,
            elapsed_seconds: self.start.elapsed().as_secs_f64(),
        }
    }

    /// Both accounts compared; while the run is under way what is outstanding counts neither way.
    pub fn report(&self) -> Report {
        let record = self.record().clone();
        Report::of(self, record)
    }

    /// Ledger lines since the start of the run that no run claims.
    pub fn stray_lines(&self) -> u64 {
        self.ledger.stray() - self.stray_before
    }

    /// The id of a request.
    pub fn id(&self, index: usize) -> String {
        format!("{}.{index}", self.prefix)
    }

    /// A request as an example of a failure.
    pub fn example(&self, index: usize, detail: impl Into<String>) -> Example {
        let at_millis = u64::try_from(self.spec.due(index as u64).as_millis()).unwrap_or(u64::MAX);
        Example { id: self.id(index), at_millis, detail: detail.into() }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn issue(self: Arc<Self>) {
        let mut stopped = self.phase.subscribe();
        let mut requests = JoinSet::new();
        for number in 0..self.spec.requests() {
            let due = self.start + self.spec.due(number);
            tokio::select! {
                biased;
                _ = stopped.wait_for(|phase| *phase != Phase::Issuing) => break,
                () = sleep_until(due) => {}
            }
            let index = self.record().outcomes.len();
            self.record().issue();
            requests.spawn(Arc::clone(&self).one(index, due));
            while requests.try_join_next().is_some() {}
        }
        self.stop();
        while requests.join_next().await.is_some() {}
        self.client.pool.clear();
        self.settle().await;
        self.phase.send_replace(Phase::Finished);
    }

    async fn one(self: Arc<Self>, index: usize, due: Instant) {
        let start_delay = due.elapsed();
        let shape = Shape::of(&self.spec, index as u64);
        let result = self.client.send(shape, &self.id(index)).await;
        let latency = due.elapsed();
        let mut record = self.record();
        record.worst_start_delay = record.worst_start_delay.max(start_delay);
        record.duration = record.duration.max(self.start.elapsed());
        match result {
            Ok(answered) => record.answered(index, &answered, latency),
            Err(failure) => {
                let example = self.example(index, failure.detail.clone());
                record.failed(index, &failure, example);
            }
        }
    }

    /// Lines and answers come over different connections: a line may be read a moment after its answer.
    async fn settle(&self) {
        if !self.spec.ledger {
            return;
        }
        let complete = async {
            loop {
                let changed = self.book.changed.notified();
                if self.all_ended() {
                    return;
                }
                changed.await;
            }
        };
        // What is still missing then is what the report is for.
        let _ = timeout(LEDGER_PATIENCE, complete).await;
    }

    fn all_ended(&self) -> bool {
        let record = self.record();
        let marks = self.book.marks();
        let ended = |index: usize| marks.get(index).is_some_and(|marks| marks.ends > 0);
        let answered = |outcome: &Outcome| matches!(outcome, Outcome::Ok | Outcome::OkRetried);
        record.outcomes.iter().enumerate().all(|(index, outcome)| !answered(outcome) || ended(index))
    }
}
