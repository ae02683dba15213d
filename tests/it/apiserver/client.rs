//! The crate's calls for programs, before a real API server: the flow of `examples/flow.rs`, which is the documentation's.
//!
//! **Invariant:** the flow is the example's own code.

use super::policies::{any, apply};
use super::running::Running;
use super::{clients, namespace};
use kube::api::ListParams;
use restart_controller::api::{Code, Phase};
use restart_controller::client::RestartClient;
use serde_json::json;

#[path = "../../../examples/flow.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod flow;

#[tokio::test]
async fn the_complete_flow_of_the_documentation_restarts_a_workload() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "flow").await;
    let running = Running::start(&space).await;
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 0,
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "localhost/none:1"}]}}}});
    apply(&admin, Some(&space), deployment.clone()).await;
    let (restarts, web) = (RestartClient::new(admin.clone(), &space), "deploy/web".parse().unwrap());
    assert_eq!(restarts.get_restart_status(&web).await.unwrap().status, "idle");

    assert!(flow::flow(admin.clone(), &space, "deployment/web").await.unwrap());
    assert!(!restarts.is_restarting(&web).await.unwrap());

    let history = restarts.get_restart_history(&web, 10).await.unwrap();
    assert_eq!((history.len(), history[0].success, history[0].reason.as_str()), (1, true, "new price table"));
    assert_eq!(history[0].record.result, Phase::Completed);
    let late = restarts.cancel_restart(&web).await.unwrap_err();
    assert_eq!(late.code(), Some(Code::CancelRejected), "{late}");
    let none = flow::flow(admin.clone(), &space, "deployment/nothing").await.unwrap_err().to_string();
    assert!(none.contains("deployment/nothing does not exist in namespace"), "{none}");
    let workloads = any(&admin, Some(&space), &deployment).list(&ListParams::default()).await.unwrap();
    assert_eq!(workloads.items[0].metadata.generation, Some(1), "the workload was written to");
    running.stop().await;
}
