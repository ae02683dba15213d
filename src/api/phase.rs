//! Where a restart stands: the phase, for everybody, and the step inside it, for the machine.
//!
//! **Invariant:** no behaviour; who may move where is decided in `machine` alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The phase of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Another request holds the workload, a rollout of its own is under way, or a cap is reached.
    Pending,
    /// Checks, lock, snapshot, validation, plan, promotion; no pod has been touched.
    Preparing,
    /// Pods get their replacements, drained ones are evicted; last: verification.
    Restarting,
    /// The batch is out of its Services and its in-flight requests are finishing.
    WaitingRequests,
    /// Something failed; configuration and pods are going back.
    Recovering,
    /// Every planned pod was replaced.
    Completed,
    /// The restart failed; the condition Restored says whether everything is back.
    Failed,
    /// Cancelled before any pod was touched, or deleted while it ran.
    Cancelled,
}

impl Phase {
    /// All of them, as a restart meets them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Preparing,
        Self::Restarting,
        Self::WaitingRequests,
        Self::Recovering,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As it stands in `status.phase`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Preparing => "Preparing",
            Self::Restarting => "Restarting",
            Self::WaitingRequests => "WaitingRequests",
            Self::Recovering => "Recovering",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Whether nothing happens any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Pending | Self::Preparing | Self::Restarting | Self::WaitingRequests | Self::Recovering => false,
        }
    }
}

/// The step inside a phase. It is entered in the status before its effects begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Step {
    /// Waiting for its turn.
    Queued,
    /// Checks, lock, snapshot, plan, promotion.
    Preparing,
    /// The hooks that run before any pod is touched.
    PreHooks,
    /// Surge: the batch is detached and its replacements are awaited.
    Surging,
    /// Rolling: a budget and another ready endpoint are awaited for the batch.
    Reserving,
    /// The batch is cordoned and its requests are awaited.
    Draining,
    /// The drained batch is evicted; Rolling: its replacements are awaited.
    Evicting,
    /// All pods are replaced and watched for a while.
    Verifying,
    /// The hooks that run after the last pod.
    PostHooks,
    /// Configuration, leases and detached pods are going back.
    Restoring,
    /// The result is being written to the `RestartHistory` and the lock released.
    Finishing,
    /// Nothing happens any more.
    Finished,
}

impl Step {
    /// Whether pods are out of their Services in it, on their way out: from the cordon to the replacement's readiness.
    #[must_use]
    pub fn takes_pods_out(self) -> bool {
        match self {
            Self::Draining | Self::Evicting => true,
            Self::Queued
            | Self::Preparing
            | Self::PreHooks
            | Self::Surging
            | Self::Reserving
            | Self::Verifying
            | Self::PostHooks
            | Self::Restoring
            | Self::Finishing
            | Self::Finished => false,
        }
    }
}
