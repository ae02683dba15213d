//! What users write and read: the two kinds, their phases, codes and names.
//!
//! **Invariant:** nothing here talks to a cluster; without features the kube crate has no `Client` to do it with.

pub mod bounds;
mod code;
mod crd;
mod history;
mod misnamed;
pub mod names;
pub mod parallel;
mod phase;
mod request;
mod status;

pub use code::Code;
pub use crd::{restart_history_crd, restart_request_crd};
pub use history::{
    ActiveRun, HandledRun, LastKnownGood, RestartHistory, RestartHistorySpec, RestartHistoryStatus, RestoredMap,
    RunRecord,
};
pub use phase::{Phase, Step};
pub use request::{
    ConcurrencyPolicy, Config, ConfigMapRef, Drain, FailurePolicy, Hook, Hooks, HttpHook, HttpMethod, JobHook,
    NewRequestsPolicy, RestartRequest, RestartRequestSpec, Strategy, StrategyType, TargetKind, TargetRef,
    TimeoutPolicy, Verify,
};
pub use status::{
    Condition, ConditionStatus, HistoryEntry, HookProgress, HookState, HookTime, Outcome, Plan, PodProgress, PodState,
    Resolved, RestartRequestStatus, Snapshot, SnapshotEntry, SnapshotSource,
};
