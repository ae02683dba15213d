//! Lists of what may happen meanwhile.
//!
//! **Invariant:** a longer list makes a search larger by its square when two things may happen.

use crate::scenario::Disturbance;
use restart_controller::machine::RefusedEffect;

use Disturbance::{
    Break, BudgetLag, Cancel, ContainerRestart, Crash, Deadline, Delete, DrainTimeout, Edit, Lapse, LateRequest,
    LeaseExpiry, ListLost, LockFreed, LockStolen, LongRequest, Namespace, NoNode, NodeLeaves, PodDeath, Refusal,
    Removal, Revert, Rollout, ScaleDown, ScaleUp, Share, SidecarRestart, Silence, Sleep, TargetGone, Trigger, Verdict,
};

/// Everything that may happen.
pub const ANY: &[Disturbance] = &[
    Crash,
    Sleep,
    PodDeath,
    NoNode,
    ContainerRestart,
    Silence,
    SidecarRestart,
    LateRequest,
    LongRequest,
    DrainTimeout,
    Deadline,
    LeaseExpiry,
    Edit,
    Removal,
    Delete,
    Cancel,
    ScaleUp,
    ScaleDown,
    Rollout,
    TargetGone,
    LockStolen,
    LockFreed,
    Refusal(RefusedEffect::Copy),
    Refusal(RefusedEffect::Promotion),
    Refusal(RefusedEffect::Restore),
    Refusal(RefusedEffect::Other),
    Verdict,
    Namespace,
];

/// And what may happen to what a request can say.
pub const EVERYTHING: &[Disturbance] = &[
    Crash,
    Sleep,
    PodDeath,
    NoNode,
    ContainerRestart,
    Silence,
    SidecarRestart,
    LateRequest,
    LongRequest,
    DrainTimeout,
    Deadline,
    LeaseExpiry,
    Edit,
    Removal,
    Delete,
    Cancel,
    ScaleUp,
    ScaleDown,
    Rollout,
    TargetGone,
    LockStolen,
    LockFreed,
    Refusal(RefusedEffect::Restore),
    Refusal(RefusedEffect::Other),
    Namespace,
    Trigger,
    Lapse,
    Break,
    Revert,
    Share,
    ListLost,
    NodeLeaves,
];

/// For walks with many pods, which search nothing: the more the better.
pub const AT_RANDOM: &[Disturbance] = &[
    Crash,
    PodDeath,
    NoNode,
    ContainerRestart,
    Silence,
    SidecarRestart,
    LateRequest,
    LongRequest,
    DrainTimeout,
    Deadline,
    LeaseExpiry,
    Edit,
    Removal,
    Delete,
    Cancel,
    ScaleUp,
    ScaleDown,
    Rollout,
    TargetGone,
    LockStolen,
    LockFreed,
    Refusal(RefusedEffect::Copy),
    Refusal(RefusedEffect::Promotion),
    Refusal(RefusedEffect::Restore),
    Refusal(RefusedEffect::Hook),
    Refusal(RefusedEffect::Other),
    Verdict,
    Namespace,
    Trigger,
    Lapse,
    Break,
    Revert,
    Share,
    BudgetLag,
    ListLost,
    NodeLeaves,
    Sleep,
];

/// What may happen to pods that have places.
pub const AROUND_PLACES: &[Disturbance] = &[
    Crash,
    Sleep,
    PodDeath,
    ContainerRestart,
    Break,
    Silence,
    LongRequest,
    Deadline,
    Edit,
    Delete,
    ScaleUp,
    ScaleDown,
    Lapse,
    Revert,
    NodeLeaves,
];

/// What may happen to hooks.
pub const AROUND_HOOKS: &[Disturbance] = &[
    Crash,
    Sleep,
    PodDeath,
    ContainerRestart,
    Deadline,
    Edit,
    Delete,
    Cancel,
    ScaleUp,
    Rollout,
    TargetGone,
    LockStolen,
    LockFreed,
    Refusal(RefusedEffect::Hook),
    Verdict,
    Trigger,
    Lapse,
    Revert,
    Share,
    ListLost,
    Namespace,
];

/// What may happen before a run begins and after it has ended.
pub const AROUND_THE_RUN: &[Disturbance] =
    &[Crash, Sleep, Delete, Cancel, LockStolen, LockFreed, TargetGone, Verdict, Trigger, Edit, Namespace];
