//! How many connections the limit of open files allows: the traffic may never take what the admin port and the app need.
//!
//! **Invariant:** every client connection that is taken has room for its connection to the app; probes, reports and drain
//! commands have descriptors of their own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Listeners, the poller, signals, standard streams: twelve, and some to spare.
const OWN: u64 = 32;
/// Fewer files than this leave none to the pipes that long bodies are moved through ([`super::http::splice`]).
const FEW: u64 = 1_024;
/// Pipes of each thread: a pipe is used for as long as one socket has bytes and another takes them.
const PIPES: u64 = 8;
/// What "unlimited" is taken for: the kernel's own default for one process.
const UNLIMITED: u64 = 1 << 20;

/// So many connections at a time.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// For `most` connections.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
    }

    /// Whether there is none left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.available_permits() == 0
    }

    /// Room for one more, if there is any now.
    #[must_use]
    pub fn try_one(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }

    /// Room for one more, as soon as there is; given back when it is dropped. None: never again.
    pub async fn one(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of clients.
    pub clients: usize,
    /// To the admin port.
    pub admin: usize,
    /// Pipes of each thread.
    pub pipes: usize,
}

/// Raises the soft limit of open files to the hard one, as every server does, and shares it out.
///
/// The soft one is low by tradition alone; where it cannot be raised it is taken as it is.
#[must_use]
pub fn limits(threads: usize) -> Limits {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    share_out(getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED), threads as u64)
}

/// A client takes two: its own and one to the app; so does an admin connection, as a probe asks the app; and a pipe.
fn share_out(files: u64, threads: u64) -> Limits {
    let admin = (files / 16).clamp(4, 256);
    let pipes = if files < FEW { 0 } else { PIPES };
    let clients = files.saturating_sub(OWN + 2 * admin + 2 * pipes * threads) / 2;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits { clients: count(clients.max(1)), admin: count(admin), pipes: count(pipes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_every_connection_fit() {
        for files in [48, 64, 256, 1_024, 20_000, 1 << 20] {
            let Limits { clients, admin, pipes } = share_out(files, 2);
            let all = 2 * clients as u64 + 2 * admin as u64 + 4 * pipes as u64 + OWN;
            assert!(all <= files, "{files}: {clients}, {admin}, {pipes}");
        }
        assert_eq!(share_out(64, 4), Limits { clients: 12, admin: 4, pipes: 0 });
        assert_eq!(share_out(1_024, 2), Limits { clients: 416, admin: 64, pipes: 8 });
        assert_eq!(share_out(0, 1).clients, 1);
    }
}
