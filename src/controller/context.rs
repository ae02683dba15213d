//! What every pass shares: clients, configuration, keys, sidecars, metrics, events, and the memory between passes.
//!
//! **Invariant:** no call leaves without a limit on its time, and no client repeats a call by itself: kube 5 would
//! repeat 429, 503 and 504 of every verb for about 164 s and so hide a budget's answer (DESIGN 10).

use super::error::Error;
use super::leader::{Leader, NotLeading};
use super::{
    admission, config, contents, edges, events, hooks, keys, leases, memory, metrics, orphans, sidecars, traces, turns,
};
use kube::Client;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for an answer of the API server.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for the answer to an eviction, which the budget's own compare-and-swap can delay.
pub const EVICTION_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Above the 290 s after which the API server ends a watch, below which a quiet watch is no dead connection.
const WATCH_IDLE_LIMIT: Duration = Duration::from_secs(295);
/// Above both limits above: what is left for a connection that nobody waits for any more.
const WRITER_IDLE_LIMIT: Duration = Duration::from_secs(20);

/// What every pass shares.
pub struct Context {
    /// For reads and watches.
    pub reader: Client,
    /// For writes, over connections of their own: a flood of reads does not hold up the renewal of a lease. It refuses
    /// every write once this process does not lead any more.
    pub writer: Client,
    /// Whether this process leads: asked before whatever acts by another way than `writer`.
    pub leader: Leader,
    /// The namespace that the controller runs in.
    pub namespace: String,
    /// Whether the policies are there without which no restart begins.
    pub admission: admission::Admission,
    /// The configuration as it is now.
    pub config: config::Handle,
    /// The key that signs commands to sidecars.
    pub keys: keys::Keys,
    /// The sidecars.
    pub sidecars: sidecars::Sidecars,
    /// The drain leases that are renewed between passes.
    pub leases: leases::Leases,
    /// The counters.
    pub metrics: metrics::Metrics,
    /// The event recorder.
    pub events: events::Events,
    /// The hooks that run in this process, and their results until they are recorded.
    pub hooks: Arc<hooks::Hooks>,
    /// What is remembered between passes and may be lost at any time.
    pub memory: memory::Memory,
    /// The waits for the moment when no request is in flight.
    pub edges: edges::Edges,
    /// The runs whose request is gone.
    pub orphans: orphans::Orphans,
    /// The way of traces to their receiver.
    pub traces: traces::Traces,
    /// The requests that wait, and whose turn it is to be looked at.
    pub turns: turns::Turns,
    /// What ConfigMaps hold, by their versions.
    pub contents: contents::Contents,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { namespace, config, keys, .. } = self;
        let mut context = formatter.debug_struct("Context");
        context.field("namespace", namespace).field("config", config).field("keys", keys).finish_non_exhaustive()
    }
}

impl Context {
    /// The run has ended, or its request is gone.
    pub fn forget(&self, uid: &str) {
        self.memory.forget(uid);
        self.leases.forget(uid);
        self.turns.neighbours.forget(uid, Instant::now());
        self.hooks.forget(uid);
        self.metrics.in_flight(uid, None);
    }
}

/// The reader, the writer and the namespace that the environment calls ours.
///
/// # Errors
/// When there is neither a kubeconfig nor a service account, or it cannot be used.
pub async fn clients() -> Result<(Client, Client, String), Error> {
    let mut config = kube::Config::infer().await.map_err(|error| {
        Error::Startup(format!("no way to the API server: {error}; run in a pod, or set KUBECONFIG"))
    })?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_LIMIT);
    config.write_timeout = Some(CALL_LIMIT);
    // A pooled connection's idle time would count against the next answer otherwise.
    config.reset_reader_on_write = true;
    let namespace = config.default_namespace.clone();
    config.read_timeout = Some(WATCH_IDLE_LIMIT);
    let reader = client(config.clone())?;
    config.read_timeout = Some(WRITER_IDLE_LIMIT);
    Ok((reader, client(config)?, namespace))
}

fn client(config: kube::Config) -> Result<Client, Error> {
    Client::try_from(config)
        .map_err(|error| Error::Startup(format!("the API server's address or credentials: {error}")))
}

/// `call` with the usual limit; `what` says what is attempted on which object.
///
/// # Errors
/// [`Error::Kube`] or [`Error::Timeout`], both with `what`.
pub async fn call<T>(what: impl Into<String>, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    timed(what, CALL_LIMIT, call).await
}

/// `call`, given up after `limit`.
///
/// # Errors
/// [`Error::Kube`] or [`Error::Timeout`], both with `what`.
pub async fn timed<T>(
    what: impl Into<String>,
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Service(why))) if why.is::<NotLeading>() => Err(Error::NotLeading { what: what.into() }),
        Ok(Err(source)) => Err(Error::Kube { what: what.into(), source }),
        Err(_) => Err(Error::Timeout { what: what.into(), limit }),
    }
}
