//! The pod's end: how it begins, when the app may go, and what is closed before.
//!
//! Both preStop hooks run at once. The sidecar's (`restart-sidecar terminating`) begins the termination over an abstract
//! Unix socket: the pod's network namespace alone reaches it. The app's (`GET /wait-drained`) holds the app until
//! [`wait_drained`] returns.
//!
//! **Invariant:** nothing on the network begins a termination; nothing is closed before requests have stopped coming, or
//! the time that the grace period leaves for the drain is nearly over; the app is let go only after the listener.

use super::drain::Drain;
use super::seldom::Seldom;
use super::state::Shared;
use crate::wire::Mode;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout_at;

/// How long a terminating pod still gets requests on new connections: kube-proxy's lag was up to 1.0 s; doubled.
const HOLD: Duration = Duration::from_secs(2);
/// The quiet window is so many mean gaps between requests,
const QUIET_GAPS: u32 = 5;
/// and no longer than this; where requests are too rare to know a gap, it is this.
const LONGEST_QUIET: Duration = Duration::from_secs(15);
/// What the grace period keeps for the app's own end.
const RESERVE: Duration = Duration::from_secs(5);
/// Where requests never stop coming: how long before the app must be let go no more connections are taken, so that what
/// is in flight then can finish; and at most this part of the time there is.
const FINISHING: Duration = Duration::from_secs(5);
const FINISHING_PART: u32 = 4;
/// How long before the app must be let go the two sides of a WebSocket are told.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the two hooks are expected to begin apart at most. A kubelet starts both at once, but an exec hook waits for
/// its runtime; later probably means that the sidecar's is missing.
const HOOKS_APART: Duration = Duration::from_secs(5);
/// The grace period has begun at most so long before the termination is announced: a caller that came earlier than that
/// is no hook of this termination, and shortens nothing.
const LATEST: Duration = Duration::from_secs(10);

static UNANNOUNCED: Seldom = Seldom::new();
/// Longest wait for a fresh look at what is observed.
const FRESH: Duration = Duration::from_secs(1);
/// How long the hook waits for the running sidecar.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a termination may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The pod's terminationGracePeriodSeconds: the hook is not told.
    pub grace: Duration,
    /// Shortest quiet window.
    pub quiet: Duration,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Requests had stopped coming; all connections are closed.
    Clean,
    /// The grace period is nearly over.
    OutOfTime,
    /// Nobody has begun a termination: the sidecar's preStop hook is missing. Requests have stopped, nothing is closed.
    NotTerminating,
}

/// Holds the app: returns when it may go.
///
/// As long as no termination is announced it only waits for silence, at most as long, and closes nothing: a caller on the
/// network must not be able to end anything. One that is announced meanwhile is carried out.
pub async fn wait_drained(shared: &Shared, limits: Limits) -> Drained {
    let called = Instant::now();
    let budget = limits.grace.saturating_sub(RESERVE);
    tokio::select! {
        biased;
        () = shared.terminating() => {}
        () = unannounced(shared, limits, called, budget) => {}
    }
    let Some(began) = shared.drain(Drain::terminating_since) else { return Drained::NotTerminating };
    drained(shared, limits, grace_began(called, began), budget).await
}

/// When the grace period began: with the first of both hooks, but not with a caller that came long before.
fn grace_began(called: Instant, announced: Instant) -> Instant {
    announced.checked_sub(LATEST).map_or(announced, |earliest| called.clamp(earliest, announced))
}

/// Waits for silence where no termination has been announced, from the moment on in which one should have been.
async fn unannounced(shared: &Shared, limits: Limits, called: Instant, budget: Duration) {
    let apart = called + HOOKS_APART.min(budget);
    tokio::time::sleep_until(apart.into()).await;
    if UNANNOUNCED.is_due() {
        tracing::warn!(
            "wait-drained was called, but nothing has begun a termination: is the sidecar's preStop hook missing?"
        );
    }
    let _ = timeout_at((called + budget).into(), silence(shared, limits, apart)).await;
}

/// Carries out a termination whose grace period began at `began`.
async fn drained(shared: &Shared, limits: Limits, began: Instant, budget: Duration) -> Drained {
    let leaving = shared.drain(Drain::leaving_since).unwrap_or(began);
    let (last_call, deadline) = (began + budget.saturating_sub(GOODBYE), began + budget);
    let closing = began + budget.saturating_sub(FINISHING.min(budget / FINISHING_PART).max(GOODBYE));
    let in_time = timeout_at(closing.into(), silence(shared, limits, leaving)).await.is_ok();
    let (in_flight, connections) = (shared.in_flight.now(), shared.connections.now());
    tracing::info!(after = ?began.elapsed(), in_time, in_flight, connections, "closing the listener and idle connections");
    shared.close();
    let mut emptied = timeout_at(last_call.into(), empty(shared)).await.is_ok();
    if !emptied {
        shared.call_last();
        emptied = timeout_at(deadline.into(), empty(shared)).await.is_ok();
    }
    tracing::info!(after = ?began.elapsed(), emptied, left = shared.connections.now(), "the app may go");
    if in_time && emptied { Drained::Clean } else { Drained::OutOfTime }
}

