//! The proxy between one plan's controllers and the API server, and between them and the sidecars.
//!
//! A call comes in at the [`Door`] of the process that makes it; [`state`] numbers it if it writes; [`disturb`] does to it what the
//! plan says; [`onward`] sends what is left of it with the caller's own token, and its answer comes back as it is.
//!
//! **Invariant:** a call that no fault is about passes unchanged, and streams pass unbuffered.

mod answer;
mod call;
mod disturb;
mod kind;
mod onward;
mod serve;
mod state;
mod watch;

pub use call::Call;
pub use kind::Kind;
pub use serve::{Door, Sidecars};
pub use state::Seen;

use crate::fault::Window;
use crate::plan::Injection;
use crate::support::Result;
use crate::support::wait::{until, when};
use state::State;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc};

/// What the crew is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One more process.
    Another,
}

/// One plan's proxy.
#[derive(Debug)]
pub struct Proxy {
    upstream: Upstream,
    state: Mutex<State>,
    /// The process behind each door.
    processes: Mutex<BTreeMap<usize, i32>>,
    told: broadcast::Sender<Window>,
    orders: mpsc::UnboundedSender<Order>,
}

/// The way to the API server, without credentials: each call brings its own.
#[derive(Clone)]
pub struct Upstream(pub kube::Client);

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the API server")
    }
}

impl Proxy {
    /// With the faults of a plan; the orders go to its crew.
    pub fn new(upstream: Upstream, injections: &[Injection]) -> (Arc<Self>, mpsc::UnboundedReceiver<Order>) {
        let (orders, receiver) = mpsc::unbounded_channel();
        let state = Mutex::new(State::with(injections));
        let told = broadcast::Sender::new(16);
        (Arc::new(Self { upstream, state, processes: Mutex::default(), told, orders }), receiver)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<usize, i32>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on writes are numbered and disturbed.
    pub fn arm(&self) {
        self.state().armed = true;
    }

    /// The process behind this door.
    pub fn is_behind(&self, door: usize, pid: i32) {
        self.processes().insert(door, pid);
    }

    /// Every write so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Faults whose point has not come.
    pub fn left(&self) -> Vec<Injection> {
        self.state().left().to_vec()
    }

    /// Waits until the first write of this kind has been accepted.
    pub async fn reached(&self, kind: Kind, seconds: u64) -> Result {
        until(&format!("the first {}", kind.name()), seconds, async || {
            let accepted = |seen: &Seen| seen.nth.is_some() && seen.kind == kind && seen.is_accepted();
            Ok(when(self.state().seen.iter().any(accepted), || "none".to_owned()))
        })
        .await
    }
}

impl Seen {
    /// It was answered with success.
    pub fn is_accepted(&self) -> bool {
        self.answer.is_some_and(|answer| (200..300).contains(&answer))
    }
}
