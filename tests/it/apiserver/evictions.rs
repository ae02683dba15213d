//! Evictions with preconditions and against a budget (DESIGN 10).

use super::{PATIENCE, clients, namespace};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use restart_controller::controller::context::{EVICTION_LIMIT, timed};
use restart_controller::controller::error::Error;
use restart_controller::controller::objects::eviction;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A pod that counts as running and Ready although no node runs it.
async fn ready_pod(client: &Client, namespace: &str) -> Pod {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = json!({"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "localhost/none:1"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    pods.patch_status("web", &PatchParams::default(), &Patch::Merge(status)).await.unwrap()
}

async fn evict(
    client: &Client,
    namespace: &str,
    uid: &str,
    version: Option<&str>,
    dry_run: bool,
) -> Result<Value, Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let (parameters, body) = (PostParams::default(), eviction("web", uid, version, dry_run));
    let call = pods.create_subresource("eviction", "web", &parameters, &body);
    timed(format!("evict pod {namespace}/web"), EVICTION_LIMIT, call).await
}

fn identity(pod: &Pod) -> (String, String) {
    (pod.metadata.uid.clone().unwrap(), pod.metadata.resource_version.clone().unwrap())
}

#[tokio::test]
async fn an_eviction_of_another_pod_of_that_name_or_of_an_older_state_answers_409() {
    let (reader, writer) = clients().await;
    let namespace = namespace(&writer, "evict").await;
    let pod = ready_pod(&writer, &namespace).await;
    let (uid, version) = identity(&pod);
    let wrong = "00000000-0000-0000-0000-000000000000";
    assert!(evict(&writer, &namespace, wrong, None, false).await.is_err_and(|error| error.is_conflict()));
    let pods: Api<Pod> = Api::namespaced(reader, &namespace);
    let touch = json!({"metadata": {"annotations": {"touched": "yes"}}});
    let touched = pods.patch("web", &PatchParams::default(), &Patch::Merge(touch)).await.unwrap();
    assert!(evict(&writer, &namespace, &uid, Some(&version), false).await.is_err_and(|error| error.is_conflict()));
    assert!(pods.get("web").await.unwrap().metadata.deletion_timestamp.is_none());
    let (_, version) = identity(&touched);
    evict(&writer, &namespace, &uid, Some(&version), true).await.unwrap();
    assert!(pods.get("web").await.unwrap().metadata.deletion_timestamp.is_none(), "a dry run does nothing");
    evict(&writer, &namespace, &uid, Some(&version), false).await.unwrap();
    let gone = pods.get_opt("web").await.unwrap().is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
    assert!(gone);
}

#[tokio::test]
async fn a_budget_that_forbids_is_told_within_a_second_and_told_from_flow_control() {
    let (reader, writer) = clients().await;
    let namespace = namespace(&writer, "budget").await;
    let (uid, _) = identity(&ready_pod(&writer, &namespace).await);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(writer.clone(), &namespace);
    let budget =
        json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    budgets.create(&PostParams::default(), &serde_json::from_value(budget).unwrap()).await.unwrap();
    let counted = |budget: Option<&PodDisruptionBudget>| {
        budget.and_then(|budget| budget.status.as_ref()).is_some_and(|status| status.current_healthy == 1)
    };
    let watched = Api::namespaced(reader, &namespace);
    tokio::time::timeout(PATIENCE, await_condition(watched, "web", counted)).await.unwrap().unwrap();
    let begun = Instant::now();
    let error = evict(&writer, &namespace, &uid, None, false).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}: the client repeats refused calls", begun.elapsed());
    assert!(error.is_budget(), "{error}");
    assert!(error.server_message().is_some_and(|message| message.contains("disruption budget")), "{error}");
}
