//! The controller: the shell around the machine. `reconcile` is the road of one pass (observe, plan, record or act);
//! everything else here is the frame: clients, keys, configuration, watches, and passes that cannot hurt each other.
//!
//! **Invariant:** this module wires and decides nothing; it ends within three seconds of SIGTERM, whatever is under way,
//! because each restart can be taken up again from the cluster alone. Everything that acts is begun by [`lead`].

mod act;
pub mod admin;
pub mod admission;
pub mod args;
mod backoff;
mod baseline;
mod blind;
pub mod check;
pub mod config;
pub mod contents;
pub mod context;
pub mod edges;
pub mod error;
pub mod events;
pub mod facts;
pub mod gitops;
pub mod hooks;
pub mod keys;
pub mod leader;
pub mod leases;
pub mod memory;
pub mod metrics;
pub mod neighbours;
pub mod objects;
mod observe;
mod orphans;
mod pace;
mod pass;
pub mod preview;
pub mod reconcile;
mod record;
pub mod rights;
mod shares;
pub mod sidecars;
mod slim;
pub mod telemetry;
pub mod traces;
pub mod turns;
mod validate;
mod wake;
pub mod watchdog;
mod watches;
pub mod workload;

pub use args::Args;
pub use error::Error;

use crate::http_api::{self, Permitted, Settings};
use admin::Health;
use admission::Admission;
use context::Context;
use futures::{StreamExt as _, stream};
use kube::runtime::controller::Error as LoopError;
use leader::{Election, Leader};
use metrics::Metrics;
use pass::Passes;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use watchdog::Pulse;

/// What passes under way get after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// What their Events, and then their last writes, get after that.
const LAST_WRITES: Duration = Duration::from_millis(300);
/// Between two attempts of what an API server that is away must not make fail.
const AGAIN: Duration = Duration::from_secs(1);
const KEYS: &str = "the signing key";
const WATCHES: &str = "the first list of RestartRequests";

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: no API server, no key, no right to the Lease, a configuration that is not understood, a port in
/// use. And when it led and lost the Lease: it must not act any more, and whoever started it starts it again.
pub async fn run(args: Args) -> Result<(), Error> {
    telemetry::start(&args.log, args.log_format)?;
    let metrics = Metrics::default();
    let health = Health::waiting_for([KEYS, WATCHES]);
    let stop = stop_on_signal()?;
    admin::serve(args.admin, health.clone(), metrics.clone()).await?;
    let (passes, mut election) = tokio::select! {
        started = start(&args, metrics, &health) => started?,
        () = stopped(stop.clone()) => return Ok(()),
    };
    serve_http(&args, &passes.context).await?;
    tokio::spawn(ready_when_listed(passes.context.reader.clone(), scopes(&args), health.clone()));
    tokio::select! {
        lost = stand(&mut election) => {
            tracing::error!(error = %lost, "ends");
            return Err(lost);
        }
        () = term(&args, &passes, &health, &stop) => {}
        () = async { stopped(stop.clone()).await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("stopped with passes under way; they are taken up again by the next process");
        }
    }
    hand_over(&passes.context, election).await;
    tracing::info!("stopped");
    Ok(())
}

/// The HTTP API, if it is asked for: of every replica, since it acts with its callers' rights and not as the leader.
async fn serve_http(args: &Args, context: &Context) -> Result<(), Error> {
    let config = context.config.clone();
    let settings = Settings(Arc::new(move || {
        let now = config.current();
        Permitted {
            default_timeout_seconds: now.default_timeout_seconds,
            max_wait_seconds: now.max_wait_seconds,
            force: now.enable_force_restart,
        }
    }));
    http_api::serve(&args.http, settings).await.map(drop).map_err(Error::Startup)
}

/// The context, and the part in the election if there is one.
async fn start(args: &Args, metrics: Metrics, health: &Health) -> Result<(Arc<Passes>, Option<Election>), Error> {
    let settings = args.election().map_err(Error::Startup)?;
    let config = config::follow(args.config.clone(), &metrics)?;
    let (reader, writer, found) = context::clients().await?;
    let pace = pace::Pace::default();
    let (reader, writer) = (pace.keeping(reader), pace.keeping(writer));
    let namespace = args.own_namespace.clone().unwrap_or(found);
    let keys = loop {
        match keys::load(&reader, &writer, &namespace).await {
            // A crash for each attempt would let the kubelet wait for minutes after the API server is back.
            Err(error) if error.is_passing() => tracing::warn!(%error, "no signing key yet"),
            loaded => break loaded?,
        }
        tokio::time::sleep(AGAIN).await;
    };
    health.done(KEYS);
    let leader = if args.leader_elect { Leader::default() } else { Leader::always() };
    metrics.leading(leader.leading());
    let election = if args.leader_elect {
        // Over connections of its own, and at no pace but its own: it queues behind no read and no write.
        let (leases, renewals, _) = context::clients().await?;
        let clients = (leases, renewals);
        let told = (leader.clone(), metrics.clone(), health.watchdog.pulse("the election"));
        Some(Election::begin(clients, &namespace, args.pod_name.as_deref(), settings, told).await?)
    } else {
        None
    };
    let writer = leader.fenced(writer);
    let context = Context {
        admission: Admission::follow(reader.clone(), args.require_admission.clone(), health.clone()),
        events: events::Events::new(writer.clone(), args.pod_name.clone(), metrics.clone()),
        sidecars: sidecars::Sidecars::new(leader.clone()),
        leases: leases::Leases::new(sidecars::Sidecars::new(leader.clone()), keys.clone(), metrics.clone()),
        reader,
        writer,
        leader,
        namespace,
        config,
        keys,
        metrics,
        hooks: Arc::default(),
        memory: memory::Memory::default(),
        edges: edges::Edges::default(),
        orphans: orphans::Orphans::default(),
        traces: traces::Traces::from_environment(args.pod_name.as_deref())?,
        turns: turns::Turns::default(),
        contents: contents::Contents::default(),
    };
    Ok((Arc::new(Passes::new(Arc::new(context))), election))
}