/// Returns when nothing is in flight, and no request has come for the quiet window after `leaving`.
///
/// Of connections that are relayed as bytes only the second: those that are open may stay so for long, and end without us.
async fn silence(shared: &Shared, limits: Limits, leaving: Instant) {
    let window = quiet_window(shared.mean_gap(), limits.quiet);
    let counts = shared.mode() != Mode::Tcp;
    let _watched = shared.watch();
    loop {
        if counts {
            shared.in_flight.below(1 + shared.tcp.now()).await;
        }
        shared.refresh().await;
        let since = shared.last_arrival().map_or(leaving, |last| last.max(leaving));
        let quiet_at = (since + window).max(leaving + HOLD);
        if Instant::now() >= quiet_at && (!counts || shared.in_flight.now() <= shared.tcp.now()) {
            return;
        }
        tokio::time::sleep_until(quiet_at.into()).await;
    }
}

/// Returns when the listener has closed, no connection is open and nothing is in flight.
async fn empty(shared: &Shared) {
    shared.listeners.below(1).await;
    while shared.connections.now() > 0 || shared.in_flight.now() > 0 {
        shared.connections.below(1).await;
        shared.in_flight.below(1).await;
    }
}

/// How long no request must have come: silence proves nothing where requests are rarer than that.
fn quiet_window(mean_gap: Option<Duration>, shortest: Duration) -> Duration {
    let longest = LONGEST_QUIET.max(shortest);
    mean_gap.map_or(longest, |gap| (gap * QUIET_GAPS).clamp(shortest, longest))
}

/// Finishes after SIGTERM: by then the app has gone, or nobody asked it to wait.
pub async fn finish(shared: &Shared, limits: Limits) {
    shared.terminate();
    shared.close();
    let mut emptied = tokio::time::timeout(limits.grace.saturating_sub(RESERVE), empty(shared)).await.is_ok();
    if !emptied {
        shared.call_last();
        emptied = tokio::time::timeout(limits.grace.min(RESERVE), empty(shared)).await.is_ok();
    }
    tracing::info!(emptied, "exiting");
}

/// The socket on which [`announce`] is heard.
///
/// # Errors
/// Another sidecar in this network namespace has the name.
pub fn listen(name: &str) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Begins the termination as soon as somebody in the pod announces it; runs as long as the process.
pub async fn hear(listener: UnixListener, shared: &Shared) {
    loop {
        match listener.accept().await {
            Ok((mut caller, _)) => {
                // What is observed is known as of now, since the gap between requests counts from before.
                let _ = tokio::time::timeout(FRESH, shared.refresh()).await;
                tracing::info!("the pod is being terminated");
                shared.terminate();
                let _ = caller.write_all(b"ok").await;
            }
            Err(error) => {
                super::listen::wait_out(&error).await;
            }
        }
    }
}

/// Tells the sidecar that runs in this pod that the pod is being terminated: the preStop hook.
///
/// # Errors
/// A sentence: no sidecar hears, or it does not answer.
pub async fn announce(name: &str) -> Result<(), String> {
    let told = async {
        let stream = std::os::unix::net::UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
        stream.set_nonblocking(true)?;
        let mut answer = Vec::new();
        UnixStream::from_std(stream)?.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok(answer)) if answer == b"ok" => Ok(()),
        Ok(Ok(_)) => Err(format!("the sidecar at control socket {name:?} gave no answer")),
        Ok(Err(error)) => Err(format!("no sidecar listens at control socket {name:?} of this pod: {error}")),
        Err(_) => Err(format!("the sidecar at control socket {name:?} did not answer within {PATIENCE:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A service with many requests, so that the quiet window is the shortest.
    fn busy() -> (Shared, Limits) {
        let drain = Drain::new("pod-1".into(), std::iter::empty().collect());
        let shared = Shared::new(Mode::Http, drain);
        shared.arrived(1_000);
        (shared, Limits { grace: SECOND * 60, quiet: SECOND / 10 })
    }

    #[tokio::test]
    async fn a_termination_that_is_announced_late_is_carried_out() {
        let (shared, limits) = busy();
        let late = async {
            tokio::time::sleep(HOOKS_APART + SECOND / 5).await;
            assert!(!shared.is_closing());
            shared.terminate();
        };
        let (drained, ()) = tokio::join!(wait_drained(&shared, limits), late);
        assert_eq!(drained, Drained::Clean);
        assert!(shared.is_closing());
    }

    #[tokio::test]
    async fn without_a_grace_period_nothing_is_waited_for() {
        let (shared, limits) = busy();
        let none = Limits { grace: Duration::ZERO, ..limits };
        let began = Instant::now();
        assert_eq!(wait_drained(&shared, none).await, Drained::NotTerminating);
        shared.terminate();
        wait_drained(&shared, none).await;
        finish(&shared, none).await;
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    }

    #[test]
    fn the_grace_period_begins_with_the_first_hook_and_not_with_a_caller_long_before() {
        let called = Instant::now() + SECOND * 100;
        assert_eq!(grace_began(called, called + SECOND * 6), called);
        assert_eq!(
            grace_began(called, called.checked_sub(SECOND * 3).unwrap()),
            called.checked_sub(SECOND * 3).unwrap()
        );
        assert_eq!(grace_began(called, called + SECOND * 40), called + SECOND * 30);
    }

    #[test]
    fn the_quiet_window_follows_the_rate_between_its_bounds() {
        let window = |gap| quiet_window(gap, Duration::from_secs(2)).as_millis();
        assert_eq!(window(Some(Duration::from_millis(5))), 2_000);
        assert_eq!(window(Some(Duration::from_millis(1_500))), 7_500);
        assert_eq!(window(Some(Duration::from_secs(20))), 15_000);
        assert_eq!(window(None), 15_000);
        assert_eq!(quiet_window(None, Duration::from_secs(20)), Duration::from_secs(20));
    }
}
