//! The controller under exactly the rights of its list, as `watchNamespaces` gives them: a Role where it restarts and one
//! where it lives. (The `ClusterRole` is what `tests/e2e` runs under.)
//!
//! **Invariant:** its account is bound to nothing else.

use super::requests::{create, minimal, raw};
use super::running::Running;
use super::{clients, namespace, until};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Client;
use kube::api::{Api, PostParams};
use restart_controller::controller::rights::{Names, Place, RIGHTS};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The rules of one place.
fn rules(place: Place) -> Value {
    let rule = |right: &restart_controller::controller::rights::Right| {
        let mut rule = json!({"apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs});
        if let Names::One(name) = right.names {
            rule["resourceNames"] = json!([name]);
        }
        rule
    };
    RIGHTS.iter().filter(|right| right.place == place).map(rule).collect()
}

/// A Role of these rules for the default service account of the namespace `home`.
pub async fn allow(client: &Client, namespace: &str, name: &str, rules: Value, home: &str) {
    let api = "rbac.authorization.k8s.io";
    let role = json!({"metadata": {"name": name}, "rules": rules});
    let binding = json!({"metadata": {"name": name}, "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": home}]});
    let params = PostParams::default();
    let granted: Api<Role> = Api::namespaced(client.clone(), namespace);
    granted.create(&params, &serde_json::from_value(role).unwrap()).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    bindings.create(&params, &serde_json::from_value(binding).unwrap()).await.unwrap();
}

/// A kubeconfig like ours, for the default service account of the namespace.
pub async fn kubeconfig(client: &Client, namespace: &str, directory: &Path) -> PathBuf {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let token =
        accounts.create_token_request("default", &PostParams::default(), &TokenRequest::default()).await.unwrap();
    let ours = std::fs::read_to_string(std::env::var_os("KUBECONFIG").unwrap()).unwrap();
    let mut config: serde_yaml::Value = serde_yaml::from_str(&ours).unwrap();
    config["users"][0]["user"] = serde_yaml::to_value(json!({"token": token.status.unwrap().token})).unwrap();
    let file = directory.join("kubeconfig");
    std::fs::write(&file, serde_yaml::to_string(&config).unwrap()).unwrap();
    file
}

#[tokio::test]
async fn with_roles_alone_it_makes_its_key_publishes_it_and_takes_up_requests() {
    let (_, client) = clients().await;
    let (own, shop) = (namespace(&client, "own").await, namespace(&client, "shop").await);
    allow(&client, &own, "own", rules(Place::Own), &own).await;
    allow(&client, &shop, "restarts", rules(Place::Workloads), &own).await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&client, &own, directory.path()).await;
    let mut running = Running::spawn_in(&own, &shop, Some(&kubeconfig));
    running.line(|line| line["message"] == "ready").await;
    Api::<ConfigMap>::namespaced(client.clone(), &own).get("restart-controller-keys").await.unwrap();
    create(&client, &shop, minimal("web")).await.unwrap();
    until("the request is handled", || async {
        raw(&client, &shop).get("web").await.unwrap().data["status"]["phase"] == "Failed"
    })
    .await;
    let (_, log) = running.stop().await;
    assert!(!log.to_lowercase().contains("forbidden"), "{log}");
}

/// What it may not read is said in the status, and the run ends by its deadline; before, each pass failed and the request had
/// no phase for ever.
#[tokio::test]
async fn without_the_right_to_see_services_a_request_ends_by_its_deadline_and_says_why() {
    let (_, client) = clients().await;
    let (own, shop) = (namespace(&client, "own").await, namespace(&client, "blind").await);
    allow(&client, &own, "own", rules(Place::Own), &own).await;
    let Value::Array(mut fewer) = rules(Place::Workloads) else { panic!("a list of rules") };
    fewer.retain(|rule| rule["resources"] != json!(["services"]));
    allow(&client, &shop, "restarts", Value::Array(fewer), &own).await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&client, &own, directory.path()).await;
    let mut running = Running::spawn_in(&own, &shop, Some(&kubeconfig));
    running.line(|line| line["message"] == "ready").await;
    let mut request = minimal("web");
    request["spec"]["progressDeadlineSeconds"] = json!(3);
    create(&client, &shop, request).await.unwrap();
    until("the request has ended", || async {
        let status = raw(&client, &shop).get("web").await.unwrap().data["status"].clone();
        let told = status["message"].as_str().is_some_and(|message| message.contains("services is forbidden"));
        status["phase"] == "Failed" && status["code"] == "RESTART_016" && told
    })
    .await;
    running.stop().await;
}
