//! The numbers of a count, which all threads that serve connections change.
//!
//! `tests/interleavings` runs this file through every order in which threads can meet here; that is why it takes its atomics
//! from its parent module.
//!
//! **Invariant:** the number is the sum of all changes whatever their order, as each is one `fetch_add` or `fetch_sub`; and a
//! waiter that was told to wait is woken by the change that takes the number below its limit.

use super::atomic::{AtomicU64, Ordering, fence};

/// A number that rises and falls.
#[derive(Default)]
pub struct Level {
    now: AtomicU64,
    total: AtomicU64,
    most: AtomicU64,
    /// The highest limit that was ever waited for: only a fall below it wakes anything. A waiter writes it and then reads
    /// `now`; a request that ends changes `now` and then reads it. The fence between the two accesses on each side
    /// makes at least one of both see the other.
    highest: AtomicU64,
}

impl Level {
    /// The number.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// All that has ever been added, and not been revoked.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The highest number since this was last asked, nearly: only memory is judged by it.
    #[must_use]
    pub fn take_most(&self) -> u64 {
        self.most.swap(self.now(), Ordering::Relaxed)
    }

    /// Adds to it.
    pub fn rise(&self, count: u64) {
        self.total.fetch_add(count, Ordering::Relaxed);
        let now = self.now.fetch_add(count, Ordering::AcqRel) + count;
        if now > self.most.load(Ordering::Relaxed) {
            self.most.store(now, Ordering::Relaxed);
        }
    }

    /// Takes from it; whether those are to be woken that wait for it to fall.
    #[must_use]
    pub fn fall(&self, count: u64) -> bool {
        let now = self.now.fetch_sub(count, Ordering::AcqRel) - count;
        fence(Ordering::SeqCst);
        now < self.highest.load(Ordering::Relaxed)
    }

    /// Whether the number is below `limit`. If not, a [`Level::fall`] that begins from now on says when it may be.
    #[must_use]
    pub fn is_below(&self, limit: u64) -> bool {
        self.highest.fetch_max(limit, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.now() < limit
    }

    /// One that was added did not count after all.
    pub fn revoke(&self) {
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    /// One that was added counts twice: a planted fault.
    #[cfg(feature = "planted")]
    pub fn count_again(&self, count: u64) {
        self.total.fetch_add(count, Ordering::Relaxed);
    }
}
