//! The drain lease and the termination of this pod, as a state that is told the time.
//!
//! **Invariant:** no clock, socket or randomness but [`wire::random_id`]; a refused command changes nothing but a counter,
//! and nothing that arrives over the network can begin a termination.

use crate::wire::{self, DrainAction, DrainCommand, LeaseReport, NewRequests, Refusal};
use ed25519_dalek::VerifyingKey;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a lease takes to show in every EndpointSlice: readiness probe and slice took up to 1.02 s on a loaded
/// machine (notes/prototype.md 6); doubled.
const LEASE_TO_SLICES: Duration = Duration::from_secs(2);
/// How long a challenge is good for from the first report that shows it: a command that was held up on its way for longer
/// is not obeyed. Reports show a new one after half of it, so what they show is good for at least the other half.
const CHALLENGE_LIFE: Duration = Duration::from_secs(60);

/// Longest message of a refusal, in bytes.
const MOST_SAID: usize = 200;

/// A lease in force.
#[derive(Clone, Copy, Debug)]
struct Lease {
    since: Instant,
    until: Instant,
    new_requests: NewRequests,
}

/// A number that a command must carry.
struct Challenge {
    value: String,
    shown: Option<Instant>,
}

impl Challenge {
    fn new() -> Self {
        Self { value: wire::random_id(), shown: None }
    }

    fn age(&self, now: Instant) -> Duration {
        self.shown.map_or(Duration::ZERO, |shown| now.saturating_duration_since(shown))
    }
}

/// Who may command this process, and what has been commanded.
pub struct Drain {
    pod_uid: String,
    boot: String,
    challenge: Challenge,
    /// The one that reports showed before.
    earlier: Option<Challenge>,
    keys: BTreeMap<String, VerifyingKey>,
    lease: Option<Lease>,
    /// When the termination began, and since when the pod has been leaving its Services.
    terminating: Option<(Instant, Instant)>,
    accepted: u64,
    refused: BTreeMap<&'static str, u64>,
}

/// Why a command is refused: one of the words of [`Refusal::reason`], and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// One word.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Refused {
    /// A refusal for `reason`; of `message`, which may quote a client, the first 200 bytes.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        let end = (0..=MOST_SAID.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        Self { reason, message }
    }

    /// The HTTP status that goes with it: 403 not entitled, 409 not (or no longer) meant, 400 not understood,
    /// 429 not even read.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.reason {
            "UnknownKey" | "BadSignature" => 403,
            "TooMany" => 429,
            "WrongPod" | "WrongBoot" | "WrongChallenge" | "Expired" => 409,
            _ => 400,
        }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn to_wire(&self) -> Refusal {
        Refusal { reason: self.reason.to_owned(), message: self.message.clone() }
    }
}

impl Drain {
    /// A fresh process of the pod `pod_uid` that obeys `keys`: new boot id, new challenge, no lease.
    #[must_use]
    pub fn new(pod_uid: String, keys: BTreeMap<String, VerifyingKey>) -> Self {
        let (boot, challenge) = (wire::random_id(), Challenge::new());
        let (earlier, lease, terminating, accepted, refused) = (None, None, None, 0, BTreeMap::new());
        Self { pod_uid, boot, challenge, earlier, keys, lease, terminating, accepted, refused }
    }

    /// Obeys a signed command.
    ///
    /// # Errors
    /// As [`Drain::obey_checked`].
    pub fn obey(&mut self, command: &DrainCommand, now: Instant) -> Result<(), Refused> {
        let key = self.key_for(command)?;
        self.obey_checked(command, command.is_signed_by(&key), now)
    }

    /// The key that must have signed `command`: only one that is meant for this pod, process and moment is worth the check.
    ///
    /// # Errors
    /// Why it is not obeyed, whatever its signature; it is counted and nothing else has changed.
    pub fn key_for(&mut self, command: &DrainCommand) -> Result<VerifyingKey, Refused> {
        self.find(command).map(|(key, _)| *key).map_err(|refused| self.refuse(refused))
    }

    /// Obeys a command of which it `is_signed` whether its key has signed it.
    ///
    /// # Errors
    /// Why not; it is counted and nothing else has changed.
    pub fn obey_checked(&mut self, command: &DrainCommand, is_signed: bool, now: Instant) -> Result<(), Refused> {
        self.check(command, is_signed, now).map_err(|refused| self.refuse(refused))?;
        (self.challenge, self.earlier) = (Challenge::new(), None);
        self.accepted += 1;
        self.lease = match command.action {
            DrainAction::Release => None,
            DrainAction::Drain => Some(Lease {
                since: self.lease_in_force(now).map_or(now, |lease| lease.since),
                until: now + Duration::from_secs(command.ttl_seconds.into()),
                new_requests: command.new_requests,
            }),
        };
        Ok(())
    }

