//! Drain leases between passes: a task for each drained pod renews its lease, however long a pass takes.
//!
//! A pass gives the mandate (a pod that its run drains) and takes it back by not giving it again. Without a pass it ends after
//! [`MANDATE`], with the run at once, and with the leadership before the next command. So with this process dead, or not
//! leading, or with no pass that still wants the pod drained, the sidecar is back after its lease as promised (I3).
//!
//! **Invariant:** a lease in force is renewed and none is begun: a pod that a pass has released stays released, since a
//! command is good for one state of the sidecar alone (its challenge), and one without a lease is left alone.

use super::facts::{Facts, PodFacts};
use super::keys::Keys;
use super::metrics::Metrics;
use super::sidecars::{SidecarError, Sidecars};
use crate::api::{NewRequestsPolicy, PodState, RestartRequest, Step};
use crate::wire::{DrainAction, DrainCommand, InFlightReport, NewRequests};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Length of a drain lease, in seconds: with us dead the pod is back after that (I3).
const LEASE_SECONDS: u32 = 30;
/// A lease with less than this is renewed: every ten seconds. The passes wait for longer, so that they do it only if this
/// task could not.
const RENEW_BELOW: Duration = Duration::from_secs(20);
/// The longest that a pod is kept drained without a pass that says so: a pass and the pause after one that failed, both at
/// their longest.
const MANDATE: Duration = Duration::from_secs(150);
/// The shortest pause between two looks at a sidecar, and the one after a look that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause where no lease is in force: the pass is about to begin one, or to end the drain.
const NOT_YET: Duration = Duration::from_secs(5);

/// A drain command for the sidecar that gave this report, signed with a key that it trusts.
#[must_use]
pub fn command(
    keys: &Keys,
    report: &InFlightReport,
    pod_uid: &str,
    action: DrainAction,
    new_requests: NewRequests,
) -> DrainCommand {
    let command = DrainCommand {
        pod_uid: pod_uid.to_owned(),
        boot: report.boot.clone(),
        challenge: report.challenge.clone(),
        action,
        ttl_seconds: LEASE_SECONDS,
        new_requests,
        key_id: String::new(),
        signature: String::new(),
    };
    keys.sign(command, &report.trusted_keys)
}

/// What a drained pod does with requests that still arrive.
#[must_use]
pub fn new_requests(request: &RestartRequest) -> NewRequests {
    match request.spec.new_requests {
        NewRequestsPolicy::Serve => NewRequests::Serve,
        NewRequestsPolicy::Reject => NewRequests::Reject,
    }
}

/// Where a pod's sidecar is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct At {
    namespace: String,
    ip: String,
    port: u16,
}

/// A pod that its run drains.
#[derive(Clone, Debug)]
struct Mandate {
    run: String,
    at: At,
    new_requests: NewRequests,
    until: Instant,
}

#[derive(Debug, Default)]
struct Pods {
    mandates: HashMap<String, Mandate>,
    /// UIDs with a task.
    at_work: std::collections::HashSet<String>,
}

/// The leases under way; clones share them.
#[derive(Clone, Debug)]
pub struct Leases {
    /// With places of its own: a renewal queues behind nothing else.
    sidecars: Sidecars,
    keys: Keys,
    metrics: Metrics,
    pods: Arc<Mutex<Pods>>,
}

impl Leases {
    /// Renews through `sidecars`, which nobody else uses, with these keys.
    #[must_use]
    pub fn new(sidecars: Sidecars, keys: Keys, metrics: Metrics) -> Self {
        Self { sidecars, keys, metrics, pods: Arc::default() }
    }

    /// Renews the leases of the pods that this run drains, as a pass has just seen it, and of no others of this run.
    pub fn keep(&self, facts: &Facts) {
        let new_requests = new_requests(&facts.request);
        let drained = facts.pods.iter().filter(|pod| drained(facts, pod)).filter_map(|pod| {
            let at = At { namespace: facts.namespace.clone(), ip: pod.ip()?.to_owned(), port: Sidecars::PORT };
            Some((pod.uid().to_owned(), at))
        });
        self.mandate(facts.uid(), drained.collect(), new_requests, Instant::now());
    }

