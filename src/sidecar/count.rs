//! The in-flight count: how many requests have begun to arrive and are not yet answered, reset, or closed as a tunnel.
//!
//! **Invariant:** the number only moves through a [`Share`] or a [`One`], and dropping it takes out all it still holds, so
//! no path (answer, error, cancellation, panic) can leave the count too high, and none lowers it before its request ended.
//!
//! **Read on other threads** (the admin port has one of its own) the number is still never below the truth. A request is in it
//! before the first of its bytes is given to the app, and out of it after the last byte of its answer was given to the
//! client's socket; each of these is a system call after, or before, an atomic read-modify-write of one variable, in the
//! program order of the thread that serves the connection. An observer that has learnt of the request from the app,
//! while its client has not yet got the whole answer, therefore reads a number that holds it. What may be missing is a
//! request whose bytes have been read from the socket by a call that has returned a moment ago: no observer can tell it
//! from one whose bytes the kernel still has.
//! [`Level`] has the numbers.

use super::level::Level;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// The process-wide count, with a push to those who wait for it to fall.
#[derive(Default)]
pub struct Count {
    level: Level,
    fell: Notify,
}

impl Count {
    /// Requests in flight.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.level.now()
    }

    /// Requests that ever began.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.level.total()
    }

    /// The most that were in flight at a time since this was last asked, nearly: only memory is judged by it.
    #[must_use]
    pub fn take_most(&self) -> u64 {
        self.level.take_most()
    }

    /// Returns as soon as fewer than `limit` are in flight. Pushed by the request that ends, not polled.
    pub async fn below(&self, limit: u64) {
        loop {
            let mut fell = std::pin::pin!(self.fell.notified());
            fell.as_mut().enable();
            if self.level.is_below(limit) {
                return;
            }
            fell.await;
        }
    }

    fn begin(&self, count: u64) {
        self.level.rise(count);
    }

    fn end(&self, count: u64) {
        if self.level.fall(count) {
            self.fell.notify_waiters();
        }
    }
}

/// What one connection contributes to the count: the request it serves and those it has read ahead.
pub struct Share<'a> {
    count: &'a Count,
    held: AtomicU64,
    /// The present request does not count.
    aside: AtomicBool,
    /// The present request has been forgotten by a planted fault.
    #[cfg(feature = "planted")]
    forgotten: std::sync::atomic::AtomicBool,
}

impl<'a> Share<'a> {
    /// A connection with no request.
    #[must_use]
    pub fn new(count: &'a Count) -> Self {
        Self {
            count,
            held: AtomicU64::new(0),
            aside: AtomicBool::new(false),
            #[cfg(feature = "planted")]
            forgotten: false.into(),
        }
    }

    /// Requests of this connection that count.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// At least `count` requests have begun; answers how many of them are new.
    pub fn raise_to(&self, count: u64) -> u64 {
        let aside = u64::from(self.aside.load(Ordering::Relaxed));
        let new = count.saturating_sub(self.held() + aside);
        if new > 0 {
            self.held.fetch_add(new, Ordering::Relaxed);
            self.count.begin(new);
            #[cfg(feature = "planted")]
            if count > 1 && crate::sidecar::planted::is_planted(crate::sidecar::planted::Fault::CountsTwice) {
                self.count.level.count_again(new);
            }
        }
        new
    }

    /// Exactly `count` are in flight now: for those that are observed, not relayed.
    pub fn set(&self, count: u64) {
        self.raise_to(count);
        let over = self.held().saturating_sub(count);
        if over > 0 {
            self.held.fetch_sub(over, Ordering::Relaxed);
            self.count.end(over);
        }
    }

    /// The present request, the oldest, turns out to be none that counts; those that follow it do.
    pub fn set_aside(&self) {
        if self.held() > 0 && !self.aside.load(Ordering::Relaxed) {
            self.withdraw();
            self.aside.store(true, Ordering::Relaxed);
        }
    }

    /// What had been taken for one request was the beginning of another protocol: it was none.
    pub fn withdraw(&self) {
        if self.held() > 0 {
            self.count.level.revoke();
            self.finish_one();
        }
    }

    /// The oldest request is forgotten if `fault` is planted.
    #[cfg(feature = "planted")]
    pub fn forget_if(&self, fault: crate::sidecar::planted::Fault) {
        if crate::sidecar::planted::is_planted(fault) && self.held() > 0 {
            self.finish_one();
            self.forgotten.store(true, Ordering::Relaxed);
        }
    }

