//! The paths: which workload is restarted, and what becomes of the restart if nothing disturbs it.
//!
//! **Invariant:** a path says nothing of faults.

use std::fmt;
use std::str::FromStr;

/// What is restarted, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// A Deployment by Surge.
    Surge,
    /// A Deployment by Rolling.
    Rolling,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

/// What happens to the restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Story {
    /// It completes.
    Success,
    /// It promotes a good configuration and completes.
    Promotion,
    /// The configuration was edited in place, and no pod starts on it.
    BrokenInPlace,
    /// It promotes a configuration on which no pod starts.
    BrokenPromotion,
    /// It is cancelled while a hook runs before it.
    Cancel,
    /// Its request is deleted when the first pod is cordoned.
    Delete,
    /// A hook after the last pod fails.
    HookFailure,
    /// A new pod loses its readiness in the soak, after a promotion.
    SoakFailure,
    /// Its namespace is deleted when the first pod is cordoned.
    NamespaceDeletion,
}

/// Both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// What is restarted.
    pub workload: Workload,
    /// What happens to it.
    pub story: Story,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Surge, Self::Rolling, Self::StatefulSet, Self::DaemonSet];

    fn name(self) -> &'static str {
        match self {
            Self::Surge => "surge",
            Self::Rolling => "rolling",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// The kind of the object.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Surge | Self::Rolling => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// The manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Surge | Self::Rolling => "deploy/samples/sample.yaml",
            Self::StatefulSet => "deploy/samples/statefulset.yaml",
            Self::DaemonSet => "deploy/samples/daemonset.yaml",
        }
    }
}

impl Story {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Promotion,
        Self::BrokenInPlace,
        Self::BrokenPromotion,
        Self::Cancel,
        Self::Delete,
        Self::HookFailure,
        Self::SoakFailure,
        Self::NamespaceDeletion,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Promotion => "promotion",
            Self::BrokenInPlace => "broken-in-place",
            Self::BrokenPromotion => "broken-promotion",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
            Self::HookFailure => "hook-failure",
            Self::SoakFailure => "soak-failure",
            Self::NamespaceDeletion => "namespace-deletion",
        }
    }

    /// It ends with the request still there.
    pub fn keeps_request(self) -> bool {
        match self {
            Self::Success
            | Self::Promotion
            | Self::BrokenInPlace
            | Self::BrokenPromotion
            | Self::Cancel
            | Self::HookFailure
            | Self::SoakFailure => true,
            Self::Delete | Self::NamespaceDeletion => false,
        }
    }

    /// How many pods are replaced does not depend on which is faster, the run or the deletion of its request.
    pub fn counts_pods(self) -> bool {
        self.keeps_request()
    }
}

impl Path {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let of = |workload| Story::ALL.map(|story| Self { workload, story });
        Workload::ALL.into_iter().flat_map(of).collect()
    }

    /// Its configuration is known to be good before the first restart; else the restart makes the history and the copies itself.
    pub fn has_baseline(self) -> bool {
        self.story != Story::Success
    }

    /// Requests are sent throughout. The pod of a single node's DaemonSet leaves a gap, and a namespace that goes takes its
    /// pods away from their clients.
    pub fn is_under_load(self) -> bool {
        self.workload != Workload::DaemonSet && self.story != Story::NamespaceDeletion
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.workload.name(), self.story.name())
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::all().into_iter().find(|path| path.to_string() == text);
        known.ok_or_else(|| format!("there is no path {text:?}"))
    }
}
