//! What stands around the workload: Services, slices, budgets, and what would get in the way of detaching a pod.
//!
//! **Invariant:** reads only, and only in the request's namespace (I13).

use crate::api::{RestartRequest, Step, StrategyType, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{Facts, PodFacts, Surroundings};
use crate::controller::observe::{pods, read};
use crate::controller::slim;
use crate::controller::workload::Workload;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ListParams};
use kube::core::{NamespaceResourceScope, Selector, SelectorExt as _};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Longer than most pods take to start, and no longer than a lost node takes to be noticed as such.
const STARTING: SignedDuration = SignedDuration::from_secs(10);

async fn all<K>(ctx: &Context, namespace: &str, what: &str) -> Result<Vec<K>, Error>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(ctx.reader.clone(), namespace);
    slim::all(&api, ListParams::default(), &format!("list {what} in {namespace}")).await
}

/// Services, slices and budgets.
pub async fn read(ctx: &Context, namespace: &str) -> Result<Surroundings, Error> {
    let (services, slices, budgets) = futures::try_join!(
        all::<Service>(ctx, namespace, "Services"),
        all::<EndpointSlice>(ctx, namespace, "EndpointSlices"),
        all::<PodDisruptionBudget>(ctx, namespace, "PodDisruptionBudgets"),
    )?;
    Ok(Surroundings { services, slices, budgets })
}

/// Names of the nodes that somebody has cordoned, most likely to drain them; looked for once there is a list of pods to
/// choose from. Who may not list nodes knows of none.
pub async fn leaving_nodes(ctx: &Context, request: &RestartRequest) -> Result<Vec<String>, Error> {
    let status = request.status.as_ref();
    if !status.is_some_and(|status| status.plan.is_some() && status.step != Some(Step::Finished)) {
        return Ok(vec![]);
    }
    let api: Api<Node> = Api::all(ctx.reader.clone());
    let unschedulable = ListParams::default().fields("spec.unschedulable=true");
    match call("list nodes that take no new pods", api.list_metadata(&unschedulable)).await {
        Ok(nodes) => Ok(nodes.items.into_iter().filter_map(|node| node.metadata.name).collect()),
        Err(error) if error.is_refusal() => {
            tracing::debug!(%error, "no node is known to be leaving");
            Ok(vec![])
        }
        Err(error) => Err(error),
    }
}

