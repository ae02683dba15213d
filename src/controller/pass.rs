//! One pass for one request, contained: an unreadable object, a panic or a call that hangs stops nobody else (I11).
//!
//! **Invariant:** nothing of a restart is decided here; `reconcile` does that.

use super::backoff::Backoff;
use super::context::Context;
use super::error::Error;
use super::reconcile;
use super::wake::Unfinished;
use super::watches::Watched;
use futures::FutureExt as _;
use kube::ResourceExt as _;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
}

/// One pass.
pub async fn pass(watched: Arc<Watched>, passes: Arc<Passes>) -> Result<Action, Error> {
    let request = match &watched.0 {
        Ok(request) => Arc::new(request.clone()),
        Err(invalid) => return Ok(unreadable(invalid, &passes)),
    };
    let wait = passes.unfinished.begin(&request, Instant::now());
    tokio::time::sleep(wait).await;
    if !passes.context.leader.leading() {
        // The process is about to end.
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    let metrics = &passes.context.metrics;
    metrics.active_requests(passes.unfinished.count());
    let object = key(&*request);
    let begun = Instant::now();
    // Its state is large, and the loop keeps one for each pass.
    let work = Box::pin(reconcile::reconcile(request, passes.context.clone()));
    let (result, outcome) = contained(&object, LONGEST, work).await;
    metrics.reconciled(result, begun.elapsed());
    if outcome.is_ok() {
        passes.backoff.forget(&object);
    }
    outcome
}

/// `work` within `limit`; a panic of it is an error like any other.
async fn contained(
    object: &str,
    limit: Duration,
    work: impl Future<Output = Result<Action, Error>>,
) -> (&'static str, Result<Action, Error>) {
    match AssertUnwindSafe(tokio::time::timeout(limit, work)).catch_unwind().await {
        Ok(Ok(Ok(action))) => ("success", Ok(action)),
        Ok(Ok(Err(error))) => ("error", Err(error)),
        Ok(Err(_)) => ("error", Err(Error::Timeout { what: format!("pass for RestartRequest {object}"), limit })),
        Err(panic) => {
            let why = format!("the pass for RestartRequest {object} panicked: {}", said(&*panic));
            ("panic", Err(Error::Internal(why)))
        }
    }
}

/// The pass failed: it is told and counted, and the next one comes later each time.
#[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
pub fn failed(watched: Arc<Watched>, error: &Error, passes: Arc<Passes>) -> Action {
    let object = key(&*watched);
    let wait = passes.backoff.after(&object, error);
    passes.context.metrics.failed(error.category());
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if error.is_conflict() {
        tracing::debug!(object, %error, retry_after_millis = millis, "somebody else was faster");
    } else {
        tracing::warn!(object, %error, category = error.category(), retry_after_millis = millis, "pass failed");
    }
    Action::requeue(wait)
}

/// The object is gone: nothing is kept of it.
pub fn gone(namespace: &str, name: &str, passes: &Passes) {
    if let Some(uid) = passes.unfinished.gone(namespace, name) {
        passes.context.forget(&uid);
    }
    passes.backoff.forget(&format!("{namespace}/{name}"));
    passes.context.metrics.active_requests(passes.unfinished.count());
}

/// Its status cannot be written either, since what it holds is not known; its author sees it in the log and the metric.
fn unreadable(invalid: &InvalidObject, passes: &Passes) -> Action {
    let metadata = &invalid.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    tracing::error!(
        namespace,
        name,
        error = invalid.error,
        "RestartRequest cannot be read and is left alone: delete or correct it"
    );
    passes.context.metrics.undecodable();
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
        let (result, outcome) = contained("shop/web", LONGEST, async { panic!("no pod {}", 3) }).await;
        assert_eq!(result, "panic");
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("shop/web panicked: no pod 3"), "{error}");
    }

    #[tokio::test]
    async fn a_pass_that_hangs_is_given_up() {
        let (result, outcome) = contained("shop/web", Duration::from_millis(10), std::future::pending()).await;
        assert_eq!(result, "error");
        assert_eq!(outcome.unwrap_err().category(), "timeout");
    }

    #[tokio::test]
    async fn a_pass_that_ends_well_or_badly_is_passed_on() {
        let (result, outcome) = contained("shop/web", LONGEST, async { Ok(Action::await_change()) }).await;
        assert_eq!((result, outcome.unwrap()), ("success", Action::await_change()));
        let (result, outcome) = contained("shop/web", LONGEST, async { Err(Error::Internal("broken".into())) }).await;
        assert_eq!((result, outcome.unwrap_err().category()), ("error", "internal"));
    }
}
