//! Who leads: the pure half of the election, from what this process saw and when, by its own clock.
//!
//! **Invariant:** no wall clock and no clock of another machine is looked at (client-go's rule): a record binds others for
//! as long as it says, counted from the moment this process first read it; its holder stops earlier, counted from the
//! moment it sent the renewal. So two never lead at once, whatever pauses there are, if each asks before it acts.

use std::time::{Duration, Instant};

/// How long a lease lasts; client-go's three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Others wait this long after the last renewal that they saw.
    pub lease: Duration,
    /// The holder stops this long after it sent its last successful renewal.
    pub deadline: Duration,
    /// Between two renewals, and between two attempts.
    pub retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lease: seconds(15), deadline: seconds(10), retry: seconds(2) }
    }
}

impl Settings {
    /// The same, if two with these settings can never lead at once and a lost renewal can be tried again.
    ///
    /// # Errors
    /// A sentence that names the two numbers.
    pub fn checked(self) -> Result<Self, String> {
        let Self { lease, deadline, retry } = self;
        if deadline >= lease {
            return Err(format!(
                "the renew deadline ({deadline:?}) must be shorter than the lease duration ({lease:?})"
            ));
        }
        if retry * 2 > deadline || retry.is_zero() {
            return Err(format!(
                "the retry period ({retry:?}) must be above 0 and at most half the renew deadline ({deadline:?})"
            ));
        }
        Ok(self)
    }
}

/// What the Lease object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty: released.
    pub holder: String,
    /// How long it binds others after a renewal.
    pub lasts: Duration,
    /// Its resourceVersion: changes with every renewal.
    pub version: String,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write our name into the record just seen, by compare-and-swap.
    Acquire,
    /// We lead: write the record again.
    Renew,
    /// Somebody else leads, or we have just tried: look again when the record changes, at the latest after this.
    Wait(Duration),
    /// We lead; the next renewal is due after this.
    Lead(Duration),
    /// We led and must not any more.
    Stop,
}

#[derive(Clone, Debug)]
struct Seen {
    /// None: there is no Lease.
    record: Option<Record>,
    /// When we first saw it like this.
    since: Instant,
    /// How long from then on nobody else may take it.
    binds: Duration,
}

/// One process that wants to lead.
#[derive(Clone, Debug)]
pub struct Candidate {
    me: String,
    settings: Settings,
    seen: Option<Seen>,
    /// When the last attempt to write was sent.
    tried: Option<Instant>,
    /// When the last successful one was sent.
    renewed: Option<Instant>,
}

impl Candidate {
    /// One that has seen nothing yet. No other process, earlier ones included, may have the same identity.
    #[must_use]
    pub fn new(me: String, settings: Settings) -> Self {
        Self { me, settings, seen: None, tried: None, renewed: None }
    }

    /// The record as it was read; `now` is after the answer.
    pub fn saw(&mut self, record: Option<Record>, now: Instant) {
        if let Some(seen) = &self.seen
            && seen.record.as_ref().map(|record| &record.version) == record.as_ref().map(|record| &record.version)
        {
            return;
        }
        let binds = match &record {
            Some(record) if record.holder.is_empty() => Duration::ZERO,
            Some(record) => record.lasts,
            // Deleted by hand: its holder may not know yet.
            None => self.seen.as_ref().map_or(Duration::ZERO, |seen| seen.binds),
        };
        self.seen = Some(Seen { record, since: now, binds });
    }

    /// A write is about to be sent.
    pub fn sends(&mut self, now: Instant) {
        self.tried = Some(now);
    }

    /// The write that was sent at `sent` was accepted; `now` is after the answer. Returns until when we lead.
    pub fn wrote(&mut self, record: Record, sent: Instant, now: Instant) -> Instant {
        self.saw(Some(record), now);
        self.renewed = Some(sent);
        sent + self.settings.deadline
    }

    /// Until when we lead; absent when we never did.
    #[must_use]
    pub fn leads_until(&self) -> Option<Instant> {
        self.renewed.map(|renewed| renewed + self.settings.deadline)
    }

    /// Who holds the record that was seen last.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.record.as_ref().map(|record| record.holder.as_str())
    }

    /// What to do at `now`.
    #[must_use]
    pub fn decide(&self, now: Instant) -> Decision {
        match self.leads_until() {
            Some(until) => self.as_leader(now, until),
            None => self.as_standby(now),
        }
    }

    fn as_leader(&self, now: Instant, until: Instant) -> Decision {
        // Of a Lease that is gone we write a new one; it is refused if somebody else was faster.
        let taken = self.holder().is_some_and(|holder| holder != self.me);
        if taken || now >= until {
            return Decision::Stop;
        }
        let due = self.tried.map_or(now, |tried| tried + self.settings.retry).min(until);
        if due > now { Decision::Lead(due - now) } else { Decision::Renew }
    }

    fn as_standby(&self, now: Instant) -> Decision {
        let Some(seen) = &self.seen else { return Decision::Wait(self.settings.retry) };
        // Ours, but we do not know it: the answer to our write was lost.
        let ours = self.holder() == Some(&self.me);
        let free = if ours { seen.since } else { seen.since + seen.binds };
        // An attempt that failed is repeated later; a record that has changed since is another matter.
        let again = self.tried.filter(|tried| *tried >= seen.since).map(|tried| tried + self.settings.retry);
        let due = again.map_or(free, |again| again.max(free));
        if due > now { Decision::Wait(due - now) } else { Decision::Acquire }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
