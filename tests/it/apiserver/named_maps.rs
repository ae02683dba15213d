//! What a request names among ConfigMaps, and what becomes of it when the restart fails.
//!
//! **Invariant:** the workload has no pods, so that a restart gets as far as its last hook without a node.

use super::policies::{any, apply};
use super::recorded::deployment;
use super::requests::minimal;
use super::running::Running;
use super::told::ended;
use super::{clients, namespace};
use kube::Client;
use serde_json::{Value, json};

async fn write(admin: &Client, space: &str, text: &str) {
    apply(admin, Some(space), map(text)).await;
}

fn map(text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"most": text}})
}

async fn content(admin: &Client, space: &str) -> Value {
    any(admin, Some(space), &map("")).get("limits").await.unwrap().data["data"]["most"].clone()
}

/// A restart that names the ConfigMap succeeds, somebody edits that, and another restart that names it fails at its last hook.
async fn failed_after_an_edit(volumes: Value) -> (Value, Value) {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "named").await;
    write(&admin, &space, "loose").await;
    deployment(&admin, &space, "web", volumes).await;
    let running = Running::start(&space).await;
    let naming = |name: &str, more: Value| {
        let mut request = minimal(name);
        request["spec"]["config"] = json!({"configMaps": [{"name": "limits"}]});
        request["spec"]["verify"] = json!({"soakSeconds": 0});
        request["spec"]["hooks"] = more;
        request
    };
    assert_eq!(ended(&admin, &space, naming("first", json!({}))).await, "");
    write(&admin, &space, "tight").await;
    let hook = json!({"post": [{"name": "fails", "http": {"url": "http://nobody.invalid/"}, "timeoutSeconds": 1}]});
    assert_eq!(ended(&admin, &space, naming("second", hook)).await, "RESTART_012");
    let second = super::requests::raw(&admin, &space).get("second").await.unwrap().data["status"].clone();
    running.stop().await;
    (content(&admin, &space).await, second)
}

#[tokio::test]
async fn a_config_map_that_the_pods_do_not_use_is_not_written_over_because_a_request_names_it() {
    let (content, status) = failed_after_an_edit(json!({})).await;
    assert_eq!(content, "tight", "{status:#}");
}

#[tokio::test]
async fn one_that_they_use_goes_back_to_what_was_good() {
    let volumes = json!({"volumes": [{"name": "limits", "configMap": {"name": "limits"}}]});
    let (content, status) = failed_after_an_edit(volumes).await;
    assert_eq!(content, "loose", "{status:#}");
}
