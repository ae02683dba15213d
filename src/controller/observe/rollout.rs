//! Is a rollout of the workload's own under way, and would a restart be one?
//!
//! A pod starts anew on the template that its controller holds then, which need not be the one it runs. Where that
//! differs, either a rollout is on its way to it (the restart waits), or none ever will be: the restart would then roll
//! a template out, or back, that somebody holds back on purpose.
//!
//! **Invariant:** pure; a StatefulSet's pods are judged by the rule of Kubernetes' `newVersionedStatefulSetPod`.

use crate::api::names;
use crate::controller::facts::PodFacts;
use crate::controller::workload::{Workload, label, ordinal};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;

/// What is between the pods and the pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Nothing: each pod would start anew as what it is.
    Settled,
    /// A rollout of the workload's own; what is waited for.
    UnderWay(String),
    /// A template that no rollout brings to a pod, and a restart would; what to do.
    Stopped(String),
}

/// How the workload's pods stand to its template.
#[must_use]
pub fn rollout(workload: &Workload, pods: &[PodFacts]) -> Rollout {
    match workload {
        Workload::Deployment { newest, others, .. } => deployment(workload, newest.as_deref(), others),
        Workload::StatefulSet(set) => stateful_set(workload, set, pods),
        Workload::DaemonSet { daemon_set, .. } => {
            let strategy = daemon_set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
            daemon(workload, strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete"), pods)
        }
    }
}

fn under_way(workload: &Workload, old: usize) -> Rollout {
    Rollout::UnderWay(format!("waiting for the rollout of {workload} that is under way ({old} old pods)"))
}

/// Pods that the Deployment counts under another `ReplicaSet` than the newest.
fn deployment(workload: &Workload, newest: Option<&ReplicaSet>, others: &[ReplicaSet]) -> Rollout {
    let old: i32 = others.iter().filter_map(|set| set.status.as_ref()).map(|status| status.replicas).sum();
    let wanted = newest.and_then(|set| set.spec.as_ref()).and_then(|spec| spec.replicas).unwrap_or(0);
    let resized = usize::try_from(wanted).unwrap_or(0) != workload.replicas();
    if old > 0 || resized || newest.is_none() || workload.behind() {
        under_way(workload, usize::try_from(old).unwrap_or(0))
    } else {
        Rollout::Settled
    }
}

/// Which revision a StatefulSet's pod starts anew on: below the partition the old one.
struct Ladder<'a> {
    on_delete: bool,
    partition: i32,
    start: i32,
    current: &'a str,
    update: &'a str,
}

impl<'a> Ladder<'a> {
    fn new(set: &'a StatefulSet, update: &'a str) -> Self {
        let spec = set.spec.as_ref();
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let current = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
        Self {
            on_delete: strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete"),
            partition: strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or(0),
            start: spec.and_then(|spec| spec.ordinals.as_ref()?.start).unwrap_or(0),
            // A set without it has never had another template.
            current: current.filter(|current| !current.is_empty()).unwrap_or(update),
            update,
        }
    }

    /// No rollout comes by here.
    fn held_back(&self, ordinal: i32) -> bool {
        self.on_delete || ordinal < self.start.saturating_add(self.partition)
    }

    fn next(&self, ordinal: i32) -> &'a str {
        if !self.on_delete && self.held_back(ordinal) { self.current } else { self.update }
    }
}

fn stateful_set(workload: &Workload, set: &StatefulSet, pods: &[PodFacts]) -> Rollout {
    let update = workload.revision().filter(|update| !update.is_empty() && !workload.behind());
    let Some(update) = update else { return under_way(workload, 0) };
    let ladder = Ladder::new(set, update);
    let strays: Vec<(&PodFacts, i32)> = own(workload, pods)
        .filter_map(|pod| Some((pod, ordinal(&pod.pod.metadata)?)))
        .filter(|(pod, ordinal)| revision(&pod.pod) != Some(ladder.next(*ordinal)))
        .collect();
    let rolled = strays.iter().filter(|(_, ordinal)| !ladder.held_back(*ordinal)).count();
    match strays.iter().find(|(pod, _)| !pod.terminating()) {
        _ if rolled > 0 => under_way(workload, rolled),
        None => Rollout::Settled,
        Some((pod, ordinal)) => {
            let why = if ladder.on_delete {
                ON_DELETE.to_owned()
            } else {
                format!(
                    "is below the partition {}; move the partition, or undo the change of the template",
                    ladder.partition
                )
            };
            stopped(workload, pod, ladder.next(*ordinal), &why)
        }
    }
}

