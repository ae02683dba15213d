//! What absent fields of the spec become, from the controller's configuration and the workload.
//!
//! **Invariant:** pure; once recorded in the status the recorded values rule.

use crate::api::{Resolved, RestartRequestSpec, StrategyType, TargetKind};
use crate::controller::config::Restart;
use crate::controller::facts::{Surroundings, Workload, template_hash};
use crate::controller::observe::endpoints;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

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
    let deployment = workload.map(|workload| &workload.deployment);
    let newest = workload.and_then(|workload| workload.newest.as_ref());
    let quiet = spec.drain.quiet_seconds.unwrap_or(limits.quiet_seconds);
    let headless = deployment.is_some_and(|deployment| selected_by_headless(deployment, around));
    let shortest = if headless { HEADLESS_SECONDS } else { 0 };
    Resolved {
        strategy: strategy(spec),
        max_parallel: deployment.map_or(1, |deployment| max_parallel(spec, deployment)),
        timeout_seconds: spec.timeout_seconds.unwrap_or(limits.default_timeout_seconds),
        quiet_seconds: quiet,
        min_seconds: spec.drain.min_seconds.unwrap_or(0).max(shortest),
        pod_template_hash: newest.and_then(template_hash).unwrap_or_default().to_owned(),
        workload_uid: deployment.and_then(|deployment| deployment.metadata.uid.clone()).unwrap_or_default(),
    }
}

fn strategy(spec: &RestartRequestSpec) -> StrategyType {
    let asked = spec.strategy.as_ref().and_then(|strategy| strategy.strategy_type);
    asked.unwrap_or(match spec.target_ref.kind {
        TargetKind::Deployment => StrategyType::Surge,
        TargetKind::StatefulSet | TargetKind::DaemonSet => StrategyType::Rolling,
    })
}

fn max_parallel(spec: &RestartRequestSpec, deployment: &Deployment) -> i32 {
    let asked = spec.strategy.as_ref().and_then(|strategy| strategy.max_parallel.as_ref());
    let rolling = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref())
        .and_then(|strategy| strategy.rolling_update.as_ref());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    asked.or(surge).map_or(1, |value| count(value, replicas)).max(1)
}

/// A percentage of the replicas, rounded up as Kubernetes rounds maxSurge.
fn count(value: &IntOrString, replicas: i32) -> i32 {
    match value {
        IntOrString::Int(count) => *count,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            i32::try_from((percent * i64::from(replicas) + 99) / 100).unwrap_or(i32::MAX)
        }
    }
}

fn selected_by_headless(deployment: &Deployment, around: &Surroundings) -> bool {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let Some(labels) = template.and_then(|metadata| metadata.labels.as_ref()) else { return false };
    let headless = |ip: Option<&String>| ip.is_some_and(|ip| ip == "None");
    around.services.iter().any(|service| {
        endpoints::selects(service, labels) && headless(service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_ref()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_rounds_up_and_is_at_least_one() {
        for (text, replicas, expected) in [("25%", 3, 1), ("25%", 5, 2), ("100%", 3, 3), ("1%", 200, 2)] {
            assert_eq!(count(&IntOrString::String(text.to_owned()), replicas), expected, "{text} of {replicas}");
        }
    }
}
