//! One pass for one request, contained: an unreadable object, a panic or a call that hangs stops nobody else (I11).
//!
//! **Invariant:** nothing of a restart is decided here; `reconcile` does that.

use super::backoff::Backoff;
use super::context::Context;
use super::error::Error;
use super::events::Note;
use super::turns::Turn;
use super::wake::Unfinished;
use super::watches::Watched;
use super::{orphans, reconcile};
use crate::api::Phase;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument as _, Span};

/// No pass takes longer: each of its calls has a limit of its own, so this is for what nobody thought of.
const LONGEST: Duration = Duration::from_secs(120);
/// An unreadable object is looked at again so often, beside every change of it.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// What the passes share beside the context.
#[derive(Debug)]
pub struct Passes {
    /// What a pass works with.
    pub context: Arc<Context>,
    /// The restarts that have not ended.
    pub unfinished: Unfinished,
    /// The waits after failures.
    pub backoff: Backoff,
}

impl Passes {
    /// Nothing has passed yet.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, unfinished: Unfinished::default(), backoff: Backoff::default() }
    }

    /// Restarts that have not ended, those that wait included.
    fn active(&self) -> usize {
        self.unfinished.count() + self.context.turns.waiting()
    }
}

/// One pass; every line that is logged in it says of which request.
pub async fn pass(watched: Arc<Watched>, passes: Arc<Passes>) -> Result<Action, Error> {
    let span = span(&watched);
    one(watched, passes).instrument(span).await
}

/// Of the highest level, so that no filter takes it from a line that passes; and a root, since the loop's own span
/// repeats the name in another form.
fn span(watched: &Watched) -> Span {
    let metadata = watched.meta();
    let phase = watched.0.as_ref().ok().and_then(|request| request.status.as_ref()?.phase);
    tracing::error_span!(
        parent: None,
        "restart",
        namespace = metadata.namespace,
        name = metadata.name,
        uid = metadata.uid,
        phase = phase.map(Phase::word)
    )
}

async fn one(watched: Arc<Watched>, passes: Arc<Passes>) -> Result<Action, Error> {
    let request = match &watched.0 {
        Ok(request) => Arc::new(request.clone()),
        Err(invalid) => return Ok(unreadable(watched.object_ref(&()), invalid, &passes)),
    };
    let turn = passes.context.turns.turn(&request, Instant::now());
    let _looking = match turn {
        Turn::Now(looking) => looking,
        Turn::Later(wait) => return Ok(Action::requeue(wait)),
    };
    let wait = passes.unfinished.begin(&request, Instant::now());
    tokio::time::sleep(wait).await;
    if !passes.context.leader.leading() {
        // The process is about to end.
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    let metrics = &passes.context.metrics;
    metrics.active_requests(passes.active());
    let object = key(&*request);
    let begun = Instant::now();
    let working = metrics.working();
    // Its state is large, and the loop keeps one for each pass.
    let work = Box::pin(reconcile::reconcile(request, passes.context.clone()));
    let (panicked, outcome) = contained(&object, LONGEST, work).await;
    drop(working);
    metrics.reconciled(result(&outcome), begun.elapsed());
    if panicked {
        metrics.panicked();
    }
    if outcome.is_ok() {
        passes.backoff.forget(&object);
    }
    outcome
}

/// As controller-runtime counts.
fn result(outcome: &Result<Action, Error>) -> &'static str {
    match outcome {
        Err(_) => "error",
        Ok(action) if *action == Action::await_change() => "success",
        Ok(action) if *action == Action::requeue(Duration::ZERO) => "requeue",
        Ok(_) => "requeue_after",
    }
}

/// `work` within `limit`, and whether it panicked: a panic is an error like any other.
async fn contained(
    object: &str,
    limit: Duration,
    work: impl Future<Output = Result<Action, Error>>,
) -> (bool, Result<Action, Error>) {
    match AssertUnwindSafe(tokio::time::timeout(limit, work)).catch_unwind().await {
        Ok(Ok(outcome)) => (false, outcome),
        Ok(Err(_)) => (false, Err(Error::Timeout { what: format!("pass for RestartRequest {object}"), limit })),
        Err(panic) => {
            let why = format!("the pass for RestartRequest {object} panicked: {}", said(&*panic));
            (true, Err(Error::Internal(why)))
        }
    }
}

/// The pass failed: it is told and counted, and the next one comes later each time.
#[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
pub fn failed(watched: Arc<Watched>, error: &Error, passes: Arc<Passes>) -> Action {
    let _span = span(&watched).entered();
    let wait = passes.backoff.after(&key(&*watched), error);
    passes.context.metrics.failed(error.category());
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if error.is_conflict() {
        tracing::debug!(%error, retry_after_millis = millis, "somebody else was faster");
    } else {
        tracing::warn!(%error, category = error.category(), retry_after_millis = millis, "pass failed");
    }
    Action::requeue(wait)
}

/// The object is gone: nothing is kept of it.
pub fn gone(namespace: &str, name: &str, passes: &Passes) {
    let _ = passes.context.turns.gone(namespace, name);
    if let Some(uid) = passes.unfinished.gone(namespace, name) {
        passes.context.forget(&uid);
        orphans::deleted(&passes.context, namespace, &uid);
    }
    passes.backoff.forget(&format!("{namespace}/{name}"));
    passes.context.metrics.active_requests(passes.active());
}

/// Its status cannot be written either, since what it holds is not known; its author sees it in the log and the metric.
fn unreadable(object: ObjectReference, invalid: &InvalidObject, passes: &Passes) -> Action {
    let why = "RestartRequest cannot be read and is left alone: delete or correct it";
    tracing::error!(error = invalid.error, "{why}");
    passes.context.metrics.undecodable();
    let note = Note::new("Unreadable", "Read", format!("{why}: {}", invalid.error)).warning();
    passes.context.events.publish(object, note);
    Action::requeue(LOOK_AGAIN)
}

fn key(object: &impl kube::Resource) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_that_pass_alone_and_says_what_it_said() {
        let (panicked, outcome) = contained("shop/web", LONGEST, async { panic!("no pod {}", 3) }).await;
        assert!(panicked);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("shop/web panicked: no pod 3"), "{error}");
    }

    #[tokio::test]
    async fn a_pass_that_hangs_is_given_up() {
        let (panicked, outcome) = contained("shop/web", Duration::from_millis(10), std::future::pending()).await;
        assert!(!panicked);
        assert_eq!(outcome.unwrap_err().category(), "timeout");
    }

    #[tokio::test]
    async fn a_pass_that_ends_well_or_badly_is_passed_on() {
        let (_, outcome) = contained("shop/web", LONGEST, async { Ok(Action::await_change()) }).await;
        assert_eq!((result(&outcome), outcome.unwrap()), ("success", Action::await_change()));
        let (_, outcome) = contained("shop/web", LONGEST, async { Err(Error::Internal("broken".into())) }).await;
        assert_eq!((result(&outcome), outcome.unwrap_err().category()), ("error", "internal"));
    }

    #[test]
    fn results_are_counted_as_controller_runtime_counts_them() {
        assert_eq!(result(&Ok(Action::requeue(Duration::ZERO))), "requeue");
        assert_eq!(result(&Ok(Action::requeue(Duration::from_secs(1)))), "requeue_after");
    }
}
