//! The threads that serve client connections: one, or as many as the container may use CPUs.
//!
//! The first thread has the listeners, and gives each connection to the thread that serves the fewest. If each thread had
//! a listener of its own (`SO_REUSEPORT`), the kernel would choose by a hash of addresses: of the few connections over which
//! a gRPC client sends everything, one thread might get all. And a listener that closes resets the connections in its
//! own queue while its neighbours go on; one listener closes once, in order ([`super::listen`]).
//!
//! **Invariant:** a connection stays on its thread, and is counted from the moment in which the listener has accepted it.

use super::count::One;
use super::quota::{CONNECTION, Charge};
use super::seldom::Seldom;
use super::state::Shared;
use super::traffic::{Relay, Traffic};
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{Builder, available_parallelism};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Most threads where the command line names no number: a container without a limit of CPUs sees all those of its node.
const MOST: usize = 4;
/// What each further thread holds of memory, in bytes: its spare buffers and pipes, its stack, gaps in its heap, and what is read
/// on it while others read as well.
pub const MEMORY: u64 = 4 << 20;

static LOST: Seldom = Seldom::new();

/// How many threads serve connections: `asked`, else one for each CPU that this process' control group and affinity allow.
#[must_use]
pub fn count(asked: Option<u32>) -> usize {
    let cpus = available_parallelism().map_or(1, NonZero::get).min(MOST);
    asked.map_or(cpus, |asked| asked as usize)
}

/// The threads, as the first of them sees them.
pub struct Threads {
    /// Counts and drain.
    pub shared: Arc<Shared>,
    /// Serves on the first thread.
    relays: Vec<Relay>,
    others: Vec<UnboundedSender<Client>>,
}

/// A connection on its way to its thread.
struct Client {
    stream: std::net::TcpStream,
    route: usize,
    place: Place,
}

/// What a connection holds as long as it lives.
struct Place {
    /// Taken when it is accepted: its thread may be late, and memory must not be promised twice meanwhile.
    _charge: Charge,
    _open: One,
    _thread: Option<One>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Threads {
    /// Starts `count` - 1 threads beside the present one, which is the first. They end with its runtime.
    ///
    /// # Errors
    /// A sentence: the system gives no thread, or no poller for it.
    pub fn start(count: usize, traffic: Traffic) -> Result<Arc<Self>, String> {
        let (shared, relays) = (Arc::clone(&traffic.shared), traffic.relays());
        let traffic = Arc::new(traffic);
        let others: Result<Vec<_>, io::Error> = (1..count).map(|number| start(number, Arc::clone(&traffic))).collect();
        let others = others.map_err(|error| format!("cannot start a thread, use fewer by --threads: {error}"))?;
        let threads = Arc::new(Self { shared, relays, others });
        let alive = Arc::clone(&threads);
        // The threads go on when the listeners have closed. This task is dropped with the first thread's runtime.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(alive);
        });
        Ok(threads)
    }

    /// Serves a connection that came on this route, on the thread that has the fewest.
    pub fn take(&self, route: usize, client: TcpStream, room: Option<OwnedSemaphorePermit>) {
        self.shared.taken_by(route);
        let threads = self.shared.threads.iter().enumerate();
        let (number, thread) = threads.min_by_key(|(_, open)| open.now()).unzip();
        let (charge, open) = (self.shared.quota.charge(CONNECTION), One::begin(&self.shared.connections));
        let place = Place { _charge: charge, _open: open, _thread: thread.map(One::begin), _room: room };
        let other = number.unwrap_or_default().checked_sub(1).and_then(|other| self.others.get(other));
        match other {
            None => serve(&self.relays, route, client, place),
            Some(other) => give(other, route, client, place),
        }
    }
}

fn give(thread: &UnboundedSender<Client>, route: usize, client: TcpStream, place: Place) {
    match client.into_std() {
        // Refused only by a thread that has ended, which happens when this one ends.
        Ok(stream) => drop(thread.send(Client { stream, route, place })),
        Err(error) => lost(&error),
    }
}

fn lost(error: &io::Error) {
    if LOST.is_due() {
        tracing::warn!(%error, "a connection could not be given to another thread, and is closed");
    }
}

fn serve(relays: &[Relay], route: usize, client: TcpStream, place: Place) {
    if let Some(relay) = relays.get(route).cloned() {
        tokio::spawn(async move {
            relay.serve(client).await;
            drop(place);
        });
    }
}

fn start(number: usize, traffic: Arc<Traffic>) -> io::Result<UnboundedSender<Client>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (give, given) = mpsc::unbounded_channel();
    let run = move || runtime.block_on(work(&traffic, given));
    Builder::new().name(format!("traffic-{number}")).spawn(run)?;
    Ok(give)
}

async fn work(traffic: &Traffic, mut given: UnboundedReceiver<Client>) {
    let relays = traffic.relays();
    while let Some(Client { stream, route, place }) = given.recv().await {
        match TcpStream::from_std(stream) {
            Ok(client) => serve(&relays, route, client, place),
            Err(error) => lost(&error),
        }
    }
}
