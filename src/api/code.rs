//! The table of codes: what a refused or failed restart says in `status.code`.
//!
//! **Invariant:** numbers are public API: they are never reused or renumbered (DESIGN 2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($variant:ident = $number:literal, $reason:literal, $when:literal;)*) => {
        /// Why a restart was refused or failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $(#[doc = $when] #[serde(rename = $number)] $variant,)*
        }

        impl Code {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it stands in `status.code`.
            #[must_use]
            pub fn number(self) -> &'static str {
                match self { $(Self::$variant => $number),* }
            }

            /// One word, as in conditions and Events.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason),* }
            }

            /// When it is given.
            #[must_use]
            pub fn when(self) -> &'static str {
                match self { $(Self::$variant => $when),* }
            }
        }
    };
}

codes! {
    AlreadyRestarting = "RESTART_001", "AlreadyRestarting", "The workload is being restarted and the policy is Forbid.";
    CancelRejected = "RESTART_002", "CancelRejected", "Cancel came after Preparing; the run goes on.";
    BackupFailed = "RESTART_003", "BackupFailed", "The configuration could not be copied.";
    ValidationFailed = "RESTART_004", "ValidationFailed", "The configuration did not validate.";
    DrainTimeout = "RESTART_005", "DrainTimeout", "In-flight requests outlasted timeoutSeconds and onTimeout is Fail.";
    ReplacementUnhealthy = "RESTART_006", "ReplacementUnhealthy", "No healthy replacement within progressDeadlineSeconds, one whose container exited twice, or one that failed in the soak.";
    TargetInvalid = "RESTART_007", "TargetInvalid", "The workload is missing, paused, replaced, not owned by apps/v1 alone, or otherwise not restartable.";
    SidecarUnavailable = "RESTART_008", "SidecarUnavailable", "A pod has no sidecar that answers and trusts our key.";
    BudgetExhausted = "RESTART_009", "BudgetExhausted", "A PodDisruptionBudget forbade it until the deadline.";
    LastEndpoint = "RESTART_010", "LastEndpoint", "It would take a Service's last ready endpoint.";
    Forbidden = "RESTART_011", "Forbidden", "The requester may not, or force is disabled.";
    HookFailed = "RESTART_012", "HookFailed", "A hook failed.";
    ConfigDrift = "RESTART_013", "ConfigDrift", "reload is false and the configuration differs from last-known-good.";
    RestoreConflict = "RESTART_014", "RestoreConflict", "Somebody else changed what was to be restored or promoted.";
    RolloutConflict = "RESTART_015", "RolloutConflict", "Somebody else's rollout began in mid-run.";
    Internal = "RESTART_016", "Internal", "The controller met something that it does not understand.";
    InvalidSpec = "RESTART_017", "InvalidSpec", "The request is beyond the controller's limits.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_from_one_without_a_gap() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.number(), format!("RESTART_{:03}", index + 1));
        }
    }

    #[test]
    fn a_code_is_written_as_its_number() {
        assert_eq!(serde_json::to_string(&Code::DrainTimeout).unwrap(), "\"RESTART_005\"");
    }
}
