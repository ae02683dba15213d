//! Runs whose request is gone, by force or because its finalizer was taken off by hand: they are put back all the same, from
//! what the RestartHistory holds of them.
//!
//! **Invariant:** a run is an orphan only if the API server says now that its request does not exist; its passes are those
//! of every other run (`reconcile`), and one history has one task.

use super::backoff::Backoff;
use super::context::{Context, call};
use super::error::Error;
use super::reconcile;
use crate::api::RestartHistory;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

/// No pass takes longer.
const LONGEST: Duration = Duration::from_secs(120);

/// The histories that a task is about, by namespace and name.
#[derive(Debug, Default)]
pub struct Orphans {
    at_work: Mutex<BTreeSet<(String, String)>>,
}

impl Orphans {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks whether the run that holds this history is an orphan, and puts it back if it is.
pub fn look(ctx: &Arc<Context>, namespace: &str, history: &str) {
    let key = (namespace.to_owned(), history.to_owned());
    if !ctx.orphans.lock().insert(key.clone()) {
        return;
    }
    let ctx = ctx.clone();
    tokio::spawn(async move {
        put_back(&ctx, &key.0, &key.1).await;
        ctx.orphans.lock().remove(&key);
    });
}

/// A request that had not ended is gone: did it hold a workload?
pub fn deleted(ctx: &Arc<Context>, namespace: &str, uid: &str) {
    let (ctx, namespace, uid) = (ctx.clone(), namespace.to_owned(), uid.to_owned());
    tokio::spawn(async move {
        match held_by(&ctx, &namespace, &uid).await {
            Ok(names) => names.iter().for_each(|name| look(&ctx, &namespace, name)),
            // The history's own next event, or whoever wants the workload next, finds it as well.
            Err(error) => {
                tracing::warn!(namespace, uid, %error, "not known whether the deleted request left something");
            }
        }
    });
}

async fn held_by(ctx: &Context, namespace: &str, uid: &str) -> Result<Vec<String>, Error> {
    let api: Api<DeserializeGuard<RestartHistory>> = Api::namespaced(ctx.reader.clone(), namespace);
    let all = call(format!("list RestartHistories in {namespace}"), api.list(&ListParams::default())).await?;
    let readable = all.items.into_iter().filter_map(|guard| guard.0.ok());
    let holds = |history: &RestartHistory| {
        history.status.as_ref().and_then(|status| status.active.as_ref()).is_some_and(|active| active.uid == uid)
    };
    Ok(readable.filter(holds).map(|history| history.name_any()).collect())
}

/// Pass after pass, each on a task of its own so that a panic ends that pass alone, until nothing is left of the run.
async fn put_back(ctx: &Arc<Context>, namespace: &str, history: &str) {
    let (backoff, object) = (Backoff::default(), format!("{namespace}/{history}"));
    while ctx.leader.leading() {
        let (of_pass, space, name) = (ctx.clone(), namespace.to_owned(), history.to_owned());
        let span = tracing::error_span!("orphan", namespace, history);
        let pass = async move { timeout(LONGEST, reconcile::orphan(&of_pass, &space, &name)).await };
        let pass = tokio::spawn(pass.instrument(span));
        let wait = match pass.await {
            Ok(Ok(Ok(None))) => return,
            Ok(Ok(Ok(Some(wait)))) => {
                backoff.forget(&object);
                wait
            }
            Ok(Ok(Err(error))) => told(ctx, &backoff, &object, &error),
            Ok(Err(_)) => told(ctx, &backoff, &object, &Error::Timeout { what: object.clone(), limit: LONGEST }),
            Err(panic) => told(ctx, &backoff, &object, &Error::Internal(format!("the pass panicked: {panic}"))),
        };
        sleep(wait).await;
    }
}

fn told(ctx: &Context, backoff: &Backoff, object: &str, error: &Error) -> Duration {
    ctx.metrics.failed(error.category());
    if !error.is_conflict() {
        tracing::warn!(object, %error, "a run without its request was not put back yet");
    }
    backoff.after(object, error)
}
