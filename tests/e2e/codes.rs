//! Every code of the table, and the scenario that provokes it on a real cluster.
//!
//! **Invariant:** a code without a scenario, or with one that does not exist, fails before anything runs.

use crate::scenario::Scenario;
use restart_controller::api::Code;

/// The sentence of the scenario that provokes it.
fn provoked_by(code: Code) -> &'static str {
    match code {
        Code::AlreadyRestarting => "two requests at once: the second is refused",
        Code::CancelRejected => "cancel comes too late: it is rejected and the run completes",
        Code::BackupFailed => "a copy that a quota refuses stops the restart",
        Code::ValidationFailed => "a candidate that does not parse is refused",
        Code::DrainTimeout => "requests that outlast the timeout: Fail gives everything back",
        Code::ReplacementUnhealthy => "a new pod that loses readiness in the soak fails the run and is put back",
        Code::TargetInvalid => "an unknown target is refused",
        Code::SidecarUnavailable => "a pod without a sidecar is refused, and restarted with force",
        Code::BudgetExhausted => "three replicas under every budget: completed or refused as it must be",
        Code::LastEndpoint => "one replica under every budget: Surge completes, Rolling is refused",
        Code::Forbidden => "the controller's configuration changed and broken in mid-run: the run keeps its own",
        Code::HookFailed => "a hook that fails before the restart: nothing is touched, or it is ignored",
        Code::ConfigDrift => "reload: false is refused on drift and completes without",
        Code::RestoreConflict => "a ConfigMap edited just before its promotion is not written over",
        Code::RolloutConflict => "somebody's own rollout in mid-run is left alone",
        Code::Internal => "the lock edited in mid-run: the run stops where it is and says so",
        Code::InvalidSpec => "a timeout beyond the controller's limit is refused",
    }
}

/// Codes whose scenario does not exist.
pub fn unprovoked<'a>(scenarios: impl Iterator<Item = &'a Scenario>) -> Vec<&'static str> {
    let sentences: Vec<&str> = scenarios.map(|scenario| scenario.sentence).collect();
    let missing = Code::ALL.iter().filter(|code| !sentences.contains(&provoked_by(**code)));
    missing.map(|code| code.number()).collect()
}