    /// The oldest request has ended.
    pub fn finish_one(&self) {
        if self.aside.swap(false, Ordering::Relaxed) {
            return;
        }
        #[cfg(feature = "planted")]
        if self.forgotten.swap(false, Ordering::Relaxed) {
            return;
        }
        debug_assert!(self.held() > 0, "a request ended that had not begun");
        if self.held() > 0 {
            self.held.fetch_sub(1, Ordering::Relaxed);
            self.count.end(1);
        }
    }
}

/// One request, counted as long as this lives: for those that many hands hold, such as the streams of HTTP/2.
pub struct One {
    count: Arc<Count>,
    aside: AtomicBool,
}

impl One {
    /// A request has begun.
    #[must_use]
    pub fn begin(count: &Arc<Count>) -> Self {
        count.begin(1);
        Self { count: Arc::clone(count), aside: AtomicBool::new(false) }
    }

    /// It turns out to be none that counts.
    pub fn set_aside(&self) {
        if !self.aside.swap(true, Ordering::Relaxed) {
            self.count.level.revoke();
            self.count.end(1);
        }
    }
}

impl Drop for One {
    fn drop(&mut self) {
        if !*self.aside.get_mut() {
            self.count.end(1);
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let held = self.held();
        #[cfg(feature = "planted")]
        if crate::sidecar::planted::is_planted(crate::sidecar::planted::Fault::KeepsBroken) {
            return;
        }
        if held > 0 {
            self.count.end(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_share_takes_out_all_it_holds() {
        let count = Count::default();
        let share = Share::new(&count);
        assert_eq!(share.raise_to(3), 3);
        assert_eq!(share.raise_to(2), 0);
        share.finish_one();
        assert_eq!((count.now(), count.total()), (2, 3));
        drop(share);
        assert_eq!((count.now(), count.total()), (0, 3));
    }

    #[test]
    fn a_request_set_aside_does_not_count_and_the_next_one_does() {
        let count = Count::default();
        let share = Share::new(&count);
        share.raise_to(1);
        share.set_aside();
        assert_eq!((count.now(), count.total()), (0, 0));
        assert_eq!(share.raise_to(2), 1, "one has been read ahead");
        share.finish_one();
        assert_eq!((count.now(), count.total()), (1, 1));
        share.finish_one();
        share.raise_to(1);
        assert_eq!((count.now(), count.total()), (1, 2));
    }

    #[test]
    fn a_waiter_on_another_thread_misses_no_edge() {
        const ROUNDS: u64 = 20_000;
        let count = Arc::new(Count::default());
        let seen = Arc::new(AtomicU64::new(0));
        let (waiting, noted) = (Arc::clone(&count), Arc::clone(&seen));
        // Each round is waited for on the other thread; a missed edge would end in its timeout.
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                while noted.load(Ordering::SeqCst) < ROUNDS {
                    let edge = tokio::time::timeout(std::time::Duration::from_secs(20), waiting.below(1)).await;
                    edge.expect("an edge was missed");
                    noted.fetch_add(1, Ordering::SeqCst);
                }
            });
        });
        while seen.load(Ordering::SeqCst) < ROUNDS {
            let share = Share::new(&count);
            share.raise_to(3);
            share.finish_one();
            assert!(count.now() >= 2, "below the truth");
        }
        other.join().unwrap();
        assert_eq!(count.now(), 0);
    }

    #[test]
    fn one_that_is_set_aside_is_taken_out_once() {
        let count = Arc::new(Count::default());
        let (one, other) = (One::begin(&count), One::begin(&count));
        one.set_aside();
        one.set_aside();
        assert_eq!((count.now(), count.total()), (1, 1));
        drop((one, other));
        assert_eq!((count.now(), count.total()), (0, 1));
    }

    #[tokio::test]
    async fn a_waiter_is_woken_by_the_request_that_ends() {
        let count = Count::default();
        let share = Share::new(&count);
        share.raise_to(2);
        let waited = async {
            count.below(1).await;
            count.now()
        };
        let ended = async {
            tokio::task::yield_now().await;
            share.finish_one();
            tokio::task::yield_now().await;
            share.finish_one();
        };
        let (seen, ()) = tokio::join!(waited, ended);
        assert_eq!(seen, 0);
    }
}