/// Comes when this process must not act any more.
async fn stand(election: &mut Option<Election>) -> Error {
    match election {
        Some(election) => election.run().await,
        None => std::future::pending().await,
    }
}

/// Waits to lead, and leads.
async fn term(args: &Args, passes: &Arc<Passes>, health: &Health, stop: &watch::Receiver<bool>) {
    tokio::select! {
        () = passes.context.leader.won() => lead(args, passes, health, stop).await,
        () = stopped(stop.clone()) => {}
    }
}

/// What a leader does, and nobody else: each loop ends by itself after `stop`, and all of them with the process when the
/// Lease is lost.
async fn lead(args: &Args, passes: &Arc<Passes>, health: &Health, stop: &watch::Receiver<bool>) {
    let scopes = scopes(args);
    let restarts = restarts(&scopes, passes, health.watchdog.pulse("the passes"), stop);
    // The passes end when they are asked to; nothing is lost by what else is under way then.
    tokio::select! { () = restarts => {}, () = baseline::run(passes.context.clone(), &scopes) => {} }
}

/// After the last pass: nothing is written any more, what was sent is answered, and the next replica may begin.
async fn hand_over(context: &Context, election: Option<Election>) {
    context.events.settled(LAST_WRITES).await;
    context.traces.settled(LAST_WRITES).await;
    let leader = &context.leader;
    leader.close();
    let Some(mut election) = election else { return };
    if leader.settled(LAST_WRITES).await {
        election.release().await;
    } else {
        tracing::warn!("writes are under way: the Lease is not given back, the others wait until it runs out");
    }
}

fn scopes(args: &Args) -> Vec<Option<String>> {
    if args.namespace.is_empty() { vec![None] } else { args.namespace.iter().cloned().map(Some).collect() }
}

/// All passes of all scopes, until `stop`.
async fn restarts(scopes: &[Option<String>], passes: &Arc<Passes>, mut pulse: Pulse, stop: &watch::Receiver<bool>) {
    let streams = scopes.iter().map(|scope| watches::passes(passes.clone(), scope.as_deref(), stopped(stop.clone())));
    let mut streams = stream::select_all(streams);
    passes.context.metrics.most_workers(scopes.len() * usize::from(watches::CONCURRENT_PASSES));
    loop {
        tokio::select! {
            ended = streams.next() => match ended {
                Some(ended) => after(ended, passes),
                None => return,
            },
            () = pulse.next() => {}
        }
    }
}

fn after(ended: watches::Passed, passes: &Passes) {
    match ended {
        // Both are told where they happen.
        Ok(_) | Err(LoopError::ReconcilerFailed(..)) => {}
        Err(LoopError::ObjectNotFound(object)) => {
            pass::gone(object.namespace.as_deref().unwrap_or_default(), &object.name, passes);
        }
        Err(LoopError::QueueError(error)) => tracing::warn!(%error, "a watch broke and is begun again"),
        Err(LoopError::RunnerError(error)) => tracing::error!(%error, "the loop has lost its store"),
    }
}

/// Asked by a call of its own: of two that wait for kube's store to be ready, the loop being one, only the last that
/// asked is woken (kube-runtime 5.0, `DelayedInit`).
async fn ready_when_listed(reader: kube::Client, scopes: Vec<Option<String>>, health: Health) {
    for scope in scopes {
        while let Err(error) = watches::listed(&reader, scope.as_deref()).await {
            tracing::warn!(%error, "not ready: are the definitions installed, and may the controller read them?");
            tokio::time::sleep(AGAIN).await;
        }
    }
    health.done(WATCHES);
    tracing::info!("ready");
}

fn stop_on_signal() -> Result<watch::Receiver<bool>, Error> {
    let refused = |error| Error::Startup(format!("signals cannot be waited for: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("asked to stop");
        sender.send_replace(true);
        // The receivers take a closed channel for a stop as well.
    });
    Ok(receiver)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which it is after the signal.
    let _ = stop.wait_for(|stop| *stop).await;
}