    /// The run has ended, or its request is gone.
    pub fn forget(&self, run: &str) {
        self.lock().mandates.retain(|_, mandate| mandate.run != run);
    }

    fn mandate(&self, run: &str, drained: HashMap<String, At>, new_requests: NewRequests, now: Instant) {
        let mut pods = self.lock();
        pods.mandates.retain(|uid, mandate| mandate.run != run || drained.contains_key(uid));
        for (uid, at) in drained {
            let mandate = Mandate { run: run.to_owned(), at, new_requests, until: now + MANDATE };
            pods.mandates.insert(uid.clone(), mandate);
            if pods.at_work.insert(uid.clone()) {
                tokio::spawn(self.clone().work(uid));
            }
        }
    }

    async fn work(self, uid: String) {
        let mut wait = PAUSE;
        loop {
            tokio::time::sleep(wait).await;
            let Some(mandate) = self.mandated(&uid, Instant::now()) else { return };
            wait = match self.renew(&uid, &mandate).await {
                Ok(None) => NOT_YET,
                Ok(Some(remaining)) => remaining.saturating_sub(RENEW_BELOW).max(PAUSE),
                Err(error) => {
                    self.metrics.sidecar_error(error.word());
                    tracing::info!(pod_uid = uid, %error, "a drain lease was not renewed yet");
                    PAUSE
                }
            };
        }
    }

    /// The mandate, if there still is one and this process leads; if not, the task ends.
    fn mandated(&self, uid: &str, now: Instant) -> Option<Mandate> {
        let mut pods = self.lock();
        let mandate = pods.mandates.get(uid).filter(|mandate| now < mandate.until && self.sidecars.may_command());
        let mandate = mandate.cloned();
        if mandate.is_none() {
            pods.mandates.remove(uid);
            pods.at_work.remove(uid);
        }
        mandate
    }

    /// What remains of the lease afterwards; absent if none is in force.
    async fn renew(&self, uid: &str, mandate: &Mandate) -> Result<Option<Duration>, SidecarError> {
        let At { namespace, ip, port } = &mandate.at;
        let report = self.sidecars.report(namespace, ip, *port, uid).await?;
        let Some(remaining) = remaining(&report) else { return Ok(None) };
        // A pass may have ended the drain meanwhile; what comes between this question and the command has another challenge.
        if remaining >= RENEW_BELOW || self.mandated(uid, Instant::now()).is_none() {
            return Ok(Some(remaining));
        }
        let command = command(&self.keys, &report, uid, DrainAction::Drain, mandate.new_requests);
        let after = self.sidecars.command(namespace, ip, *port, &command).await?;
        Ok(self::remaining(&after))
    }

    fn lock(&self) -> MutexGuard<'_, Pods> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remaining(report: &InFlightReport) -> Option<Duration> {
    report.lease.as_ref().map(|lease| Duration::from_millis(lease.remaining_millis))
}

/// Whether the run holds this pod's lease in the step in which it is.
fn drained(facts: &Facts, pod: &PodFacts) -> bool {
    let Some(status) = &facts.request.status else { return false };
    let Some(entry) = status.pods.iter().find(|entry| entry.uid == pod.uid()) else { return false };
    let held = match status.step {
        Some(Step::Draining | Step::Evicting) => match entry.state {
            PodState::Draining | PodState::Drained | PodState::Overdue | PodState::Forced => true,
            PodState::Chosen | PodState::Terminating | PodState::Expendable => false,
        },
        Some(Step::Restoring) => entry.state == PodState::Expendable,
        Some(
            Step::Queued
            | Step::Preparing
            | Step::PreHooks
            | Step::Surging
            | Step::Reserving
            | Step::Verifying
            | Step::PostHooks
            | Step::Finishing
            | Step::Finished,
        )
        | None => false,
    };
    held && !pod.terminating()
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
