//! Every request ends with a phase, whatever its message is like, and whatever an older definition let through.
//!
//! **Invariant:** each is judged by what stands in its status, never by what the controller logs.

use super::requests::{create, minimal, raw};
use super::running::Running;
use super::told::ended;
use super::{OLD_NAMES, clients, namespace, until};
use crate::apiserver::policies::{any, apply, settled, try_create};
use crate::apiserver::restraint::label;
use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use restart_controller::api::names;
use serde_json::{Value, json};

/// A Deployment without pods; its template may refer to more.
pub async fn deployment(admin: &Client, space: &str, name: &str, more: Value) {
    let labels = json!({ "app": name });
    let mut pod = json!({"containers": [{"name": "app", "image": "app:1"}]});
    pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let template = json!({"metadata": {"labels": labels}, "spec": pod});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    });
    apply(admin, Some(space), deployment).await;
}

#[tokio::test]
async fn a_refusal_longer_than_a_status_may_be_is_recorded_and_those_behind_it_have_their_turn() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "long").await;
    deployment(&admin, &space, "web", json!({})).await;
    // The API server says of each of them what is wrong with it, and the short grace period is warned of besides.
    let labels: Value = (0..20)
        .map(|at| (format!("label-{at}"), json!("not a value ".repeat(9))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "check", "image": "check:1"}]});
    let template = json!({"metadata": {"labels": labels}, "spec": {"template": {"spec": pod}}});
    let mut long = minimal("long");
    long["spec"]["concurrencyPolicy"] = json!("Queue");
    let behind = {
        let mut behind = long.clone();
        behind["metadata"]["name"] = json!("behind");
        behind
    };
    long["spec"]["hooks"] = json!({"pre": [{"name": "check", "job": {"template": template}}]});
    label(&admin, &space, names::JOB_HOOKS).await;
    settled("the namespace permits Jobs", async || {
        try_create(&admin, &space, long.clone()).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    let running = Running::start(&space).await;
    assert_eq!(ended(&admin, &space, long).await, "RESTART_017");
    let status = raw(&admin, &space).get("long").await.unwrap().data["status"].clone();
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    assert!(length(&status["history"][0]["message"]) == 512 && length(&status["message"]) > 512, "{status:#}");
    assert_eq!(ended(&admin, &space, behind).await, "");
    running.stop().await;
}

#[tokio::test]
async fn names_that_an_older_definition_let_through_end_with_the_field_that_is_wrong() {
    let (_, admin) = clients().await;
    let running = Running::start(OLD_NAMES).await;
    let all = raw(&admin, OLD_NAMES).list(&ListParams::default()).await.unwrap().items;
    assert_eq!(all.len(), super::old_names().len());
    for (name, _, field) in super::old_names() {
        until("the request ends", || async {
            raw(&admin, OLD_NAMES).get(&name).await.unwrap().data["status"]["phase"] == "Failed"
        })
        .await;
        let status = raw(&admin, OLD_NAMES).get(&name).await.unwrap().data["status"].clone();
        let message = status["message"].as_str().unwrap();
        assert!(status["code"] == "RESTART_017" && message.starts_with(field), "{name}: {status:#}");
    }
    let metrics = running.get("/metrics").await;
    assert!(!metrics.contains("pass_errors_total{category=\"unsendable\"}"), "{metrics}");
    running.stop().await;
}

#[tokio::test]
async fn a_pod_template_may_name_a_config_map_that_cannot_exist() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "no-name").await;
    let volume = json!({"volumes": [{"name": "conf", "configMap": {"name": "no name/at all"}}]});
    deployment(&admin, &space, "web", volume).await;
    let running = Running::start(&space).await;
    assert_eq!(ended(&admin, &space, minimal("web")).await, "RESTART_003");
    running.stop().await;
}

/// Refuses what the controller writes of how long a run may take, as a policy of somebody else's may.
fn refuses(space: &str) -> [Value; 2] {
    let rule = json!({"apiGroups": ["restart-controller.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["restartrequests/status"]});
    let only = json!({"matchLabels": {"kubernetes.io/metadata.name": space}});
    let api = "admissionregistration.k8s.io/v1";
    let validation = json!({"expression": "!has(object.status.estimatedSeconds)", "message": "no estimates here", "reason": "Invalid"});
    [
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": format!("{space}.example.com")},
            "spec": {"matchConstraints": {"resourceRules": [rule], "namespaceSelector": only}, "validations": [validation]},
        }),
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": format!("{space}.example.com")},
            "spec": {"policyName": format!("{space}.example.com"), "validationActions": ["Deny"]},
        }),
    ]
}

#[tokio::test]
async fn where_the_whole_status_is_refused_the_least_of_it_is_written_and_says_so() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "refusing").await;
    let policy = refuses(&space);
    for object in &policy {
        apply(&admin, None, object.clone()).await;
    }
    create(&admin, &space, minimal("probe")).await.unwrap();
    let probe = Patch::Merge(json!({"status": {"estimatedSeconds": 1}}));
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    until("the policy is in force", || async {
        let refused = raw(&admin, &space).patch_status("probe", &dry, &probe).await;
        refused.is_err_and(|error| matches!(error, kube::Error::Api(status) if status.code == 422))
    })
    .await;
    let running = Running::start(&space).await;
    assert_eq!(ended(&admin, &space, minimal("web")).await, "RESTART_007");
    let status = raw(&admin, &space).get("web").await.unwrap().data["status"].clone();
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("the API server refused the whole status") && message.contains("no estimates here"),
        "{status:#}"
    );
    let ready = status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").unwrap();
    assert_eq!(
        (&status["phase"], &status["step"], &ready["status"]),
        (&json!("Failed"), &json!("Finished"), &json!("False"))
    );
    running.stop().await;
    for object in policy {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        any(&admin, None, &object).delete(&name, &DeleteParams::default()).await.unwrap();
    }
}
