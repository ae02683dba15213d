//! A message that many events would repeat: said at most every ten seconds.
//!
//! **Invariant:** whoever can cause an event cannot fill the log with it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two messages.
const EVERY: Duration = Duration::from_secs(10);

/// Remembers when the message was last said.
#[derive(Default)]
pub struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// One whose message has not been said yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether it is time to say it (again).
    #[must_use]
    pub fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_said_once_and_not_again_at_once() {
        let seldom = Seldom::new();
        assert!(seldom.is_due() && !seldom.is_due());
    }
}
