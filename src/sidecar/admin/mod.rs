//! The admin port: reports, drain commands, probes, metrics, and the app's preStop hook.
//!
//! It has a thread and a runtime of its own, so that neither traffic nor a flood of this port holds up the other.
//! [`seats`] decides which connection ends when there are too many, [`serve`] runs them, [`answer`] answers.
//!
//! **Invariant:** nothing here counts as a request, and only a signed command changes anything. What a termination closes is
//! decided on the traffic's runtime (`wait_drained` is spawned there), which is the one that accepts and counts.

mod answer;
mod command;
mod polls;
mod seats;
mod serve;
mod stream;

use super::readiness::AppLook;
use super::state::Shared;
use super::termination::Limits;
use socket2::SockRef;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How many connections may wait with the kernel for their acceptance, which takes microseconds; what comes when the queue
/// is full must try again a second later. The kernel lowers it to its own limit (`somaxconn`, 4,096 by default).
const QUEUE: i32 = 4_096;

/// After so many turns of connections newcomers and bytes that came are looked for.
const TURNS: u32 = 8;

/// What the admin port needs.
pub struct Admin {
    /// Counts and drain.
    pub shared: Arc<Shared>,
    /// Whether the app is ready.
    pub app: AppLook,
    /// How long a termination may take.
    pub limits: Limits,
}

/// What one admin port has.
struct Port {
    admin: Admin,
    /// The runtime of the traffic.
    traffic: Handle,
    polls: polls::Polls,
    garbage: command::Garbage,
}

/// Serves the admin port on a thread of its own, with at most `most` connections at a time, as long as the runtime lives in
/// which this is called.
///
/// # Errors
/// A sentence: the system gives no thread, or no poller for it.
pub fn start(listener: TcpListener, admin: Admin, most: usize) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot start the thread of the admin port: {error}");
    let listener = listener.into_std().map_err(failed)?;
    SockRef::from(&listener).listen(QUEUE).map_err(failed)?;
    let runtime = Builder::new_current_thread().enable_all().event_interval(TURNS).build().map_err(failed)?;
    let (alive, ended) = oneshot::channel::<()>();
    // Dropped with the runtime of the traffic.
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(alive);
    });
    let traffic = Handle::current();
    let polls = polls::Polls::new(most);
    let port = Arc::new(Port { admin, traffic, polls, garbage: command::Garbage::default() });
    let run = move || {
        runtime.block_on(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => tokio::select! {
                    () = serve::serve(listener, port, most) => {}
                    _ = ended => {}
                },
                Err(error) => {
                    tracing::error!(%error, "the admin port cannot be served: end this process to start anew");
                }
            }
        });
    };
    std::thread::Builder::new().name("admin".into()).spawn(run).map(drop).map_err(failed)
}