    /// Counts a refusal, also one decided before a command could be read.
    pub fn refuse(&mut self, refused: Refused) -> Refused {
        *self.refused.entry(refused.reason).or_default() += 1;
        refused
    }

    fn find(&self, command: &DrainCommand) -> Result<(&VerifyingKey, &Challenge), Refused> {
        if self.pod_uid.is_empty() || command.pod_uid != self.pod_uid {
            return Err(Refused::new("WrongPod", format!("this is the sidecar of pod UID {:?}", self.pod_uid)));
        }
        if command.boot != self.boot {
            return Err(Refused::new("WrongBoot", "this process is not the one that is meant: read the report again"));
        }
        let mut known = std::iter::once(&self.challenge).chain(&self.earlier);
        let Some(challenge) = known.find(|known| known.value == command.challenge) else {
            return Err(Refused::new("WrongChallenge", "the challenge has changed: read the report and sign again"));
        };
        let Some(key) = self.keys.get(&command.key_id) else {
            return Err(Refused::new("UnknownKey", format!("no trusted key has the id {:?}", command.key_id)));
        };
        Ok((key, challenge))
    }

    fn check(&self, command: &DrainCommand, is_signed: bool, now: Instant) -> Result<(), Refused> {
        let (_, challenge) = self.find(command)?;
        if !is_signed {
            return Err(Refused::new("BadSignature", format!("key {:?} has not signed this", command.key_id)));
        }
        if challenge.age(now) >= CHALLENGE_LIFE {
            let message = format!("the challenge is older than {} s: read the report again", CHALLENGE_LIFE.as_secs());
            return Err(Refused::new("Expired", message));
        }
        if !(1..=wire::MAX_TTL_SECONDS).contains(&command.ttl_seconds) {
            return Err(Refused::new("BadRequest", format!("ttlSeconds must be 1 to {}", wire::MAX_TTL_SECONDS)));
        }
        Ok(())
    }

    fn lease_in_force(&self, now: Instant) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| now < lease.until)
    }

    /// The pod is being terminated; the first call counts.
    pub fn terminate(&mut self, now: Instant) {
        let leaving_since = self.lease_in_force(now).map_or(now, |lease| now.min(lease.since + LEASE_TO_SLICES));
        self.terminating.get_or_insert((now, leaving_since));
    }

    /// When the termination began.
    #[must_use]
    pub fn terminating_since(&self) -> Option<Instant> {
        self.terminating.map(|(began, _)| began)
    }

    /// Since when the terminating pod has been leaving its Services: an earlier lease counts, less the time that it takes
    /// to show in the slices, so a pod that was drained before it was evicted is not held a second time.
    #[must_use]
    pub fn leaving_since(&self) -> Option<Instant> {
        self.terminating.map(|(_, leaving)| leaving)
    }

    /// Whether clients are asked to go elsewhere: under a lease or while terminating.
    #[must_use]
    pub fn is_draining(&self, now: Instant) -> bool {
        self.terminating.is_some() || self.is_cordoned(now)
    }

    /// Whether a lease is in force.
    #[must_use]
    pub fn is_cordoned(&self, now: Instant) -> bool {
        self.lease_in_force(now).is_some()
    }

    /// Whether late requests are refused.
    #[must_use]
    pub fn rejects(&self, now: Instant) -> bool {
        self.lease_in_force(now).is_some_and(|lease| lease.new_requests == NewRequests::Reject)
    }

    /// The lease as reports show it.
    #[must_use]
    pub fn lease_report(&self, now: Instant) -> Option<LeaseReport> {
        self.lease_in_force(now).map(|lease| LeaseReport {
            remaining_millis: millis(lease.until.saturating_duration_since(now)),
            draining_for_millis: millis(now.saturating_duration_since(lease.since)),
            new_requests: lease.new_requests,
        })
    }

    /// UID of this pod; empty when it was not told.
    #[must_use]
    pub fn pod_uid(&self) -> &str {
        &self.pod_uid
    }

    /// Id of this process.
    #[must_use]
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// What the next command must carry, for a report that is made now.
    pub fn challenge(&mut self, now: Instant) -> &str {
        if self.challenge.age(now) >= CHALLENGE_LIFE / 2 {
            self.earlier = Some(std::mem::replace(&mut self.challenge, Challenge::new()));
        }
        self.challenge.shown.get_or_insert(now);
        &self.challenge.value
    }

    /// Ids of the keys that are obeyed.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Commands obeyed.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Commands refused, by reason.
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused
    }
}

/// Whole milliseconds of a duration.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
