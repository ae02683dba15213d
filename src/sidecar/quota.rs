//! A budget of bytes for everything that clients can make this process hold, so that it stays below its control group's
//! limit: connections, streams of HTTP/2, and the bytes of those that wait.
//!
//! When the budget is used up, those that wait with bytes in their hands (a head that does not end, a reader that does not
//! read) are given up, the oldest first; what is new is refused, or waits until there is room.
//!
//! **Invariant:** nothing is allocated for a client over the budget, but for one buffer or connection; and a request that
//! waits for nothing touches no lock here.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// An open connection, in bytes: its task, its socket and the one to the app with what the kernel keeps for them.
pub const CONNECTION: u64 = 10 * 1024;
/// What one of HTTP/2 holds beyond that: the buffers of two engines, towards the client and towards the app.
pub const HTTP2_CONNECTION: u64 = 48 * 1024;
/// A stream of HTTP/2 without its bodies and header fields: two tasks, and its place in two engines.
pub const STREAM: u64 = 4 * 1024;
/// Taken for the limit where there is none, in bytes.
const UNLIMITED: u64 = 1 << 30;
/// What the program itself needs, its spare buffers included, and what is held for the moment in which it is given up.
const OWN: u64 = 24 << 20;

/// How often one that waits for room asks for it.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How much may be held, and how much is.
pub struct Quota {
    limit: u64,
    held: AtomicU64,
    refused: AtomicU64,
    waiting: Mutex<Waiting>,
    freed: Notify,
}

/// The charges that may be given up, the oldest first.
#[derive(Default)]
struct Waiting {
    next: u64,
    charges: BTreeMap<u64, Waiter>,
    /// Bytes that were given up and are not yet free.
    leaving: u64,
}

struct Waiter {
    bytes: u64,
    give_up: oneshot::Sender<()>,
}

/// There is no room: what asked is refused, or what waited has been given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Quota {
    /// For a process that may use `memory` bytes, or any number of them.
    #[must_use]
    pub fn new(memory: Option<u64>) -> Self {
        let memory = memory.unwrap_or(UNLIMITED);
        let limit = memory.saturating_sub(OWN).max(memory / 4);
        Self { limit, held: 0.into(), refused: 0.into(), waiting: Mutex::default(), freed: Notify::new() }
    }

    /// How many connections fit: the rest, a quarter, is for what they hold.
    #[must_use]
    pub fn connections(&self) -> usize {
        usize::try_from((self.limit / 4 * 3 / CONNECTION).max(8)).unwrap_or(usize::MAX)
    }

    /// How many bytes of one body of HTTP/2 may be on their way through: less where hardly a thousand streams would fit.
    #[must_use]
    pub fn window(&self) -> u32 {
        [64, 32]
            .into_iter()
            .map(|kib| kib * 1024)
            .find(|window| self.limit / u64::from(*window) >= 2_048)
            .unwrap_or(16 * 1024)
    }

    /// The budget in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are charged now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// How many connections, requests and streams were refused or given up for want of memory.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Something was refused for want of memory.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges `bytes` whether there is room or not: the caller has asked before. It gives them back by [`Quota::free`].
    pub fn take(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back `bytes` that were taken.
    pub fn free(&self, bytes: u64) {
        let before = self.held.fetch_sub(bytes, Ordering::Relaxed);
        if before + HTTP2_CONNECTION > self.most_lasting() {
            self.freed.notify_waiters();
        }
    }

    /// Charges `bytes` until the guard is dropped, whether there is room or not.
    #[must_use]
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.take(bytes);
        Charge { quota: Arc::clone(self), bytes: bytes.into() }
    }

    /// What lasts, connections and streams, leaves an eighth to the buffers of those that are being served.
    fn most_lasting(&self) -> u64 {
        self.limit / 8 * 7
    }

    /// Whether a connection or stream of `bytes` fits, or will as soon as what was given up for it is free.
    #[must_use]
    pub fn fits(&self, bytes: u64) -> bool {
        self.held() + bytes <= self.most_lasting() || self.give_up_until(self.most_lasting().saturating_sub(bytes))
    }

    /// Charges `bytes` for something that lasts, if it [fits](Quota::fits).
    ///
    /// # Errors
    /// [`NoRoom`]: nothing that waits can be given up.
    pub fn try_charge(self: &Arc<Self>, bytes: u64) -> Result<Charge, NoRoom> {
        if self.fits(bytes) {
            return Ok(self.charge(bytes));
        }
        self.count_refused();
        Err(NoRoom)
    }

    /// Charges `bytes` for something that lasts, as soon as there is room. While there is none, this calls
    /// `make_room` and looks again.
    pub async fn charge_when_free(self: &Arc<Self>, bytes: u64, make_room: impl Fn()) -> Charge {
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.held() + bytes <= self.most_lasting() {
                return self.charge(bytes);
            }
            make_room();
            // What was to make room may have found another use.
            let _ = tokio::time::timeout(ASK_AGAIN, freed).await;
        }
    }

    /// Returns when something has been given back, or soon.
    pub async fn has_changed(&self) {
        let _ = tokio::time::timeout(ASK_AGAIN, self.freed.notified()).await;
    }

    /// Whether more is held than may be.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.held() > self.limit
    }

    /// Returns when no more is held than may be.
    pub async fn has_room(&self) {
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if !self.is_over() {
                return;
            }
            self.give_up_until(self.limit / 16 * 15);
            let _ = tokio::time::timeout(ASK_AGAIN, freed).await;
        }
    }

    /// Waits for `future` with `bytes` that are charged already; meanwhile they may be given up.
    ///
    /// # Errors
    /// [`NoRoom`]: there was more urgent need of them. The caller gives them back.
    pub async fn hold<T>(self: &Arc<Self>, bytes: u64, future: impl Future<Output = T>) -> Result<T, NoRoom> {
        self.wait(bytes).or_give_up(future).await
    }

    /// The place of one that waits with `bytes` that are charged already, among those that may be given up.
    #[must_use]
    pub fn wait(self: &Arc<Self>, bytes: u64) -> Wait {
        let (give_up, told) = oneshot::channel();
        let mut waiting = self.waiting();
        let key = waiting.next;
        waiting.next += 1;
        waiting.charges.insert(key, Waiter { bytes, give_up });
        Wait { quota: Arc::clone(self), key, bytes, told }
    }

    /// Gives up what waits, the oldest first, until no more than `target` is held without it; whether that was enough.
    fn give_up_until(&self, target: u64) -> bool {
        let mut waiting = self.waiting();
        while self.held().saturating_sub(waiting.leaving) > target {
            let Some((_, Waiter { bytes, give_up })) = waiting.charges.pop_first() else { return false };
            waiting.leaving += bytes;
            // Its task is told when it runs next; until then its bytes count as leaving.
            let _ = give_up.send(());
        }
        true
    }
}

