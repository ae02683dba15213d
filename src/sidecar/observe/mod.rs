//! `observe` mode: no relay. The kernel's list of the app's connections tells which of them are at work.
//!
//! It needs no capability: any process may ask `sock_diag` about the sockets of its own network namespace. It needs the
//! kernel's `inet_diag` and `tcp_diag` (5.4 or later) and a seccomp profile that lets netlink sockets be made, as
//! `RuntimeDefault` does.
//!
//! **Invariant:** in doubt a connection is at work. What cannot be seen is said in `docs/sidecar.md`: nothing here asks a
//! client to leave, and nothing closes.

pub mod judge;
pub mod looks;
mod rate;
mod sock_diag;

use super::count::Share;
use super::state::Shared;
use judge::{Connection, Rule};
use rate::Received;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// What looks at the app's connections.
pub struct Observer {
    port: u16,
    rule: Rule,
    kernel: sock_diag::Kernel,
    received: Received,
    looked: Instant,
    is_failing: bool,
}

impl Observer {
    /// One of the app's port `port`; `rule` says which connections are idle.
    ///
    /// # Errors
    /// The kernel does not tell, and why.
    pub fn new(port: u16, rule: Rule) -> io::Result<Self> {
        let mut kernel = sock_diag::Kernel::open()?;
        kernel.connections(port)?;
        Ok(Self { port, rule, kernel, received: Received::default(), looked: Instant::now(), is_failing: false })
    }

    /// Looks whenever it is due, as long as the process runs.
    pub async fn run(mut self, shared: Arc<Shared>) {
        let in_flight = Share::new(&shared.in_flight);
        shared.looks.run(&shared, || self.look(&shared, &in_flight)).await;
    }

    fn look(&mut self, shared: &Shared, in_flight: &Share<'_>) {
        match self.kernel.connections(self.port) {
            Ok(connections) => {
                self.is_failing = false;
                let busy = connections.iter().filter(|connection| judge::is_busy(connection, self.rule)).count();
                in_flight.set(busy as u64);
                self.count_arrivals(shared, &connections);
            }
            // The count stays as it was, and nothing looks quiet.
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "the kernel does not tell the app's connections: none of them counts as idle");
                }
                in_flight.raise_to(1);
                shared.arrived(1);
            }
        }
    }

    fn count_arrivals(&mut self, shared: &Shared, connections: &[Connection]) {
        let now = Instant::now();
        let since = now.duration_since(std::mem::replace(&mut self.looked, now));
        if let Some(arrived) = self.received.arrivals(connections, since) {
            shared.arrived_at(now.checked_sub(arrived.last_ago).unwrap_or(now), arrived.count);
        }
    }
}
