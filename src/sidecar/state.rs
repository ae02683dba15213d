//! What the parts of the sidecar share: the counts, the drain, and the signals "terminating" and "closing".
//!
//! **Invariant:** nothing here waits while it holds the lock, and the lock is never held across a socket.

use super::arrivals::Arrivals;
use super::count::Count;
use super::drain::{Drain, Refused, millis};
use super::idle;
use super::observe::looks::{Looks, Watched};
use super::quota::Quota;
use crate::wire::{self, DrainCommand, InFlightReport, Mode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The state of one sidecar process.
pub struct Shared {
    /// Requests in flight.
    pub in_flight: Arc<Count>,
    /// Client connections that are open, idle ones included.
    pub connections: Arc<Count>,
    /// How many of them each thread serves.
    pub threads: Vec<Arc<Count>>,
    /// Those of them that are relayed as bytes: each is in flight as long as it is open.
    pub tcp: Count,
    /// How many connections each route has taken, by the port that takes them.
    pub routes: Vec<(u16, AtomicU64)>,
    /// Sockets that take new ones.
    pub listeners: Count,
    /// Requests that got an answer of our own, by status: 400, 408, 431, 502, 503.
    pub own_answers: [AtomicU64; OWN_STATUSES.len()],
    /// Connections that were passed through because they speak TLS.
    pub tls: AtomicU64,
    /// Requests that were served and do not count.
    pub ignored: AtomicU64,
    /// HTTP/2 connections that were closed for a flood of frames that carry no request.
    pub floods: AtomicU64,
    /// Bytes that clients may make this process hold.
    pub quota: Arc<Quota>,
    /// Client connections that could be closed.
    pub idle: Arc<idle::Table>,
    /// How traffic is understood.
    mode: Mode,
    inner: Mutex<Inner>,
    /// Whether a lease or a termination has ever begun: spares the lock on the hot path.
    ever_drained: AtomicBool,
    /// How many drains have begun.
    drains: watch::Sender<u64>,
    terminating: watch::Sender<bool>,
    last_call: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    /// Where the count is observed: when a look is due.
    pub looks: Looks,
}

/// The statuses that the sidecar itself answers.
pub const OWN_STATUSES: [u16; 5] = [400, 408, 431, 502, 503];

struct Inner {
    drain: Drain,
    arrivals: Arrivals,
    /// The mean gap as it was when the drain began.
    gap_before_drain: Option<Duration>,
    /// Whether the last probe was told that the pod is ready.
    last_probe: Option<bool>,
}

impl Shared {
    /// The state of a process that has just started.
    #[must_use]
    pub fn new(mode: Mode, drain: Drain) -> Self {
        let inner = Inner { drain, arrivals: Arrivals::new(Instant::now()), gap_before_drain: None, last_probe: None };
        Self {
            in_flight: Arc::default(),
            connections: Arc::default(),
            threads: vec![],
            tcp: Count::default(),
            routes: vec![],
            listeners: Count::default(),
            own_answers: Default::default(),
            tls: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            floods: AtomicU64::new(0),
            quota: Arc::new(Quota::new(None)),
            idle: Arc::default(),
            mode,
            looks: Looks::default(),
            inner: Mutex::new(inner),
            ever_drained: AtomicBool::new(false),
            drains: watch::Sender::new(0),
            terminating: watch::Sender::new(false),
            last_call: watch::Sender::new(false),
            closing: watch::Sender::new(false),
        }
    }

    /// The same with another budget than that of a process without a limit.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { quota: Arc::new(quota), ..self }
    }

    /// The same with routes at these ports.
    #[must_use]
    pub fn with_routes(self, ports: impl Iterator<Item = u16>) -> Self {
        Self { routes: ports.map(|port| (port, AtomicU64::new(0))).collect(), ..self }
    }

    /// The same with so many threads.
    #[must_use]
    pub fn with_threads(self, count: usize) -> Self {
        Self { threads: (0..count).map(|_| Arc::default()).collect(), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The route at this place has taken a connection.
    pub fn taken_by(&self, place: usize) {
        if let Some((_, count)) = self.routes.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests have begun to arrive.
    pub fn arrived(&self, count: u64) {
        self.arrived_at(Instant::now(), count);
    }

    /// The same for those who know the time already: reading the clock is a good part of counting.
    pub fn arrived_at(&self, now: Instant, count: u64) {
        if count > 0 {
            self.lock().arrivals.record(u32::try_from(count).unwrap_or(u32::MAX), now);
        }
    }

    /// When the last request arrived.
    #[must_use]
    pub fn last_arrival(&self) -> Option<Instant> {
        self.lock().arrivals.last()
    }

    /// How traffic is understood.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns when the counts are fresh: at once, unless they are observed.
    pub async fn refresh(&self) {
        if self.mode == Mode::Observe {
            self.looks.fresh().await;
        }
    }

    /// As long as the answer lives, observed counts are kept fresh, since something waits for them to change.
    #[must_use]
    pub fn watch(&self) -> Watched<'_> {
        self.looks.watch()
    }

    /// A probe of `/readyz` was answered.
    pub fn probed(&self, is_ready: bool) {
        self.lock().last_probe = Some(is_ready);
    }

    /// Reads the drain.
    pub fn drain<T>(&self, read: impl FnOnce(&Drain) -> T) -> T {
        read(&self.lock().drain)
    }

    /// Whether answers ask clients to go elsewhere.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.ever_drained.load(Ordering::Acquire) && self.lock().drain.is_draining(Instant::now())
    }

    /// Whether late requests are refused.
    #[must_use]
    pub fn rejects(&self) -> bool {
        self.ever_drained.load(Ordering::Acquire) && self.lock().drain.rejects(Instant::now())
    }

    /// Obeys a signed command. The signature is checked without the lock, which the traffic needs for each request.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn obey(&self, command: &DrainCommand) -> Result<(), Refused> {
        let key = self.lock().drain.key_for(command)?;
        let is_signed = command.is_signed_by(&key);
        let now = Instant::now();
        let mut inner = self.lock();
        let was_draining = inner.drain.is_draining(now);
        inner.drain.obey_checked(command, is_signed, now)?;
        let begins = !was_draining && inner.drain.is_draining(now);
        if !was_draining {
            inner.gap_before_drain = inner.arrivals.mean_gap(now);
        }
        self.ever_drained.store(true, Ordering::Release);
        drop(inner);
        if begins {
            self.drain_begins();
        }
        Ok(())
    }

    fn drain_begins(&self) {
        self.drains.send_modify(|drains| *drains += 1);
    }

    /// A receiver that changes with every drain that begins.
    #[must_use]
    pub fn drains(&self) -> watch::Receiver<u64> {
        self.drains.subscribe()
    }

    /// Counts a command that could not even be read.
    pub fn refuse(&self, refused: Refused) -> Refused {
        self.lock().drain.refuse(refused)
    }

    /// The termination of the pod begins; the first call counts.
    pub fn terminate(&self) {
        let now = Instant::now();
        let mut inner = self.lock();
        let begins = !inner.drain.is_draining(now);
        if begins {
            inner.gap_before_drain = inner.arrivals.mean_gap(now);
        }
        inner.drain.terminate(now);
        self.ever_drained.store(true, Ordering::Release);
        drop(inner);
        if begins {
            self.drain_begins();
        }
        self.terminating.send_replace(true);
    }

    /// Returns when the termination has begun.
    pub async fn terminating(&self) {
        // The sender lives as long as `self`: no error is possible.
        let _ = self.terminating.subscribe().wait_for(|begun| *begun).await;
    }

    /// There is no more time: whoever can say goodbye should.
    pub fn call_last(&self) {
        self.last_call.send_replace(true);
    }

    /// A receiver of the signal that [`Shared::call_last`] gives.
    #[must_use]
    pub fn last_call(&self) -> watch::Receiver<bool> {
        self.last_call.subscribe()
    }

    /// The listener and idle connections are to be closed.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether [`Shared::close`] has been called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// A receiver of the signal that [`Shared::close`] gives.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// The mean gap between requests before the drain began, or before now when there is none.
    #[must_use]
    pub fn mean_gap(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut inner = self.lock();
        if inner.drain.is_draining(now) { inner.gap_before_drain } else { inner.arrivals.mean_gap(now) }
    }

    /// What the sidecar says of itself.
    ///
    /// Made on another thread than the traffic's, it is still of one moment: the count is read before the last arrival, which
    /// is recorded before its request can end. So a report of 0 shows the arrival of every request that has ended by then.
    #[must_use]
    pub fn report(&self) -> InFlightReport {
        let mean_gap_millis = self.mean_gap().map(millis);
        let now = Instant::now();
        let mut inner = self.lock();
        InFlightReport {
            version: wire::VERSION,
            pod_uid: inner.drain.pod_uid().to_owned(),
            boot: inner.drain.boot().to_owned(),
            challenge: inner.drain.challenge(now).to_owned(),
            trusted_keys: inner.drain.key_ids().map(str::to_owned).collect(),
            mode: self.mode,
            in_flight: self.in_flight.now(),
            last_arrival_ago_millis: inner.arrivals.last().map(|last| millis(now.saturating_duration_since(last))),
            mean_gap_millis,
            lease: inner.drain.lease_report(now),
            terminating: inner.drain.terminating_since().is_some(),
            last_probe: inner.last_probe,
        }
    }

    /// Counts an answer of our own.
    pub fn answered_itself(&self, status: u16) {
        if let Some(index) = OWN_STATUSES.iter().position(|known| *known == status) {
            self.own_answers[index].fetch_add(1, Ordering::Relaxed);
        }
    }
}