/// Bytes that are held until this is dropped.
pub struct Charge {
    quota: Arc<Quota>,
    bytes: AtomicU64,
}

impl Charge {
    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits for `future`; meanwhile the bytes may be given up.
    ///
    /// # Errors
    /// [`NoRoom`]: there was more urgent need of them; they are given back already.
    pub async fn hold<T>(&self, future: impl Future<Output = T>) -> Result<T, NoRoom> {
        let done = self.quota.hold(self.bytes(), future).await;
        if done.is_err() {
            self.release();
        }
        done
    }

    /// Gives them back now.
    pub fn release(&self) {
        self.quota.free(self.bytes.swap(0, Ordering::Relaxed));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

/// The place of one that waits, until this is dropped.
pub struct Wait {
    quota: Arc<Quota>,
    key: u64,
    bytes: u64,
    told: oneshot::Receiver<()>,
}

impl Wait {
    /// Ready when it is given up.
    pub fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.told).poll(context).map(|_| self.quota.count_refused())
    }

    async fn or_give_up<T>(mut self, future: impl Future<Output = T>) -> Result<T, NoRoom> {
        tokio::select! {
            biased;
            done = future => Ok(done),
            () = poll_fn(|context| self.poll_given_up(context)) => Err(NoRoom),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waiting = self.quota.waiting();
        if waiting.charges.remove(&self.key).is_none() {
            waiting.leaving -= self.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const KIB: u64 = 1024;

    /// A budget of 40 MiB.
    fn quota() -> Arc<Quota> {
        Arc::new(Quota::new(Some(64 << 20)))
    }

    #[test]
    fn what_is_derived_fits_into_the_limit() {
        let of = |mib: u64| {
            let quota = Quota::new(Some(mib << 20));
            (quota.limit() >> 20, quota.connections(), quota.window() / 1024)
        };
        assert_eq!(of(64), (40, 3_072, 16));
        assert_eq!(of(128), (104, 7_987, 32));
        assert_eq!(of(256), (232, 17_817, 64));
        assert_eq!(of(16), (4, 307, 16));
        assert_eq!(Quota::new(None).connections(), 76_800);
    }

    #[tokio::test]
    async fn the_oldest_that_waits_is_given_up_for_what_comes() {
        let quota = quota();
        let waits = |bytes| {
            let quota = Arc::clone(&quota);
            tokio::spawn(async move {
                let charge = quota.charge(bytes);
                charge.hold(pending::<()>()).await
            })
        };
        let (oldest, younger) = (waits(20 << 20), waits(14 << 20));
        tokio::task::yield_now().await;
        assert_eq!(quota.held(), 34 << 20);
        let charge = quota.try_charge(2 << 20).unwrap();
        assert_eq!(oldest.await.unwrap(), Err(NoRoom));
        assert!(!younger.is_finished());
        assert_eq!((quota.held(), quota.refused()), (16 << 20, 1));
        drop(charge);
        younger.abort();
        assert!(younger.await.is_err());
        assert_eq!(quota.held(), 0);
        assert_eq!(quota.waiting().leaving, 0);
    }

    #[tokio::test]
    async fn where_nothing_waits_what_comes_is_refused_and_leaves_no_charge() {
        let quota = quota();
        let all = quota.charge(quota.most_lasting());
        assert!(quota.try_charge(1).is_err());
        assert_eq!(quota.held(), quota.most_lasting());
        assert_eq!(quota.hold(1, ready(7)).await, Ok(7), "what is there already is not given up");
        all.release();
        assert_eq!((quota.held(), all.bytes()), (0, 0));
        drop(all);
        assert_eq!(quota.held(), 0);
    }

    #[tokio::test]
    async fn one_that_waits_for_room_gets_it_as_soon_as_there_is_some() {
        let quota = quota();
        let all = quota.charge(quota.limit() + 1);
        let asked = AtomicU64::new(0);
        let lasting = quota.charge_when_free(KIB, || {
            asked.fetch_add(1, Ordering::Relaxed);
        });
        let frees = async {
            tokio::task::yield_now().await;
            drop(all);
        };
        let (charge, (), ()) = tokio::join!(lasting, quota.has_room(), frees);
        assert_eq!(charge.bytes(), KIB);
        assert_eq!(asked.into_inner(), 1);
    }
}
