//! Whose turn it is behind a Service or a budget that several workloads share.
//!
//! **Invariant:** what the budget refuses stays refused; another run can only add a wait.

use crate::api::{RestartRequest, Step};
use crate::controller::context::Context;
use crate::controller::facts::{Facts, PodFacts};
use crate::controller::neighbours::{Shared, Who, who};
use crate::controller::observe::{budget, endpoints, pods};
use crate::controller::workload::Workload;
use crate::machine::Budget;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use std::collections::BTreeSet;
use std::time::Instant;

/// The budget's answer, or who is first; `read` is before all that `facts` holds.
pub fn turn(ctx: &Context, facts: &Facts, step: Step, asked: Budget, read: Instant) -> Budget {
    let (all, who, now) = (&ctx.turns.neighbours, of(&facts.request, facts), Instant::now());
    match (step, asked) {
        (Step::Surging | Step::Reserving, Budget::Allowed(most)) => match all.claim(&who, shared(facts), read, now) {
            Ok(()) => Budget::Allowed(most),
            Err(why) => Budget::Taken(why),
        },
        (Step::Surging | Step::Reserving, Budget::Refused(why)) => {
            all.refused(&who, shared(facts), now).map_or(Budget::Refused(why), Budget::Taken)
        }
        (step, asked) => {
            if step.takes_pods_out() {
                all.hold(&who, shared(facts));
            } else {
                all.release(&who, now);
            }
            asked
        }
    }
}

fn of(request: &RestartRequest, facts: &Facts) -> Who {
    Who { namespace: facts.namespace.clone(), ..who(request) }
}

/// What stands before the workload's pods: those that are there, and one that its template would make, since between an
/// eviction and the replacement there may be none.
fn shared(facts: &Facts) -> BTreeSet<Shared> {
    let template = facts.workload.as_ref().and_then(Workload::template).map(from_template);
    let own = facts.pods.iter().filter(|pod| !pods::foreign(facts, pod));
    own.chain(&template).flat_map(|pod| before(facts, pod)).collect()
}

fn before(facts: &Facts, pod: &PodFacts) -> Vec<Shared> {
    let services = endpoints::services_of(&facts.surroundings, pod).into_iter();
    let services = services.filter_map(|service| service.metadata.name.clone()).map(Shared::Service);
    let budgets = budget::of(facts, pod).into_iter();
    let budgets = budgets.filter_map(|budget| budget.metadata.name.clone()).map(Shared::Budget);
    services.chain(budgets).collect()
}

fn from_template(template: &PodTemplateSpec) -> PodFacts {
    let pod = Pod { metadata: template.metadata.clone().unwrap_or_default(), ..Pod::default() };
    pod.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::facts::Surroundings;
    use serde_json::json;

    #[test]
    fn a_workload_between_two_pods_still_stands_behind_its_service_and_budget() {
        let set = json!({"metadata": {"name": "db", "uid": "set"}, "spec": {"selector": {}, "serviceName": "db",
            "template": {"metadata": {"labels": {"app": "db", "tier": "data"}}}}});
        let workload = Workload::StatefulSet(Box::new(serde_json::from_value(set).unwrap()));
        let request = json!({"apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": "one"},
            "spec": {"targetRef": {"kind": "StatefulSet", "name": "db"}, "reason": "test"}});
        let resolved = json!({"strategy": "Rolling", "maxParallel": 1, "timeoutSeconds": 30, "quietSeconds": 2,
            "minSeconds": 0, "revision": "r", "workloadUid": "set"});
        let around = json!([
            {"metadata": {"name": "data"}, "spec": {"selector": {"tier": "data"}}},
            {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}},
        ]);
        let budget =
            json!([{"metadata": {"name": "of-data"}, "spec": {"selector": {"matchLabels": {"tier": "data"}}}}]);
        let surroundings = Surroundings {
            services: serde_json::from_value(around).unwrap(),
            budgets: serde_json::from_value(budget).unwrap(),
            slices: vec![],
        };
        let (request, resolved) = (serde_json::from_value(request).unwrap(), serde_json::from_value(resolved).unwrap());
        let facts = Facts { surroundings, ..Facts::new("shop", request, Some(workload), resolved) };
        let expected = BTreeSet::from([Shared::Service("data".to_owned()), Shared::Budget("of-data".to_owned())]);
        assert_eq!(shared(&facts), expected);
    }
}
