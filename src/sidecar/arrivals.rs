//! When requests arrived: the last one, and how many in each of the last 60 seconds.
//!
//! **Invariant:** no clock is read here; every method is told the time, so tests decide it.

use std::time::{Duration, Instant};

/// Seconds that the mean gap looks back over (DESIGN 3, step 7).
const WINDOW_SECONDS: usize = 60;

/// Counts of the last 60 seconds in one-second slots: constant memory at any rate.
pub struct Arrivals {
    started: Instant,
    last: Option<Instant>,
    slots: [u32; WINDOW_SECONDS],
    /// The second since the start that the newest slot stands for.
    newest: u64,
}

impl Arrivals {
    /// Nothing has arrived yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { started: now, last: None, slots: [0; WINDOW_SECONDS], newest: 0 }
    }

    /// `count` requests arrived.
    pub fn record(&mut self, count: u32, now: Instant) {
        self.forget_old(now);
        let slot = &mut self.slots[index(self.newest)];
        *slot = slot.saturating_add(count);
        self.last = self.last.max(Some(now));
    }

    /// When the last one arrived.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// The mean gap of the last 60 s (of the time since the start, if that is shorter): elapsed time by arrivals, so that
    /// a burst in an otherwise silent minute does not pass for a high rate. `None` when fewer than two arrived.
    pub fn mean_gap(&mut self, now: Instant) -> Option<Duration> {
        self.forget_old(now);
        let arrived: u32 = self.slots.iter().fold(0, |sum, slot| sum.saturating_add(*slot));
        let elapsed = now.saturating_duration_since(self.started).min(Duration::from_secs(WINDOW_SECONDS as u64));
        (arrived >= 2).then(|| elapsed / arrived)
    }

    fn forget_old(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.started).as_secs();
        let passed = second.saturating_sub(self.newest).min(WINDOW_SECONDS as u64);
        for offset in 0..passed {
            self.slots[index(second - offset)] = 0;
        }
        self.newest = self.newest.max(second);
    }
}

fn index(second: u64) -> usize {
    usize::try_from(second % WINDOW_SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ten_requests_a_second_have_a_mean_gap_of_a_tenth() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for second in 0..120 {
            arrivals.record(10, start + SECOND * second);
        }
        let gap = arrivals.mean_gap(start + SECOND * 120).unwrap();
        assert!(gap >= Duration::from_millis(98) && gap <= Duration::from_millis(104), "{gap:?}");
    }

    #[test]
    fn a_burst_in_a_silent_minute_is_not_a_high_rate() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.record(3, start + SECOND * 100);
        assert_eq!(arrivals.mean_gap(start + SECOND * 130), Some(SECOND * 20));
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.record(1000, start + SECOND);
        assert_eq!(arrivals.mean_gap(start + SECOND * 62), None);
        assert_eq!(arrivals.last(), Some(start + SECOND));
        arrivals.record(1, start + SECOND * 200);
        assert_eq!(arrivals.mean_gap(start + SECOND * 201), None, "one arrival has no gap");
    }
}
