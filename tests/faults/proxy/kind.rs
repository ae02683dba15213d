//! The kinds of writes that the controller makes.
//!
//! **Invariant:** a write that is none of these is `Unknown`, which the judge refuses.

/// A kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The status of a request.
    Status,
    /// The finalizer of a request.
    Finalizer,
    /// The deletion of a request.
    RequestDelete,
    /// A history is made.
    HistoryCreate,
    /// The finalizer of a history.
    HistoryUpdate,
    /// The status of a history.
    HistoryStatus,
    /// A copy of a ConfigMap.
    Copy,
    /// A list of pods.
    List,
    /// A promotion or a restore.
    Map,
    /// The deletion of a copy or a list.
    MapDelete,
    /// A pod is taken from its ReplicaSet.
    Detach,
    /// A pod is given back to its ReplicaSet.
    PutBack,
    /// A pod gets the lowest deletion cost.
    Expend,
    /// An eviction that is meant.
    Evict,
    /// A pod is deleted.
    PodDelete,
    /// A hook's Job is made.
    JobCreate,
    /// A hook's Job is deleted.
    JobDelete,
    /// A drain lease, or its renewal.
    Cordon,
    /// The end of a drain lease.
    Release,
    /// An Event.
    Event,
    /// The Lease of the controllers.
    Lease,
    /// The controller's key.
    Key,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Status,
        Self::Finalizer,
        Self::RequestDelete,
        Self::HistoryCreate,
        Self::HistoryUpdate,
        Self::HistoryStatus,
        Self::Copy,
        Self::List,
        Self::Map,
        Self::MapDelete,
        Self::Detach,
        Self::PutBack,
        Self::Expend,
        Self::Evict,
        Self::PodDelete,
        Self::JobCreate,
        Self::JobDelete,
        Self::Cordon,
        Self::Release,
        Self::Event,
        Self::Lease,
        Self::Key,
        Self::Unknown,
    ];

    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Finalizer => "finalizer",
            Self::RequestDelete => "request-delete",
            Self::HistoryCreate => "history-create",
            Self::HistoryUpdate => "history-update",
            Self::HistoryStatus => "history-status",
            Self::Copy => "copy",
            Self::List => "list",
            Self::Map => "map",
            Self::MapDelete => "map-delete",
            Self::Detach => "detach",
            Self::PutBack => "put-back",
            Self::Expend => "expend",
            Self::Evict => "evict",
            Self::PodDelete => "pod-delete",
            Self::JobCreate => "job-create",
            Self::JobDelete => "job-delete",
            Self::Cordon => "cordon",
            Self::Release => "release",
            Self::Event => "event",
            Self::Lease => "lease",
            Self::Key => "key",
            Self::Unknown => "unknown",
        }
    }

    /// A command to a sidecar.
    pub fn is_to_a_sidecar(self) -> bool {
        matches!(self, Self::Cordon | Self::Release)
    }

    /// A write that a restart makes, as opposed to what the controller does for itself.
    pub fn is_of_a_run(self) -> bool {
        !matches!(self, Self::Event | Self::Lease | Self::Key)
    }

    /// Its name is its precondition: a second one is refused.
    pub fn is_made_once(self) -> bool {
        matches!(self, Self::HistoryCreate | Self::Copy | Self::List | Self::JobCreate)
    }
}
