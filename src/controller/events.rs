//! Kubernetes Events: what people see under `kubectl describe`, and the audit trail of who restarted what and why.
//!
//! **Invariant:** an Event that is lost costs nothing: no pass waits for one, and none decides by one. They are published in
//! the order in which they happened.

use super::context::CALL_LIMIT;
use super::error::Error;
use super::metrics::Metrics;
use crate::api::names::FIELD_MANAGER;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// kube-apiserver refuses a longer note.
const LONGEST_NOTE: usize = 1024;
/// Events that wait to be published; more are dropped, and the log and a counter say so.
const WAITING: usize = 512;
/// The same of one namespace, so that a flood of restarts leaves room for those of others.
const OF_ONE_NAMESPACE: usize = 128;

/// What an Event says.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Something is not as it should be.
    pub warning: bool,
    /// One word, one per kind of happening: Events are grouped by it, and the group keeps its first note.
    pub reason: String,
    /// One word: what the controller did.
    pub action: String,
    /// A sentence for people; cut after 1,024 bytes.
    pub note: String,
    /// The pod it is about: without it Events of two pods with one reason merge into the first (DESIGN 10).
    pub pod: Option<ObjectReference>,
}

impl Note {
    /// A normal note without a pod.
    #[must_use]
    pub fn new(reason: impl Into<String>, action: impl Into<String>, note: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.into(), action: action.into(), note: note.into(), pod: None }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(self) -> Self {
        Self { warning: true, ..self }
    }

    /// The same about a pod.
    #[must_use]
    pub fn about(self, pod: ObjectReference) -> Self {
        Self { pod: Some(pod), ..self }
    }
}

enum Job {
    Publish(Box<ObjectReference>, Box<Event>),
    /// All before it are published.
    Tell(oneshot::Sender<()>),
}

/// Publishes Events without ever holding up a pass.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Job>,
    waiting: Waiting,
    metrics: Metrics,
}

/// How many Events of each namespace wait; clones share it.
#[derive(Clone, Debug, Default)]
struct Waiting(Arc<Mutex<HashMap<String, usize>>>);

impl Waiting {
    /// One more, if it has room.
    fn enter(&self, namespace: &str, metrics: &Metrics) -> bool {
        let mut waiting = self.lock();
        let own = waiting.entry(namespace.to_owned()).or_default();
        let room = *own < OF_ONE_NAMESPACE;
        *own += usize::from(room);
        metrics.events_waiting(waiting.values().sum());
        room
    }

    fn leave(&self, namespace: &str, metrics: &Metrics) {
        let mut waiting = self.lock();
        if let Some(own) = waiting.get_mut(namespace) {
            *own = own.saturating_sub(1);
        }
        waiting.retain(|_, own| *own > 0);
        metrics.events_waiting(waiting.values().sum());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// Publishes through `writer` in the name of `instance`, the controller's pod.
    #[must_use]
    pub fn new(writer: Client, instance: Option<String>, metrics: Metrics) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance };
        let (queue, jobs) = mpsc::channel(WAITING);
        let events = Self { queue, waiting: Waiting::default(), metrics };
        let (waiting, metrics) = (events.waiting.clone(), events.metrics.clone());
        tokio::spawn(publish_all(Recorder::new(writer, reporter), jobs, waiting, metrics));
        events
    }

    /// Publishes `note` about `regarding`, which `RestartRequest::object_ref(&())` gives; a failure is only logged.
    pub fn publish(&self, regarding: ObjectReference, note: Note) {
        let (namespace, event) = (regarding.namespace.clone().unwrap_or_default(), event(note));
        if !self.waiting.enter(&namespace, &self.metrics) {
            self.metrics.event_lost("namespace_full");
            return lost(&regarding, &event, &format!("{OF_ONE_NAMESPACE} others of its namespace wait already"));
        }
        if let Err(mpsc::error::TrySendError::Full(Job::Publish(about, event))) =
            self.queue.try_send(Job::Publish(Box::new(regarding), Box::new(event)))
        {
            self.waiting.leave(&namespace, &self.metrics);
            self.metrics.event_lost("full");
            lost(&about, &event, &format!("{WAITING} others wait already"));
        }
    }

    /// Waits until what was given is published, at most so long.
    pub async fn settled(&self, limit: Duration) {
        let (sender, told) = oneshot::channel();
        let settled = async {
            // An error means that the other side is gone: nothing to wait for.
            let _ = self.queue.send(Job::Tell(sender)).await;
            let _ = told.await;
        };
        if tokio::time::timeout(limit, settled).await.is_err() {
            tracing::warn!("Events are left that were not published");
        }
    }
}

async fn publish_all(recorder: Recorder, mut jobs: mpsc::Receiver<Job>, waiting: Waiting, metrics: Metrics) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Publish(regarding, event) => {
                waiting.leave(regarding.namespace.as_deref().unwrap_or_default(), &metrics);
                let published = tokio::time::timeout(CALL_LIMIT, recorder.publish(&event, &regarding)).await;
                match published {
                    Ok(Ok(())) => {}
                    Ok(Err(source)) => {
                        let error = Error::Kube { what: "publish an Event".to_owned(), source };
                        metrics.event_lost("refused");
                        lost(&regarding, &event, &error.to_string());
                    }
                    Err(_) => {
                        metrics.event_lost("timeout");
                        lost(&regarding, &event, &format!("no answer within {CALL_LIMIT:?}"));
                    }
                }
            }
            Job::Tell(sender) => drop(sender.send(())),
        }
    }
}

fn lost(regarding: &ObjectReference, event: &Event, why: &str) {
    let (namespace, name, uid) = (&regarding.namespace, &regarding.name, &regarding.uid);
    tracing::warn!(namespace, name, uid, reason = event.reason, why, "an Event was not published");
}

fn event(note: Note) -> Event {
    let Note { warning, reason, action, mut note, pod } = note;
    let end = (0..=LONGEST_NOTE.min(note.len())).rev().find(|end| note.is_char_boundary(*end));
    note.truncate(end.unwrap_or(0));
    let type_ = if warning { EventType::Warning } else { EventType::Normal };
    Event { type_, reason, note: Some(note), action, secondary: pod }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_full_of_events_leaves_room_for_others_and_what_waits_is_counted() {
        let (waiting, metrics) = (Waiting::default(), Metrics::default());
        let entered = (0..1_000).filter(|_| waiting.enter("flood", &metrics)).count();
        assert_eq!(entered, OF_ONE_NAMESPACE);
        assert!(waiting.enter("shop", &metrics));
        assert!(metrics.encoded().contains("restart_controller_events_waiting 129\n"), "{}", metrics.encoded());
        waiting.leave("shop", &metrics);
        (0..OF_ONE_NAMESPACE).for_each(|_| waiting.leave("flood", &metrics));
        assert!(waiting.lock().is_empty() && metrics.encoded().contains("restart_controller_events_waiting 0\n"));
    }

    #[test]
    fn a_long_note_is_cut_at_a_letter() {
        let event = event(Note::new("Failed", "Restart", "é".repeat(1000)).warning());
        assert_eq!(event.note.map(|note| note.len()), Some(1024));
        assert_eq!(event.type_, EventType::Warning);
    }
}