fn daemon(workload: &Workload, on_delete: bool, pods: &[PodFacts]) -> Rollout {
    let newest = workload.revision().filter(|_| !workload.behind());
    let Some(newest) = newest else { return under_way(workload, 0) };
    let old: Vec<&PodFacts> = own(workload, pods).filter(|pod| revision(&pod.pod) != Some(newest)).collect();
    match old.iter().find(|pod| !pod.terminating()) {
        _ if !on_delete && !old.is_empty() => under_way(workload, old.len()),
        None => Rollout::Settled,
        Some(pod) => stopped(workload, pod, newest, ON_DELETE),
    }
}

const ON_DELETE: &str =
    "waits for its deletion (updateStrategy OnDelete); delete such pods first, or undo the change of the template";

fn stopped(workload: &Workload, pod: &PodFacts, next: &str, why: &str) -> Rollout {
    let has = revision(&pod.pod).unwrap_or("none");
    Rollout::Stopped(format!(
        "a restart of {workload} would change the pod template of Pod {} from revision {has} to {next}: it {why}, or set strategy.allowDisruption",
        pod.name()
    ))
}

/// Its own pods; one that its rollout has told to go shows that the rollout is under way.
fn own<'a>(workload: &'a Workload, pods: &'a [PodFacts]) -> impl Iterator<Item = &'a PodFacts> {
    pods.iter().filter(|pod| {
        let mut owners = pod.pod.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == workload.owner())
    })
}

