//! Hooks: what runs before and after the pods. A Job is an object of the cluster and survives us; an HTTP request is a
//! task of this process, whose answer is kept here until it is recorded.
//!
//! After a crash a request that was under way is sent again, with the same `Idempotency-Key`: a receiver that honours
//! the key acts once per run. A Job has one name per run and is made once.
//!
//! **Invariant:** nothing is decided here, and losing this memory never starts a second Job nor sends another key.

pub mod address;
pub mod ask;
pub mod body;
pub mod http;
pub mod job;
pub mod job_result;
pub mod resolve;
pub mod template;
pub mod tls;
pub mod url;

use crate::api::{Hook, HookTime, RestartRequest};
use crate::controller::objects::run_id;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Most characters of an answer, or of what a container said, that a message holds.
pub const EXCERPT: usize = 256;

/// One hook of one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The run.
    pub run: String,
    /// Before or after the pods.
    pub time: HookTime,
    /// The hook's name.
    pub name: String,
}

impl Key {
    /// The key of a hook in the present run of `request`.
    #[must_use]
    pub fn of(request: &RestartRequest, time: HookTime, name: &str) -> Self {
        Self { run: run_id(request), time, name: name.to_owned() }
    }
}

/// What this process knows of the hooks that it has started or seen.
#[derive(Debug, Default)]
pub struct Hooks {
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    task: Option<AbortHandle>,
    /// How it ended.
    result: Option<Result<(), String>>,
    /// What its Job's pods were last seen waiting for.
    waiting: String,
}

impl Hooks {
    /// Runs `work` in a task of its own unless this hook has been started; its result is kept.
    pub fn start<F>(self: &std::sync::Arc<Self>, key: Key, work: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let mut known = self.lock();
        if known.contains_key(&key) {
            return;
        }
        let (hooks, ended) = (self.clone(), key.clone());
        let task = tokio::spawn(async move {
            let result = work.await;
            if let Some(known) = hooks.lock().get_mut(&ended) {
                known.result = Some(result);
            }
        });
        known.insert(key, Known { task: Some(task.abort_handle()), ..Known::now() });
    }

    /// The hook failed before it could be started.
    pub fn fail(&self, key: Key, why: String) {
        self.lock().entry(key).or_insert_with(Known::now).result = Some(Err(why));
    }

    /// Whether it was started by this process, or seen under way.
    pub fn knows(&self, key: &Key) -> bool {
        self.lock().contains_key(key)
    }

    /// Its result, if it has ended.
    pub fn result(&self, key: &Key) -> Option<Result<(), String>> {
        self.lock().get(key)?.result.clone()
    }

    /// A Job is under way: how long it has been known, and what its pods were last seen waiting for.
    pub fn under_way(&self, key: &Key, waiting: Option<String>) -> (Duration, String) {
        let mut known = self.lock();
        let known = known.entry(key.clone()).or_insert_with(Known::now);
        if let Some(waiting) = waiting {
            known.waiting = waiting;
        }
        (known.since.elapsed(), known.waiting.clone())
    }

    /// The request's run has ended, or the request is gone: what is under way is given up.
    pub fn forget(&self, uid: &str) {
        let ours = |key: &Key| key.run.strip_prefix(uid).is_some_and(|rest| rest.starts_with('-'));
        self.lock().retain(|key, known| {
            let goes = ours(key);
            if let Some(task) = known.task.as_ref().filter(|_| goes) {
                task.abort();
            }
            !goes
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        // Nothing is called while it is held; the map is always whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn now() -> Self {
        Self { since: Instant::now(), task: None, result: None, waiting: String::new() }
    }
}

/// The hooks of a request in the order in which they run.
pub fn all(request: &RestartRequest) -> impl Iterator<Item = (HookTime, &Hook)> {
    let (pre, post) = (&request.spec.hooks.pre, &request.spec.hooks.post);
    pre.iter().map(|hook| (HookTime::Pre, hook)).chain(post.iter().map(|hook| (HookTime::Post, hook)))
}

/// One hook of a request.
#[must_use]
pub fn find<'a>(request: &'a RestartRequest, time: HookTime, name: &str) -> Option<&'a Hook> {
    all(request).find(|(known, hook)| *known == time && hook.name == name).map(|(_, hook)| hook)
}

/// The longest time that the hook may take.
#[must_use]
pub fn limit(hook: &Hook) -> Duration {
    Duration::from_secs(u64::try_from(hook.timeout_seconds).unwrap_or(1))
}

/// How a message begins that says that the hook took too long.
#[must_use]
pub fn timed_out(limit: Duration) -> String {
    format!("not over within {} s", limit.as_secs())
}

/// The word for the metric, by the message that the status holds of a failed hook.
#[must_use]
pub fn failure_word(name: &str, message: &str) -> &'static str {
    // What follows the name begins with our own words; what a server said comes later.
    let why = message.strip_prefix(&format!("hook {name} failed: ")).unwrap_or(message);
    if why.starts_with("not over within ") { "timeout" } else { "failure" }
}

/// Somebody else's text goes into status and logs: short, and on one line.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let line = text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    line.take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::oneshot;

    fn key(run: &str) -> Key {
        Key { run: run.into(), time: HookTime::Pre, name: "check".into() }
    }

    #[tokio::test]
    async fn a_hook_that_was_started_is_not_started_again_under_way_or_ended() {
        let (hooks, starts) = (Arc::new(Hooks::default()), Arc::new(AtomicUsize::new(0)));
        let (end, ended) = oneshot::channel::<()>();
        let counted = starts.clone();
        hooks.start(key("u-1"), async move {
            counted.fetch_add(1, Ordering::Relaxed);
            ended.await.map_err(|error| error.to_string())
        });
        let again = |starts: Arc<AtomicUsize>| async move {
            starts.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        hooks.start(key("u-1"), again(starts.clone()));
        assert!(hooks.knows(&key("u-1")) && hooks.result(&key("u-1")).is_none());
        end.send(()).unwrap();
        while hooks.result(&key("u-1")).is_none() {
            tokio::task::yield_now().await;
        }
        hooks.start(key("u-1"), again(starts.clone()));
        tokio::task::yield_now().await;
        assert_eq!((hooks.result(&key("u-1")), starts.load(Ordering::Relaxed)), (Some(Ok(())), 1));
    }

    #[tokio::test]
    async fn a_run_that_has_ended_is_forgotten_and_what_it_had_under_way_is_given_up() {
        let hooks = Arc::new(Hooks::default());
        let (end, mut given_up) = oneshot::channel::<()>();
        hooks.start(key("u-1"), async move {
            let _end = end;
            std::future::pending().await
        });
        hooks.fail(key("u-1-other-2"), "no".into());
        hooks.forget("u-1-other");
        assert!(!hooks.knows(&key("u-1-other-2")) && hooks.knows(&key("u-1")));
        hooks.forget("u");
        assert!(!hooks.knows(&key("u-1")));
        assert!((&mut given_up).await.is_err(), "its task goes on");
    }

    #[test]
    fn a_hook_that_took_too_long_is_told_from_one_whose_answer_says_so() {
        let late = format!("hook check failed: {} (POST http://web/)", timed_out(Duration::from_secs(3)));
        assert_eq!(failure_word("check", &late), "timeout");
        let other = "hook check failed: POST http://web/: answered 500: not over within 3 s";
        assert_eq!(failure_word("check", other), "failure");
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt("  a\nb\tc \n"), "a b c");
        assert_eq!(excerpt(&"é".repeat(300)).chars().count(), EXCERPT);
    }
}
