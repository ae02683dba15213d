//! Which replica acts: one Lease, one holder, and a fence that every write passes.
//!
//! [`decide`] is pure, [`lease`] is the object, [`fence`] answers "do we lead?"; here the three meet.
//!
//! **Invariant:** whoever led and can no longer be sure of it never leads again in this process: the process ends, and the
//! kubelet starts a fresh one that knows nothing.

pub mod decide;
pub mod fence;
mod lease;

pub use decide::Settings;
pub use fence::{Leader, NotLeading};
pub use lease::NAME;

use super::error::Error;
use super::metrics::Metrics;
use super::watchdog::Pulse;
use decide::{Candidate, Decision};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::runtime::watcher;
use lease::Leases;
use std::time::{Duration, Instant};

/// What giving the Lease back may take, all attempts together.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// This process' part in the election.
pub struct Election {
    leases: Leases,
    me: String,
    settings: Settings,
    candidate: Candidate,
    /// As it was read or written last.
    lease: Option<Lease>,
    /// The record has changed since, and reading it has failed.
    stale: bool,
    leader: Leader,
    metrics: Metrics,
    pulse: Pulse,
}

impl std::fmt::Debug for Election {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Election").field("me", &self.me).finish_non_exhaustive()
    }
}

type Changes = BoxStream<'static, watcher::Result<Option<String>>>;

impl Election {
    /// Stands for election as `pod`, and tells `leader` and `metrics` of the result.
    ///
    /// # Errors
    /// When the Lease cannot be read, or there is no randomness for a name.
    pub async fn begin(
        (reader, writer): (Client, Client),
        namespace: &str,
        pod: Option<&str>,
        settings: Settings,
        (leader, metrics, pulse): (Leader, Metrics, Pulse),
    ) -> Result<Self, Error> {
        let leases = Leases::new(reader, writer, namespace);
        let me = identity(pod)?;
        let candidate = Candidate::new(me.clone(), settings);
        let mut election = Self { leases, me, settings, candidate, lease: None, stale: false, leader, metrics, pulse };
        while !election.look().await? {
            tokio::time::sleep(settings.retry).await;
        }
        let holder = election.candidate.holder().unwrap_or_default();
        tracing::info!(identity = election.me, lease = election.leases.what(), holder, "standing by");
        Ok(election)
    }

    /// Leads whenever it can, until it must not any more.
    ///
    /// # Errors
    /// Always: the Lease was lost, or never could be written.
    pub async fn run(&mut self) -> Error {
        let mut changes = self.leases.changes();
        loop {
            let now = Instant::now();
            let done = match self.candidate.decide(now) {
                Decision::Stop => Err(self.lost()),
                Decision::Acquire | Decision::Renew => self.write().await,
                Decision::Wait(wait) | Decision::Lead(wait) => self.wait(wait, &mut changes).await,
            };
            if let Err(error) = done {
                self.leader.close();
                self.metrics.leading(false);
                return error;
            }
        }
    }

    /// No longer than `wait`; a change of the record ends it.
    async fn wait(&mut self, wait: Duration, changes: &mut Changes) -> Result<(), Error> {
        let wait = if self.stale { wait.min(self.settings.retry) } else { wait };
        let version = self.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        tokio::select! {
            () = self.pulse.beating(wait) => {}
            change = changes.next() => match change {
                Some(Ok(seen)) => self.stale |= seen != version,
                Some(Err(error)) => tracing::warn!(%error, "the watch of the Lease broke and is begun again"),
                // kube's watches do not end.
                None => return Err(Error::Internal(format!("the watch of {} ended", self.leases.what()))),
            },
        }
        if self.stale {
            self.stale = !self.look().await?;
        }
        Ok(())
    }

    /// What the record says now; false when that cannot be known.
    async fn look(&mut self) -> Result<bool, Error> {
        match self.leases.read(self.limit()).await {
            Ok(lease) => {
                let record = lease.as_ref().map(|lease| lease::record(lease, &self.settings));
                self.candidate.saw(record, Instant::now());
                self.lease = lease;
                Ok(true)
            }
            Err(error) if self.hopeless(&error) => Err(no_rights(&error)),
            Err(error) => {
                tracing::warn!(%error, "the Lease could not be read");
                Ok(false)
            }
        }
    }