fn revision(pod: &Pod) -> Option<&str> {
    label(&pod.metadata, names::CONTROLLER_REVISION_HASH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(strategy: &Value, start: i32, current: &str, update: &str) -> Workload {
        let set = json!({
            "metadata": {"name": "db", "uid": "set", "generation": 2},
            "spec": {"replicas": 3, "selector": {}, "template": {}, "updateStrategy": strategy, "ordinals": {"start": start}},
            "status": {"replicas": 3, "currentRevision": current, "updateRevision": update, "observedGeneration": 2},
        });
        Workload::StatefulSet(Box::new(serde_json::from_value(set).unwrap()))
    }

    fn daemon_set(strategy: &str, newest: &str, seen: i64) -> Workload {
        let set = json!({
            "metadata": {"name": "agent", "uid": "set", "generation": 2},
            "spec": {"selector": {}, "template": {}, "updateStrategy": {"type": strategy}},
            "status": {"desiredNumberScheduled": 3, "numberMisscheduled": 0, "currentNumberScheduled": 3,
                "numberReady": 3, "observedGeneration": seen},
        });
        let revision = json!({"metadata": {"labels": {names::CONTROLLER_REVISION_HASH: newest}}, "revision": 2});
        Workload::DaemonSet {
            daemon_set: Box::new(serde_json::from_value(set).unwrap()),
            newest: Some(Box::new(serde_json::from_value(revision).unwrap())),
        }
    }

    /// Pods as name and revision.
    fn pods(all: &[(&str, &str)]) -> Vec<PodFacts> {
        let pod = |(name, revision): &(&str, &str)| {
            let owner =
                json!({"apiVersion": "apps/v1", "kind": "Any", "name": "any", "uid": "set", "controller": true});
            let labels = json!({names::CONTROLLER_REVISION_HASH: revision});
            let pod = json!({"metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}});
            serde_json::from_value::<Pod>(pod).unwrap().into()
        };
        all.iter().map(pod).collect()
    }

    fn partition(partition: i32) -> Value {
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}})
    }

    fn is_stopped(rollout: &Rollout, pod: &str) -> bool {
        matches!(rollout, Rollout::Stopped(message) if message.contains(&format!("Pod {pod} ")))
    }

    const OLD: [(&str, &str); 3] = [("db-2", "a"), ("db-1", "a"), ("db-0", "a")];
    const HALF: [(&str, &str); 3] = [("db-2", "b"), ("db-1", "a"), ("db-0", "a")];
    const NEW: [(&str, &str); 3] = [("db-2", "b"), ("db-1", "b"), ("db-0", "b")];

    #[test]
    fn a_rolling_stateful_set_is_waited_for_and_one_that_is_through_is_not() {
        let rolling = set(&partition(0), 0, "a", "b");
        assert_eq!(rollout(&rolling, &pods(&HALF)), under_way(&rolling, 2));
        assert_eq!(rollout(&rolling, &pods(&NEW)), Rollout::Settled);
        assert_eq!(rollout(&set(&partition(0), 0, "a", "a"), &pods(&OLD)), Rollout::Settled);
    }

    #[test]
    fn a_set_that_is_settled_up_to_its_partition_may_be_restarted() {
        assert_eq!(rollout(&set(&partition(2), 0, "a", "b"), &pods(&HALF)), Rollout::Settled);
        let one_to_go = set(&partition(1), 0, "a", "b");
        assert_eq!(rollout(&one_to_go, &pods(&HALF)), under_way(&one_to_go, 1));
        let one_based: Vec<PodFacts> = pods(&[("db-3", "b"), ("db-2", "a"), ("db-1", "a")]);
        assert_eq!(rollout(&set(&partition(2), 1, "a", "b"), &one_based), Rollout::Settled, "ordinals from one");
    }

    #[test]
    fn below_the_partition_a_restart_would_roll_back() {
        assert!(is_stopped(&rollout(&set(&partition(3), 0, "a", "b"), &pods(&HALF)), "db-2"));
    }

    #[test]
    fn on_delete_a_restart_would_roll_out() {
        let waits = json!({"type": "OnDelete"});
        assert!(is_stopped(&rollout(&set(&waits, 0, "a", "b"), &pods(&OLD)), "db-2"));
        assert!(is_stopped(&rollout(&set(&waits, 0, "a", "b"), &pods(&HALF)), "db-1"));
        assert_eq!(rollout(&set(&waits, 0, "a", "b"), &pods(&NEW)), Rollout::Settled);
        let daemon = daemon_set("OnDelete", "b", 2);
        assert!(is_stopped(&rollout(&daemon, &pods(&[("agent-x", "b"), ("agent-y", "a")])), "agent-y"));
        assert_eq!(rollout(&daemon, &pods(&[("agent-x", "b")])), Rollout::Settled);
    }

    #[test]
    fn a_rolling_daemon_set_is_waited_for_and_so_is_one_whose_controller_is_behind() {
        let rolling = daemon_set("RollingUpdate", "b", 2);
        assert_eq!(rollout(&rolling, &pods(&[("agent-x", "b"), ("agent-y", "a")])), under_way(&rolling, 1));
        assert_eq!(rollout(&rolling, &pods(&[("agent-x", "b"), ("agent-y", "b")])), Rollout::Settled);
        let behind = daemon_set("OnDelete", "a", 1);
        assert_eq!(rollout(&behind, &pods(&[("agent-x", "a")])), under_way(&behind, 0));
    }

    #[test]
    fn a_pod_of_others_is_nobody_to_wait_for() {
        let mut all = pods(&HALF[..2]);
        all[1].pod.metadata.owner_references = None;
        assert_eq!(rollout(&set(&partition(0), 0, "a", "b"), &all), Rollout::Settled);
    }

    #[test]
    fn a_pod_that_goes_is_part_of_a_rollout_and_no_reason_to_refuse() {
        let mut all = pods(&[("db-2", "b"), ("db-1", "b"), ("db-0", "a")]);
        all[2].pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-22T10:00:00Z")).unwrap();
        let rolling = set(&partition(0), 0, "a", "b");
        assert_eq!(rollout(&rolling, &all), under_way(&rolling, 1));
        assert_eq!(rollout(&set(&json!({"type": "OnDelete"}), 0, "a", "b"), &all), Rollout::Settled);
        assert_eq!(
            rollout(&daemon_set("RollingUpdate", "b", 2), &all),
            under_way(&daemon_set("RollingUpdate", "b", 2), 1)
        );
        assert_eq!(rollout(&daemon_set("OnDelete", "b", 2), &all), Rollout::Settled);
    }
}