/// Names of nodes that are not Ready, of those that the workload's pods which are not Ready are on: a healthy workload
/// costs no read. Who may not read nodes knows of none.
pub async fn lost_nodes(ctx: &Context, facts: &Facts) -> Result<Vec<String>, Error> {
    let known = |pod: &&PodFacts| {
        let before = read::before_the_run(&facts.request);
        before
            || facts.plan.pods().iter().any(|planned| planned.uid == pod.uid())
            || !is_new(&pod.pod, Timestamp::now())
    };
    let ill = facts.pods.iter().filter(|pod| pod.terminating() || !pods::is_ready(&pod.pod)).filter(known);
    let nodes: BTreeSet<&str> = ill.filter_map(|pod| pod.pod.spec.as_ref()?.node_name.as_deref()).collect();
    let asked = nodes.into_iter().map(async |node| Ok::<_, Error>(is_lost(ctx, node).await?.then(|| node.to_owned())));
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

async fn is_lost(ctx: &Context, name: &str) -> Result<bool, Error> {
    let api: Api<Node> = Api::all(ctx.reader.clone());
    match call(format!("read Node {name}"), api.get_opt(name)).await {
        Ok(node) => Ok(node.is_none_or(|node| !is_node_ready(&node))),
        Err(error) if error.is_refusal() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A pod that was made a moment ago and is starting is on a node that took it a moment ago: no reason to ask for the node. If
/// its containers are Ready and it is not, the node's controller has marked it.
fn is_new(pod: &Pod, now: Timestamp) -> bool {
    let age = pod.metadata.creation_timestamp.as_ref().map(|made| now.duration_since(made.0));
    let marked = pods::are_containers_ready(pod) && !pods::is_ready(pod);
    age.is_some_and(|age| age < STARTING) && !marked
}

/// Its condition Ready; Unknown means that its kubelet is not heard.
fn is_node_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What speaks against detaching, looked for before the run begins.
pub async fn obstacles(ctx: &Context, facts: &mut Facts) -> Result<(), Error> {
    if facts.resolved.strategy != StrategyType::Surge || facts.workload.is_none() {
        return Ok(());
    }
    let policies: Vec<NetworkPolicy> = all(ctx, &facts.namespace, "NetworkPolicies").await?;
    facts.hash_selectors = hash_selectors(facts, &policies);
    let daemons: Vec<DaemonSet> = all(ctx, &facts.namespace, "DaemonSets").await?;
    let sets: Vec<ReplicaSet> = all(ctx, &facts.namespace, "ReplicaSets").await?;
    facts.adopters = adopters(facts, &daemons, &sets);
    facts.exclusive_claims = exclusive_claims(ctx, facts).await?;
    Ok(())
}

fn template_labels(facts: &Facts) -> BTreeMap<String, String> {
    let template = facts.workload.as_ref().and_then(Workload::template);
    template
        .and_then(|template| template.metadata.as_ref())
        .and_then(|metadata| metadata.labels.clone())
        .unwrap_or_default()
}

fn by_hash(selector: &LabelSelector) -> bool {
    let labels = selector.match_labels.iter().flatten().any(|(key, _)| key == names::POD_TEMPLATE_HASH);
    labels || selector.match_expressions.iter().flatten().any(|expression| expression.key == names::POD_TEMPLATE_HASH)
}

fn named(kind: &str, metadata: &ObjectMeta) -> String {
    format!("{kind} {}", metadata.name.as_deref().unwrap_or_default())
}

fn hash_selectors(facts: &Facts, policies: &[NetworkPolicy]) -> Vec<String> {
    let around = &facts.surroundings;
    let services = around.services.iter().filter(|service| {
        service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref())
            .is_some_and(|selector| selector.contains_key(names::POD_TEMPLATE_HASH))
    });
    let budgets = around
        .budgets
        .iter()
        .filter(|budget| budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(by_hash));
    let policies = policies
        .iter()
        .filter(|policy| policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref()).is_some_and(by_hash));
    services
        .map(|service| named("Service", &service.metadata))
        .chain(budgets.map(|budget| named("PodDisruptionBudget", &budget.metadata)))
        .chain(policies.map(|policy| named("NetworkPolicy", &policy.metadata)))
        .collect()
}

/// `DaemonSets` and bare `ReplicaSets` adopt any orphan that they select; a Deployment's own carry the hash.
fn adopters(facts: &Facts, daemons: &[DaemonSet], sets: &[ReplicaSet]) -> Vec<String> {
    let labels = template_labels(facts);
    let selects =
        |selector: LabelSelector| Selector::try_from(selector).is_ok_and(|selector| selector.matches(&labels));
    let daemons =
        daemons.iter().filter(|daemon| daemon.spec.as_ref().is_some_and(|spec| selects(spec.selector.clone())));
    let sets = sets.iter().filter(|set| set.spec.as_ref().is_some_and(|spec| selects(spec.selector.clone())));
    daemons
        .map(|daemon| named("DaemonSet", &daemon.metadata))
        .chain(sets.map(|set| named("ReplicaSet", &set.metadata)))
        .collect()
}

async fn exclusive_claims(ctx: &Context, facts: &Facts) -> Result<Vec<String>, Error> {
    let template = facts.workload.as_ref().and_then(Workload::pod_spec);
    let used: Vec<&str> = template
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
        .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
        .collect();
    if used.is_empty() {
        return Ok(vec![]);
    }
    let claims: Vec<PersistentVolumeClaim> = all(ctx, &facts.namespace, "PersistentVolumeClaims").await?;
    let exclusive = |claim: &&PersistentVolumeClaim| {
        let modes: Vec<&String> = claim.spec.iter().flat_map(|spec| spec.access_modes.iter().flatten()).collect();
        modes.iter().all(|mode| *mode == "ReadWriteOnce" || *mode == "ReadWriteOncePod")
    };
    let names = claims.iter().filter(exclusive).filter_map(|claim| claim.metadata.name.clone());
    Ok(names.filter(|name| used.contains(&name.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_node_of_a_pod_that_is_merely_starting_is_not_asked_for() {
        let now = Timestamp::from_second(1_000).unwrap();
        let pod = |age: i64, containers: &str| -> Pod {
            let made = Timestamp::from_second(1_000 - age).unwrap();
            let conditions =
                json!([{"type": "ContainersReady", "status": containers}, {"type": "Ready", "status": "False"}]);
            serde_json::from_value(
                json!({"metadata": {"creationTimestamp": made}, "status": {"conditions": conditions}}),
            )
            .unwrap()
        };
        assert!(is_new(&pod(2, "False"), now));
        assert!(!is_new(&pod(2, "True"), now), "the node's controller has marked it");
        assert!(!is_new(&pod(10, "False"), now), "its node may have been lost before it started");
        assert!(!is_new(&Pod::default(), now));
    }
}
