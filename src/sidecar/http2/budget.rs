//! How many frames a client may send that ask for nothing: PING, SETTINGS, PRIORITY, cancelled requests and the like.
//!
//! **Invariant:** a client that transfers anything is never short of them: every frame with content pays for more than a
//! well-behaved client sends along with it.

use std::time::Instant;

/// Frames in hand at most, and at the start.
const MOST: u32 = 1_024;
/// Frames regained each second.
const PER_SECOND: f64 = 100.0;
/// Frames that one frame with content pays for: two window updates and one PING that measures, with one to spare.
const PER_CONTENT: u32 = 4;

/// What one connection has in hand.
pub struct Budget {
    left: u32,
    counted_at: Instant,
}

impl Budget {
    /// All of it.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { left: MOST, counted_at: now }
    }

    /// A frame with content has passed in either direction.
    pub fn earn(&mut self) {
        self.left = (self.left + PER_CONTENT).min(MOST);
    }

    /// Pays for `cost` frames; false when there are not so many. The clock is asked only then.
    #[must_use]
    pub fn pay(&mut self, cost: u32, now: impl FnOnce() -> Instant) -> bool {
        if self.left < cost {
            self.regain(now());
        }
        let enough = self.left >= cost;
        self.left = self.left.saturating_sub(cost);
        enough
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most MOST, never negative")]
    fn regain(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.counted_at).as_secs_f64();
        let regained = (seconds * PER_SECOND).min(f64::from(MOST)) as u32;
        if regained > 0 {
            self.left = (self.left + regained).min(MOST);
            self.counted_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_noticed_and_a_keepalive_never() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!((0..MOST).all(|_| budget.pay(1, || start)));
        assert!(!budget.pay(1, || start));
        let mut slow = Budget::new(start);
        assert!((0..100_000).all(|n| slow.pay(1, || start + Duration::from_millis(10) * n)));
    }

    #[test]
    fn content_pays_for_the_frames_that_go_with_it() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for _ in 0..100_000 {
            budget.earn();
            assert!(budget.pay(3, || start));
        }
    }
}