    /// Takes or renews the Lease, if it still is as we saw it.
    async fn write(&mut self) -> Result<(), Error> {
        let sent = Instant::now();
        self.candidate.sends(sent);
        let lease = lease::held(self.lease.as_ref(), &self.me, &self.settings);
        match self.leases.write(&lease, self.limit()).await {
            Ok(lease) => self.wrote(lease, sent),
            // Somebody was faster, or an earlier write of ours arrived after all.
            Err(error) if error.is_conflict() || error.is_not_found() => self.stale = !self.look().await?,
            Err(error) if self.hopeless(&error) => return Err(no_rights(&error)),
            Err(error) => tracing::warn!(%error, "the Lease could not be written"),
        }
        Ok(())
    }

    fn wrote(&mut self, lease: Lease, sent: Instant) {
        let first = self.candidate.leads_until().is_none();
        let until = self.candidate.wrote(lease::record(&lease, &self.settings), sent, Instant::now());
        self.lease = Some(lease);
        self.leader.extend(until);
        if first {
            self.metrics.leading(true);
            tracing::info!(identity = self.me, lease = self.leases.what(), "leading");
        }
    }

    /// For one call: a dead connection leaves time for another attempt, and none outlasts our own term.
    fn limit(&self) -> Duration {
        let left = self.candidate.leads_until().map(|until| until.saturating_duration_since(Instant::now()));
        left.unwrap_or(self.settings.deadline).min(self.settings.deadline / 2)
    }

    /// Who never led and is refused does not stand by in silence.
    fn hopeless(&self, error: &Error) -> bool {
        self.candidate.leads_until().is_none() && error.is_refusal()
    }

    fn lost(&self) -> Error {
        let what = self.leases.what();
        match self.candidate.holder() {
            Some(holder) if holder != self.me => Error::Lost(format!("{what} is held by {holder:?} now")),
            _ => Error::Lost(format!("{what} could not be renewed within {:?}", self.settings.deadline)),
        }
    }

    /// Gives the Lease back, if we hold it: the next replica leads at once. Nothing may be written afterwards.
    pub async fn release(&mut self) {
        self.leader.close();
        self.metrics.leading(false);
        if self.candidate.leads_until().is_none() {
            return;
        }
        let released = tokio::time::timeout(RELEASE_LIMIT, self.give_back()).await;
        match released.unwrap_or_else(|_| Err(Error::Lost("no answer in time".to_owned()))) {
            Ok(()) => tracing::info!(lease = self.leases.what(), "released"),
            Err(error) => {
                tracing::warn!(%error, "the Lease could not be given back; the others wait until it runs out");
            }
        }
    }

    async fn give_back(&mut self) -> Result<(), Error> {
        loop {
            // A renewal may have been cut off before its answer.
            let Some(lease) = self.leases.read(RELEASE_LIMIT).await? else { return Ok(()) };
            if lease::record(&lease, &self.settings).holder != self.me {
                return Ok(());
            }
            match self.leases.write(&lease::released(&lease), RELEASE_LIMIT).await {
                Err(error) if error.is_conflict() => {}
                written => return written.map(drop),
            }
        }
    }
}

/// The pod's name for people, and a part that no earlier process had.
fn identity(pod: Option<&str>) -> Result<String, Error> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(|error| Error::Startup(format!("no randomness for a name: {error}")))?;
    let suffix = u64::from_ne_bytes(random);
    Ok(format!("{}_{suffix:016x}", pod.unwrap_or(NAME)))
}

fn no_rights(error: &Error) -> Error {
    Error::Startup(format!(
        "leader election: {error}; the controller needs the verbs create, get, update and watch on leases \
         (coordination.k8s.io) in its own namespace, or --leader-elect=false where it is the only replica"
    ))
}
