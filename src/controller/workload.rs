//! The workload: which of the three kinds it is, and what each of them says to the same questions.
//!
//! **Invariant:** plain data without a call; what a kind has no answer to is absent, never guessed. Who detaches, puts
//! back or looks at strategies asks the Deployment itself; everybody else asks here.

use crate::api::{TargetKind, names};
use crate::machine::Replacement;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::ListParams;
use kube::core::Selector;
use std::fmt;

/// The workload and what tells its templates apart.
#[derive(Clone, Debug)]
pub enum Workload {
    /// A Deployment, whose pods are its `ReplicaSets`'.
    Deployment {
        /// It.
        deployment: Box<Deployment>,
        /// Its newest `ReplicaSet`, if it has one.
        newest: Option<Box<ReplicaSet>>,
        /// Its older ones.
        others: Vec<ReplicaSet>,
    },
    /// A StatefulSet; its status names both of its revisions.
    StatefulSet(Box<StatefulSet>),
    /// A DaemonSet.
    DaemonSet {
        /// It.
        daemon_set: Box<DaemonSet>,
        /// Its newest revision, if it has one.
        newest: Option<Box<ControllerRevision>>,
    },
}

impl Workload {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Deployment { .. } => TargetKind::Deployment,
            Self::StatefulSet(_) => TargetKind::StatefulSet,
            Self::DaemonSet { .. } => TargetKind::DaemonSet,
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment { deployment, .. } => &deployment.metadata,
            Self::StatefulSet(set) => &set.metadata,
            Self::DaemonSet { daemon_set, .. } => &daemon_set.metadata,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    /// What selects its pods.
    #[must_use]
    pub fn selector(&self) -> Option<&LabelSelector> {
        match self {
            Self::Deployment { deployment, .. } => deployment.spec.as_ref().map(|spec| &spec.selector),
            Self::StatefulSet(set) => set.spec.as_ref().map(|spec| &spec.selector),
            Self::DaemonSet { daemon_set, .. } => daemon_set.spec.as_ref().map(|spec| &spec.selector),
        }
    }

    /// Its pod template.
    #[must_use]
    pub fn template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment { deployment, .. } => deployment.spec.as_ref().map(|spec| &spec.template),
            Self::StatefulSet(set) => set.spec.as_ref().map(|spec| &spec.template),
            Self::DaemonSet { daemon_set, .. } => daemon_set.spec.as_ref().map(|spec| &spec.template),
        }
    }

    /// What its pod template says of containers and volumes.
    #[must_use]
    pub fn pod_spec(&self) -> Option<&PodSpec> {
        self.template()?.spec.as_ref()
    }

    /// How many pods it should have; of a DaemonSet, also those on nodes that it would not choose today.
    #[must_use]
    pub fn replicas(&self) -> usize {
        let replicas = match self {
            Self::Deployment { deployment, .. } => {
                deployment.spec.as_ref().map_or(1, |spec| spec.replicas.unwrap_or(1))
            }
            Self::StatefulSet(set) => set.spec.as_ref().map_or(1, |spec| spec.replicas.unwrap_or(1)),
            Self::DaemonSet { daemon_set, .. } => daemon_set
                .status
                .as_ref()
                .map_or(0, |status| status.desired_number_scheduled.saturating_add(status.number_misscheduled)),
        };
        usize::try_from(replicas).unwrap_or(0)
    }

    /// A StatefulSet's pod above its last place, which goes: it fills none of the places below.
    #[must_use]
    pub fn beyond(&self, pod: &ObjectMeta) -> bool {
        let Self::StatefulSet(set) = self else { return false };
        let spec = set.spec.as_ref();
        let start = spec.and_then(|spec| spec.ordinals.as_ref()?.start).unwrap_or(0);
        let end = start.saturating_add(spec.map_or(1, |spec| spec.replicas.unwrap_or(1)));
        ordinal(pod).is_some_and(|ordinal| ordinal >= end)
    }

    /// How many of its own pods have been Ready for `minReadySeconds`; of a Deployment its newest `ReplicaSet` is
    /// asked, which counts its own pods only. Absent before that controller has said anything.
    #[must_use]
    pub fn available(&self) -> Option<usize> {
        let available = match self {
            Self::Deployment { newest, .. } => newest.as_ref()?.status.as_ref()?.available_replicas.unwrap_or(0),
            Self::StatefulSet(set) => set.status.as_ref()?.available_replicas.unwrap_or(0),
            Self::DaemonSet { daemon_set, .. } => daemon_set.status.as_ref()?.number_available.unwrap_or(0),
        };
        Some(usize::try_from(available).unwrap_or(0))
    }

    /// UID of what controls its pods: its newest `ReplicaSet`, the StatefulSet, the DaemonSet.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::Deployment { newest, .. } => newest.as_ref()?.metadata.uid.as_deref(),
            Self::StatefulSet(_) | Self::DaemonSet { .. } => self.metadata().uid.as_deref(),
        }
    }

    /// What tells its present pod template from earlier ones.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Deployment { newest, .. } => label(&newest.as_ref()?.metadata, names::POD_TEMPLATE_HASH),
            Self::StatefulSet(set) => set.status.as_ref()?.update_revision.as_deref(),
            Self::DaemonSet { newest, .. } => label(&newest.as_ref()?.metadata, names::CONTROLLER_REVISION_HASH),
        }
    }

    /// Its controller has not seen its present generation yet.
    #[must_use]
    pub fn behind(&self) -> bool {
        let seen = match self {
            Self::Deployment { deployment, .. } => {
                deployment.status.as_ref().and_then(|status| status.observed_generation)
            }
            Self::StatefulSet(set) => set.status.as_ref().and_then(|status| status.observed_generation),
            Self::DaemonSet { daemon_set, .. } => {
                daemon_set.status.as_ref().and_then(|status| status.observed_generation)
            }
        };
        seen.unwrap_or(0) < self.metadata().generation.unwrap_or(0)
    }

    /// A Deployment whose rollouts somebody has stopped.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.deployment().and_then(|deployment| deployment.spec.as_ref()?.paused) == Some(true)
    }

    /// How its controller replaces a pod that goes; without a workload there is no place to fill.
    #[must_use]
    pub fn replacement(workload: Option<&Self>) -> Replacement {
        match workload {
            Some(Self::StatefulSet(set)) => {
                let policy = set.spec.as_ref().and_then(|spec| spec.pod_management_policy.as_deref());
                if policy == Some("Parallel") { Replacement::InPlace } else { Replacement::InOrder }
            }
            Some(Self::DaemonSet { .. }) => Replacement::InPlace,
            Some(Self::Deployment { .. }) | None => Replacement::Anywhere,
        }
    }

    /// The Service that names a StatefulSet's pods.
    #[must_use]
    pub fn governing_service(&self) -> Option<&str> {
        match self {
            Self::StatefulSet(set) => set.spec.as_ref()?.service_name.as_deref().filter(|name| !name.is_empty()),
            Self::Deployment { .. } | Self::DaemonSet { .. } => None,
        }
    }

    /// The Deployment, if it is one.
    #[must_use]
    pub fn deployment(&self) -> Option<&Deployment> {
        match self {
            Self::Deployment { deployment, .. } => Some(deployment),
            Self::StatefulSet(_) | Self::DaemonSet { .. } => None,
        }
    }
}

