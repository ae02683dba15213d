//! Which restarts a change in the cluster concerns: an index of those that have not ended.
//!
//! **Invariant:** it only decides when a pass happens, never what it does; a change that wakes nobody costs a delay
//! until the pass that the restart has asked for anyway.

use crate::api::{Phase, RestartRequest, TargetKind, TargetRef};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Least time between the beginnings of two passes for one restart: a hundred pods that change at once cause one more
/// pass, not a hundred. (kube's own debounce would put a restart off for as long as changes go on.)
pub const PACE: Duration = Duration::from_millis(50);

/// What of a restart decides whether a change concerns it.
#[derive(Clone, Debug)]
struct Entry {
    uid: String,
    target: TargetRef,
    /// It does more than wait for its turn.
    under_way: bool,
    /// When its last pass began.
    passed: Instant,
}

type Namespaces = BTreeMap<String, BTreeMap<String, Entry>>;

/// Restarts that have not ended, by namespace and name; clones share the index.
#[derive(Clone, Debug, Default)]
pub struct Unfinished {
    namespaces: Arc<Mutex<Namespaces>>,
}

impl Unfinished {
    /// A pass for `request` begins; returns how long it has to wait so that passes keep their [`PACE`].
    #[must_use]
    pub fn begin(&self, request: &RestartRequest, now: Instant) -> Duration {
        let (namespace, name) = place(request);
        let mut all = self.lock();
        let last = all.get(&namespace).and_then(|entries| entries.get(&name)).map(|entry| entry.passed);
        let wait = last.map_or(Duration::ZERO, |last| (last + PACE).saturating_duration_since(now));
        if finished(request) {
            let _ = remove(&mut all, &namespace, &name);
            return Duration::ZERO;
        }
        let entry = Entry {
            uid: request.metadata.uid.clone().unwrap_or_default(),
            target: request.spec.target_ref.clone(),
            under_way: under_way(request),
            passed: now + wait,
        };
        all.entry(namespace).or_default().insert(name, entry);
        wait
    }

    /// The object no longer exists; returns the UID it had if its restart had not ended.
    pub fn gone(&self, namespace: &str, name: &str) -> Option<String> {
        remove(&mut self.lock(), namespace, name)
    }

    /// The restarts under way in a namespace: for what concerns pods.
    #[must_use]
    pub fn under_way(&self, namespace: &str) -> Vec<String> {
        self.names(namespace, |entry| entry.under_way)
    }

    /// The restarts of a workload, waiting ones included.
    #[must_use]
    pub fn of_target(&self, kind: TargetKind, namespace: &str, name: &str) -> Vec<String> {
        self.names(namespace, |entry| entry.target.kind == kind && entry.target.name == name)
    }

    /// All restarts of a namespace, waiting ones included.
    #[must_use]
    pub fn all(&self, namespace: &str) -> Vec<String> {
        self.names(namespace, |_| true)
    }

    /// How many do more than wait for their turn.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().values().flat_map(BTreeMap::values).filter(|entry| entry.under_way).count()
    }

    fn names(&self, namespace: &str, wanted: impl Fn(&Entry) -> bool) -> Vec<String> {
        let all = self.lock();
        let entries = all.get(namespace).into_iter().flatten();
        entries.filter(|(_, entry)| wanted(entry)).map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Namespaces> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(all: &mut Namespaces, namespace: &str, name: &str) -> Option<String> {
    let entries = all.get_mut(namespace)?;
    let entry = entries.remove(name);
    if entries.is_empty() {
        all.remove(namespace);
    }
    entry.map(|entry| entry.uid)
}

fn place(request: &RestartRequest) -> (String, String) {
    let metadata = &request.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// One that is being deleted still has something outstanding, whatever its phase says.
fn finished(request: &RestartRequest) -> bool {
    request.metadata.deletion_timestamp.is_none() && request.phase().is_some_and(Phase::is_terminal)
}

fn under_way(request: &RestartRequest) -> bool {
    request.metadata.deletion_timestamp.is_some() || request.phase().is_some_and(|phase| phase != Phase::Pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, phase: Option<&str>) -> RestartRequest {
        let status = phase.map(|phase| serde_json::json!({ "phase": phase }));
        let json = serde_json::json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
            "metadata": {"namespace": "shop", "name": name, "uid": format!("uid of {name}")},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"},
            "status": status.unwrap_or_default(),
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_pod_wakes_restarts_under_way_and_not_those_that_wait() {
        let unfinished = Unfinished::default();
        let now = Instant::now();
        for request in [request("a", Some("Restarting")), request("b", Some("Pending")), request("c", None)] {
            assert_eq!(unfinished.begin(&request, now), Duration::ZERO);
        }
        assert_eq!(unfinished.under_way("shop"), ["a"]);
        assert_eq!(unfinished.of_target(TargetKind::Deployment, "shop", "web"), ["a", "b", "c"]);
        assert!(unfinished.of_target(TargetKind::Deployment, "shop", "other").is_empty());
        assert!(unfinished.of_target(TargetKind::StatefulSet, "shop", "web").is_empty(), "another workload");
        assert!(unfinished.all("elsewhere").is_empty());
    }

    #[test]
    fn finished_and_deleted_restarts_are_forgotten() {
        let unfinished = Unfinished::default();
        let now = Instant::now();
        let _ = unfinished.begin(&request("a", Some("Restarting")), now);
        let _ = unfinished.begin(&request("b", Some("Restarting")), now);
        assert_eq!(unfinished.count(), 2);
        let _ = unfinished.begin(&request("a", Some("Completed")), now);
        assert_eq!(unfinished.gone("shop", "b").as_deref(), Some("uid of b"));
        assert_eq!(unfinished.count(), 0);
        assert!(unfinished.lock().is_empty());
    }

    #[test]
    fn passes_for_one_restart_keep_their_pace_and_others_are_not_held_up() {
        let unfinished = Unfinished::default();
        let now = Instant::now();
        assert_eq!(unfinished.begin(&request("a", None), now), Duration::ZERO);
        assert_eq!(unfinished.begin(&request("a", None), now), PACE);
        assert_eq!(unfinished.begin(&request("b", None), now), Duration::ZERO);
        assert_eq!(unfinished.begin(&request("a", None), now + PACE * 3), Duration::ZERO);
    }
}
