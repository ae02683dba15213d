//! The controller without the policies that it is told to require, and with those that the chart names.
//!
//! **Invariant:** the policies of the chart, which other tests rely on, are not taken away; one of its own is.

use super::policies::{any, apply};
use super::requests::{create, minimal, raw};
use super::running::Running;
use super::{PATIENCE, clients, namespace, until};
use kube::api::{DeleteParams, DynamicObject};
use kube::runtime::wait::await_condition;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// A policy that refuses nobody, and its binding.
fn policy(name: &str) -> [Value; 2] {
    let api = "admissionregistration.k8s.io/v1";
    let rule = json!({"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nones"]});
    [
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "true"}]},
        }),
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }),
    ]
}

/// A Deployment without pods: a restart of it is over at once.
async fn deployment(admin: &kube::Client, space: &str) {
    let labels = json!({"app": "web"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    });
    apply(admin, Some(space), deployment).await;
}

#[tokio::test]
async fn without_a_policy_that_it_requires_it_is_not_ready_and_requests_wait_until_it_is_there() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "unprotected").await;
    let name = format!("{space}.example.com");
    let [definition, binding] = policy(&name);
    apply(&admin, None, definition.clone()).await;
    deployment(&admin, &space).await;
    let running =
        Running::start_with(&space, &["--require-admission", &format!("ValidatingAdmissionPolicy/{name}")]).await;
    let missing = format!("ValidatingAdmissionPolicyBinding {name} is missing");
    until("readiness names what is missing", || async {
        let answer = running.get("/readyz").await;
        answer.starts_with("HTTP/1.1 503") && answer.contains(&missing)
    })
    .await;
    create(&admin, &space, minimal("web")).await.unwrap();
    let phase = |request: Option<&DynamicObject>, phase: &str| {
        request.is_some_and(|request| request.data["status"]["phase"] == phase)
    };
    let pending = await_condition(raw(&admin, &space), "web", |request: Option<&DynamicObject>| {
        let message = request.and_then(|request| request.data["status"]["message"].as_str()).unwrap_or_default();
        phase(request, "Pending") && message.contains(&missing) && message.contains("admission.require")
    });
    tokio::time::timeout(PATIENCE, pending).await.expect("the request says what is missing").unwrap();
    apply(&admin, None, binding.clone()).await;
    let completed =
        await_condition(raw(&admin, &space), "web", |request: Option<&DynamicObject>| phase(request, "Completed"));
    tokio::time::timeout(PATIENCE, completed).await.expect("the request goes on").unwrap();
    until("it is ready", || async { running.get("/readyz").await.starts_with("HTTP/1.1 200") }).await;
    for object in [binding, definition] {
        any(&admin, None, &object).delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

/// What `deploy/install.yaml` gives to `--require-admission`.
fn required() -> String {
    let text = include_str!("../../../deploy/install.yaml");
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
    let deployment = documents.into_iter().find(|document| document["kind"] == "Deployment").unwrap();
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments: Vec<&str> =
        arguments.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();
    let at = arguments.iter().position(|argument| *argument == "--require-admission").unwrap();
    arguments[at + 1].to_owned()
}

#[tokio::test]
async fn every_policy_that_the_chart_requires_is_one_that_it_installs() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "protected").await;
    let running = Running::start_with(&space, &["--require-admission", &required()]).await;
    until("all are found", || async { running.get("/readyz").await.starts_with("HTTP/1.1 200") }).await;
    running.stop().await;
}