/// Kind and name, for sentences.
impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}", self.kind(), self.name())
    }
}

/// Parameters that list what a workload's selector selects.
#[must_use]
pub fn selected(selector: Option<&LabelSelector>) -> ListParams {
    let labels = selector.and_then(|selector| Selector::try_from(selector.clone()).ok());
    labels.map_or_else(ListParams::default, |labels| ListParams::default().labels_from(&labels))
}

/// A label's value.
#[must_use]
pub fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// The number at the end of a StatefulSet pod's name, as its controller reads it.
#[must_use]
pub fn ordinal(pod: &ObjectMeta) -> Option<i32> {
    pod.name.as_deref()?.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_kind_answers_by_its_own_fields() {
        let set = Workload::StatefulSet(from(json!({
            "metadata": {"name": "db", "uid": "s", "generation": 3},
            "spec": {"replicas": 4, "selector": {}, "template": {}, "serviceName": "db"},
            "status": {"replicas": 4, "availableReplicas": 2, "updateRevision": "db-2", "observedGeneration": 2},
        })));
        assert_eq!((set.replicas(), set.available(), set.owner()), (4, Some(2), Some("s")));
        assert_eq!((set.revision(), set.behind(), set.to_string()), (Some("db-2"), true, "StatefulSet db".to_owned()));
        let daemon = Workload::DaemonSet {
            daemon_set: from(json!({
                "metadata": {"name": "agent", "uid": "d", "generation": 1},
                "spec": {"selector": {}, "template": {}},
                "status": {"desiredNumberScheduled": 3, "numberMisscheduled": 1, "currentNumberScheduled": 3,
                    "numberReady": 3, "numberAvailable": 3, "observedGeneration": 1},
            })),
            newest: Some(from(json!({
                "metadata": {"labels": {"controller-revision-hash": "abc"}}, "revision": 7,
            }))),
        };
        assert_eq!((daemon.replicas(), daemon.available(), daemon.owner()), (4, Some(3), Some("d")));
        assert_eq!((daemon.revision(), daemon.behind(), daemon.paused()), (Some("abc"), false, false));
        let deployment = Workload::Deployment {
            deployment: from(json!({
                "metadata": {"name": "web", "uid": "w"}, "spec": {"paused": true, "selector": {}, "template": {}},
            })),
            newest: Some(from(json!({
                "metadata": {"uid": "r", "labels": {"pod-template-hash": "xyz"}}, "status": {"replicas": 1},
            }))),
            others: vec![],
        };
        assert_eq!((deployment.replicas(), deployment.available(), deployment.owner()), (1, Some(0), Some("r")));
        assert_eq!((deployment.revision(), deployment.paused()), (Some("xyz"), true));
    }

    #[test]
    fn an_ordinal_is_a_number() {
        let named = |name: &str| ordinal(&ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() });
        assert_eq!((named("web-0"), named("web-10"), named("a-b-2")), (Some(0), Some(10), Some(2)));
        assert_eq!((named("web"), named("web-x")), (None, None));
    }
}
