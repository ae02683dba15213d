//! `observe` mode: no relay. The kernel's list of the app's connections tells which of them are at work.
//!
//! It needs no capability: any process may ask `sock_diag` about the sockets of its own network namespace. It needs the
//! kernel's `inet_diag` and `tcp_diag` (5.4 or later) and a seccomp profile that lets netlink sockets be made, as
//! `RuntimeDefault` does.
//!
//! **Invariant:** in doubt a connection is at work. What cannot be seen is said in `docs/sidecar.md`: nothing here asks a
//! client to leave, and nothing closes.

pub mod judge;
mod sock_diag;

use super::count::Share;
use super::state::Shared;
use judge::Connection;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the list is read; a report reads it anew besides.
const EVERY: Duration = Duration::from_millis(100);

/// What looks at the app's connections.
pub struct Observer {
    port: u16,
    quiet: Duration,
    state: Mutex<State>,
}

struct State {
    kernel: sock_diag::Kernel,
    /// Segments with data that each connection had received, by its cookie.
    received: HashMap<[u8; 8], u32>,
    failing: bool,
}

impl Observer {
    /// One of the app's port `port`; a connection must have been still for `quiet` to be idle.
    ///
    /// # Errors
    /// The kernel does not tell, and why.
    pub fn new(port: u16, quiet: Duration) -> io::Result<Self> {
        let mut kernel = sock_diag::Kernel::open()?;
        kernel.connections(port)?;
        Ok(Self { port, quiet, state: Mutex::new(State { kernel, received: HashMap::new(), failing: false }) })
    }

    /// Looks as long as the process runs.
    pub async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        let in_flight = Share::new(&shared.in_flight);
        loop {
            self.look(&shared, &in_flight);
            shared.refreshed();
            // Nobody who asks from now on has seen this look.
            let _ = tokio::time::timeout(EVERY, shared.refresh_asked()).await;
        }
    }

    fn look(&self, shared: &Shared, in_flight: &Share<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.kernel.connections(self.port) {
            Ok(connections) => {
                state.failing = false;
                let busy = connections.iter().filter(|connection| judge::is_busy(connection, self.quiet)).count();
                in_flight.set(busy as u64);
                shared.arrived(state.arrivals(&connections));
            }
            // The count stays as it was, and nothing looks quiet.
            Err(error) => {
                if !std::mem::replace(&mut state.failing, true) {
                    tracing::warn!(%error, "the kernel does not tell the app's connections: none of them counts as idle");
                }
                in_flight.raise_to(1);
                shared.arrived(1);
            }
        }
    }
}

impl State {
    /// Connections that have received something since the last look.
    fn arrivals(&mut self, connections: &[Connection]) -> u64 {
        let before = std::mem::take(&mut self.received);
        let mut arrivals = 0;
        for connection in connections {
            if before.get(&connection.cookie).copied().unwrap_or(0) != connection.segments_received {
                arrivals += 1;
            }
            self.received.insert(connection.cookie, connection.segments_received);
        }
        arrivals
    }
}
