//! The baseline: keeps the configuration that a workload runs well with as last-known-good, also where nobody has asked
//! for a restart yet, so that the first one can go back to it. And says when a restore was taken back.
//!
//! `watches` finds the workloads that an event concerns, `pass` looks at one of them, `proof` decides what its pods prove.
//!
//! **Invariant:** restarts never wait for it: it has its own watches, few looks at a time, and no lock but its own.

mod index;
mod pass;
mod proof;
mod queue;
mod watches;

use super::backoff::Backoff;
use super::context::Context;
use super::error::Error;
use crate::api::TargetRef;
use futures::StreamExt as _;
use futures::stream::{iter, select_all};
use index::{Index, Key};
use pass::Found;
use queue::Queue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// From a pod's event to the look: the other pods' events come meanwhile.
const SETTLE: Duration = Duration::from_millis(1500);
/// From a look that found a request in the way to the next.
const AGAIN: Duration = Duration::from_secs(10);
/// Between two looks that nothing has called for.
const RESYNC: Duration = Duration::from_secs(600);
/// Looks at a time.
const AT_ONCE: usize = 4;
/// No look takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// What the looks share.
#[derive(Debug)]
struct Loop {
    context: Arc<Context>,
    index: Index,
    queue: Queue<Key>,
    backoff: Backoff,
    /// Whose a ReplicaSet is, by its UID.
    replica_sets: Mutex<HashMap<String, Option<TargetRef>>>,
}

/// Looks after the workloads of these namespaces, or of all, for as long as it is polled.
pub async fn run(context: Arc<Context>, scopes: &[Option<String>]) {
    let this = Arc::new(Loop {
        context,
        index: Index::default(),
        queue: Queue::default(),
        backoff: Backoff::default(),
        replica_sets: Mutex::default(),
    });
    let events = select_all(scopes.iter().map(|scope| watches::events(&this, scope.as_deref())));
    tokio::join!(events.for_each(|()| std::future::ready(())), looks(&this), resync(&this));
}

async fn looks(this: &Arc<Loop>) {
    loop {
        let due = this.queue.take().await;
        iter(due).for_each_concurrent(AT_ONCE, |key| one(this.clone(), key)).await;
    }
}

/// On a task of its own, so that a panic ends that look alone.
async fn one(this: Arc<Loop>, key: Key) {
    let (looking, looked_at) = (this.clone(), key.clone());
    let look = tokio::spawn(async move {
        timeout(LONGEST, Box::pin(pass::look(&looking.context, &looking.index, &looked_at))).await
    });
    let found = match look.await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Err(Error::Timeout { what: format!("the baseline of {key:?}"), limit: LONGEST }),
        Err(panic) => Err(Error::Internal(format!("the baseline of {key:?}: {panic}"))),
    };
    after(&this, key, found);
}

fn after(this: &Loop, key: Key, found: Result<Found, Error>) {
    let object = format!("{}/{:?}/{}", key.namespace, key.target.kind, key.target.name);
    let (word, wait) = match found {
        Ok(found) => {
            this.backoff.forget(&object);
            (found.word(), (found == Found::Busy).then_some(AGAIN))
        }
        Err(error) => {
            if !error.is_conflict() {
                tracing::warn!(object, %error, "the baseline was not looked at");
            }
            (if error.is_conflict() { "conflict" } else { "error" }, Some(this.backoff.after(&object, &error)))
        }
    };
    this.context.metrics.baseline(word);
    if let Some(wait) = wait {
        this.queue.push(key, Instant::now() + wait);
    }
}

/// Nothing is said to happen that was not: everything is looked at once in a while.
async fn resync(this: &Loop) {
    let mut ticks = interval(RESYNC);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        this.replica_sets.lock().unwrap_or_else(PoisonError::into_inner).clear();
        this.index.all().into_iter().for_each(|key| this.later(key));
    }
}

impl Loop {
    fn now(&self, key: Key) {
        self.queue.push(key, Instant::now());
    }

    fn later(&self, key: Key) {
        self.queue.push(key, Instant::now() + SETTLE);
    }

    /// Whose a ReplicaSet is, if that has been asked before; it may be nobody's.
    #[expect(clippy::option_option, reason = "not asked, and nobody's")]
    fn replica_set(&self, uid: &str) -> Option<Option<TargetRef>> {
        self.replica_sets.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    fn keep_replica_set(&self, uid: &str, target: Option<TargetRef>) {
        self.replica_sets.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), target);
    }
}
