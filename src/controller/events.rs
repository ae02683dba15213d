//! Kubernetes Events: what people see under `kubectl describe`, and the audit trail of who restarted what and why.
//!
//! **Invariant:** an Event that is lost costs nothing: no pass waits for one, and none decides by one.

use super::context::CALL_LIMIT;
use crate::api::names::FIELD_MANAGER;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// kube-apiserver refuses a longer note.
const LONGEST_NOTE: usize = 1024;

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

/// Publishes Events without ever holding up a pass.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Publishes through `writer` in the name of `instance`, the controller's pod.
    #[must_use]
    pub fn new(writer: Client, instance: Option<String>) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance };
        Self { recorder: Recorder::new(writer, reporter) }
    }

    /// Publishes `note` about `regarding`, which `RestartRequest::object_ref(&())` gives; a failure is only logged.
    pub fn publish(&self, regarding: ObjectReference, note: Note) {
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            let event = event(note);
            let published = tokio::time::timeout(CALL_LIMIT, recorder.publish(&event, &regarding)).await;
            let why = match published {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", CALL_LIMIT.as_secs()),
            };
            let (namespace, name) = (regarding.namespace.unwrap_or_default(), regarding.name.unwrap_or_default());
            tracing::warn!(namespace, name, reason = event.reason, why, "an Event was not published");
        });
    }
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
    fn a_long_note_is_cut_at_a_letter() {
        let event = event(Note::new("Failed", "Restart", "é".repeat(1000)).warning());
        assert_eq!(event.note.map(|note| note.len()), Some(1024));
        assert_eq!(event.type_, EventType::Warning);
    }
}
