//! The controller: the shell around the machine. `reconcile` is the road of one pass (observe, plan, record or act);
//! everything else here is the frame: clients, keys, configuration, watches, and passes that cannot hurt each other.
//!
//! **Invariant:** this module wires and decides nothing; it ends within two seconds of SIGTERM, whatever is under way,
//! because each restart can be taken up again from the cluster alone.

mod act;
pub mod admin;
pub mod args;
mod backoff;
pub mod config;
pub mod context;
pub mod error;
pub mod events;
pub mod facts;
pub mod gitops;
pub mod keys;
pub mod memory;
pub mod metrics;
pub mod objects;
mod observe;
mod pass;
pub mod reconcile;
mod record;
pub mod sidecars;
pub mod telemetry;
mod wake;
mod watches;
pub mod workload;

pub use args::Args;
pub use error::Error;

use admin::Health;
use context::Context;
use futures::{StreamExt as _, stream};
use kube::runtime::controller::Error as LoopError;
use metrics::Metrics;
use pass::Passes;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What passes under way get after SIGTERM.
const GRACE: Duration = Duration::from_millis(1500);
/// Between two attempts of the first list.
const LIST_AGAIN: Duration = Duration::from_secs(1);
const KEYS: &str = "the signing key";
const WATCHES: &str = "the first list of RestartRequests";

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: no API server, no key, a configuration that is not understood, a port in use.
pub async fn run(args: Args) -> Result<(), Error> {
    telemetry::start(&args.log, args.log_format)?;
    let metrics = Metrics::default();
    let health = Health::waiting_for([KEYS, WATCHES]);
    let stop = stop_on_signal()?;
    admin::serve(args.admin, health.clone(), metrics.clone()).await?;
    let context = tokio::select! {
        context = context(&args, metrics) => context?,
        () = stopped(stop.clone()) => return Ok(()),
    };
    health.done(KEYS);
    let passes = Arc::new(Passes::new(Arc::new(context)));
    let restarts = restarts(&args.namespace, &passes, &health, &stop);
    tokio::select! {
        () = restarts => {}
        () = async { stopped(stop.clone()).await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("stopped with passes under way; they are taken up again by the next process");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn context(args: &Args, metrics: Metrics) -> Result<Context, Error> {
    let config = config::follow(args.config.clone(), &metrics)?;
    let (reader, writer, found) = context::clients().await?;
    let namespace = args.own_namespace.clone().unwrap_or(found);
    let keys = keys::load(&reader, &writer, &namespace).await?;
    Ok(Context {
        events: events::Events::new(writer.clone(), args.pod_name.clone()),
        reader,
        writer,
        namespace,
        config,
        keys,
        sidecars: sidecars::Sidecars::default(),
        metrics,
        memory: memory::Memory::default(),
    })
}

/// All passes of all scopes, until `stop`.
async fn restarts(namespaces: &[String], passes: &Arc<Passes>, health: &Health, stop: &watch::Receiver<bool>) {
    let reader = &passes.context.reader;
    let scopes: Vec<Option<String>> =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
    tokio::spawn(ready_when_listed(reader.clone(), scopes.clone(), health.clone()));
    let streams = scopes.iter().map(|scope| watches::passes(passes.clone(), scope.as_deref(), stopped(stop.clone())));
    stream::select_all(streams)
        .for_each(|passed| async {
            match passed {
                // Both are told where they happen.
                Ok(_) | Err(LoopError::ReconcilerFailed(..)) => {}
                Err(LoopError::ObjectNotFound(object)) => {
                    pass::gone(object.namespace.as_deref().unwrap_or_default(), &object.name, passes);
                }
                Err(LoopError::QueueError(error)) => tracing::warn!(%error, "a watch broke and is begun again"),
                Err(LoopError::RunnerError(error)) => tracing::error!(%error, "the loop has lost its store"),
            }
        })
        .await;
}

/// Asked by a call of its own: of two that wait for kube's store to be ready, the loop being one, only the last that
/// asked is woken (kube-runtime 5.0, `DelayedInit`).
async fn ready_when_listed(reader: kube::Client, scopes: Vec<Option<String>>, health: Health) {
    for scope in scopes {
        while let Err(error) = watches::listed(&reader, scope.as_deref()).await {
            tracing::warn!(%error, "not ready: are the definitions installed, and may the controller read them?");
            tokio::time::sleep(LIST_AGAIN).await;
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
