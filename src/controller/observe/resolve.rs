//! What absent fields of the spec become, from the controller's configuration and the workload.
//!
//! **Invariant:** pure; once recorded in the status the recorded values rule.

use crate::api::bounds::PARALLEL;
use crate::api::parallel::of_replicas;
use crate::api::{Resolved, RestartRequestSpec, StrategyType, TargetKind};
use crate::controller::config::Restart;
use crate::controller::facts::Surroundings;
use crate::controller::observe::endpoints;
use crate::controller::workload::Workload;
use std::collections::BTreeMap;

/// CoreDNS's default TTL: clients of a headless Service hold a pod's address that long (notes: failure modes 2).
const HEADLESS_SECONDS: i32 = 30;

/// The values that the run will have.
#[must_use]
pub fn resolve(
    spec: &RestartRequestSpec,
    limits: &Restart,
    workload: Option<&Workload>,
    around: &Surroundings,
) -> Resolved {
    let quiet = spec.drain.quiet_seconds.unwrap_or(limits.quiet_seconds);
    let headless = workload.is_some_and(|workload| known_by_headless(workload, around));
    let shortest = if headless { HEADLESS_SECONDS } else { 0 };
    Resolved {
        strategy: strategy(spec),
        max_parallel: workload.map_or(1, |workload| max_parallel(spec, workload)),
        timeout_seconds: spec.timeout_seconds.unwrap_or(limits.default_timeout_seconds),
        quiet_seconds: quiet,
        min_seconds: spec.drain.min_seconds.unwrap_or(0).max(shortest),
        revision: workload.and_then(Workload::revision).unwrap_or_default().to_owned(),
        workload_uid: workload.map(Workload::uid).unwrap_or_default().to_owned(),
    }
}

/// Only a `ReplicaSet` starts a replacement for a pod that it has lost to somebody else.
fn strategy(spec: &RestartRequestSpec) -> StrategyType {
    match spec.target_ref.kind {
        TargetKind::Deployment => {
            spec.strategy.as_ref().and_then(|strategy| strategy.strategy_type).unwrap_or(StrategyType::Surge)
        }
        TargetKind::StatefulSet | TargetKind::DaemonSet => StrategyType::Rolling,
    }
}

/// What is asked for, else a Deployment's `maxSurge`, else one; never more than a status records.
fn max_parallel(spec: &RestartRequestSpec, workload: &Workload) -> i32 {
    let asked = spec.strategy.as_ref().and_then(|strategy| strategy.max_parallel.as_ref());
    let surge = || workload.deployment()?.spec.as_ref()?.strategy.as_ref()?.rolling_update.as_ref()?.max_surge.as_ref();
    let replicas = i32::try_from(workload.replicas()).unwrap_or(i32::MAX);
    asked.or_else(surge).map_or(1, |value| of_replicas(value, replicas)).clamp(1, PARALLEL)
}

/// Clients may know its pods by the names of a headless Service: one that selects them, or the StatefulSet's own.
fn known_by_headless(workload: &Workload, around: &Surroundings) -> bool {
    let empty = BTreeMap::new();
    let metadata = workload.template().and_then(|template| template.metadata.as_ref());
    let labels = metadata.and_then(|metadata| metadata.labels.as_ref()).unwrap_or(&empty);
    let governing = workload.governing_service();
    around.services.iter().filter(|service| endpoints::headless(service)).any(|service| {
        endpoints::selects(service, labels) || governing.is_some() && service.metadata.name.as_deref() == governing
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn stateful_set(replicas: i32) -> Workload {
        let set = json!({
            "metadata": {"name": "db", "uid": "set"},
            "spec": {"replicas": replicas, "selector": {}, "serviceName": "db-pods",
                "template": {"metadata": {"labels": {"app": "db"}}}},
            "status": {"replicas": replicas, "updateRevision": "db-1"},
        });
        Workload::StatefulSet(Box::new(serde_json::from_value(set).unwrap()))
    }

    fn asked(kind: &str, strategy: &Value) -> RestartRequestSpec {
        let spec = json!({"targetRef": {"kind": kind, "name": "db"}, "reason": "test", "strategy": strategy});
        serde_json::from_value(spec).unwrap()
    }

    fn services(all: &[(&str, &str, &str)]) -> Surroundings {
        let service = |(name, ip, app): &(&str, &str, &str)| {
            serde_json::from_value(
                json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "selector": {"app": app}}}),
            )
            .unwrap()
        };
        Surroundings { services: all.iter().map(service).collect(), ..Surroundings::default() }
    }

    #[test]
    fn only_deployments_surge_and_the_others_go_one_by_one() {
        let (none, limits) = (json!(null), Restart::default());
        let (set, nothing) = (stateful_set(4), Surroundings::default());
        let resolved = resolve(&asked("StatefulSet", &none), &limits, Some(&set), &nothing);
        assert_eq!(
            (resolved.strategy, resolved.max_parallel, resolved.revision.as_str()),
            (StrategyType::Rolling, 1, "db-1")
        );
        for kind in ["StatefulSet", "DaemonSet"] {
            assert_eq!(strategy(&asked(kind, &json!({"type": "Surge"}))), StrategyType::Rolling, "{kind}");
        }
        assert_eq!(strategy(&asked("Deployment", &none)), StrategyType::Surge);
        assert_eq!(strategy(&asked("Deployment", &json!({"type": "Rolling"}))), StrategyType::Rolling);
        let half = asked("StatefulSet", &json!({"maxParallel": "50%"}));
        assert_eq!(max_parallel(&half, &set), 2);
        assert_eq!(max_parallel(&half, &stateful_set(9000)), PARALLEL, "a status records no larger batch");
    }

    #[test]
    fn a_headless_service_that_clients_may_know_the_pods_by_makes_drains_long() {
        let set = stateful_set(3);
        assert!(known_by_headless(&set, &services(&[("any", "None", "db")])));
        assert!(known_by_headless(&set, &services(&[("db-pods", "None", "other")])), "the governing one");
        assert!(!known_by_headless(&set, &services(&[("any", "10.0.0.1", "db"), ("db-pods", "10.0.0.2", "db")])));
        assert!(!known_by_headless(&set, &services(&[("any", "None", "other")])));
    }
}
