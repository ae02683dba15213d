//! The chart's policies and roles in force, and people who are not the administrator.
//!
//! **Invariant:** what is applied is `deploy/install.yaml` as users apply it; no policy is written or changed here.

use super::{PATIENCE, namespace, requests, until};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Where `deploy/install.yaml` puts the controller.
pub const SYSTEM: &str = "restart-controller-system";
/// The kinds that say who may do what.
const KINDS: [&str; 5] = [
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ClusterRole",
];

/// Applies them and waits until they are in force, which the API server tells nobody.
pub async fn install(admin: &Client) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}});
    apply(admin, None, namespace).await;
    for document in documents() {
        apply(admin, None, document).await;
    }
    in_force(admin).await;
}

/// The documents of those kinds.
pub fn documents() -> Vec<Value> {
    let text = include_str!("../../../deploy/install.yaml");
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|document| KINDS.contains(&document["kind"].as_str().unwrap_or_default())).collect()
}

/// Somebody who may write requests and nothing else is refused, and the name of who asks is stamped.
async fn in_force(admin: &Client) {
    let space = namespace(admin, "policies").await;
    let role = json!({"kind": "Role", "metadata": {"name": "nora"}, "rules": [{"apiGroups": ["restart-controller.dev"], "resources": ["restartrequests"], "verbs": ["*"]}]});
    bind(admin, &space, "nora", role).await;
    let nora = someone("nora").await;
    until("the policies are in force", || async {
        let refused = try_create(&nora, &space, requests::minimal("web")).await;
        let stamped = try_create(admin, &space, requests::minimal("web")).await;
        // Just after a definition was written the answer may also be 503: not served yet.
        let refused = refused.is_err_and(|error| error.to_string().contains("may not restart deployments.apps/web"));
        refused && stamped.is_ok_and(|request| request.data["spec"]["requestedBy"].is_string())
    })
    .await;
}

/// A create that changes nothing and passes all of admission.
pub async fn try_create(client: &Client, namespace: &str, object: Value) -> kube::Result<DynamicObject> {
    let object = serde_json::from_value(object).unwrap();
    requests::raw(client, namespace).create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await
}

/// What the API server says; a refusal for lack of a right or by a policy has the code 403.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => status.message.clone(),
        other => panic!("not refused, but: {other}"),
    }
}

/// A client that the API server takes for this user, with no group but that of everybody.
pub async fn someone(user: &str) -> Client {
    let mut config = Config::infer().await.unwrap();
    config.default_retry = false;
    config.auth_info.impersonate = Some(user.to_owned());
    Client::try_from(config).unwrap()
}

/// Gives the user a role in the namespace: a Role that is made there, or a `ClusterRole` that exists.
pub async fn bind(admin: &Client, namespace: &str, user: &str, mut role: Value) {
    let reference =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"]});
    if role["kind"] == "Role" {
        role["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
        apply(admin, Some(namespace), role).await;
    }
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": user.replace(' ', "-")},
        "roleRef": reference, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    apply(admin, Some(namespace), binding).await;
}

/// Applies any object.
pub async fn apply(admin: &Client, namespace: Option<&str>, object: Value) {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let parameters = PatchParams::apply("restart-controller-tests").force();
    let done = any(admin, namespace, &object).patch(&name, &parameters, &Patch::Apply(&object)).await;
    done.unwrap_or_else(|error| panic!("{} {name}: {error}", object["kind"]));
}

/// Objects of the kind of this one.
pub fn any(client: &Client, namespace: Option<&str>, object: &Value) -> Api<DynamicObject> {
    let (group, version) = object["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap_or(("", "v1"));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    }
}

/// The longest wait, for those who wait for roles to be aggregated and bound.
pub async fn settled(what: &str, mut attempt: impl AsyncFnMut() -> Result<(), String>) {
    let begun = std::time::Instant::now();
    while let Err(error) = attempt().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn every_policy_has_a_binding_that_denies() {
    let all = documents();
    let of = |kind: &str| all.iter().filter(|document| document["kind"] == kind).cloned().collect::<Vec<_>>();
    let name = |document: &Value| document["metadata"]["name"].clone();
    for policy in of("ValidatingAdmissionPolicy") {
        assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{}", name(&policy));
        let bindings = of("ValidatingAdmissionPolicyBinding");
        let binding = bindings.iter().find(|binding| binding["spec"]["policyName"] == name(&policy));
        assert_eq!(binding.unwrap()["spec"]["validationActions"], json!(["Deny"]), "{}", name(&policy));
    }
    for policy in of("MutatingAdmissionPolicy") {
        assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{}", name(&policy));
        let bindings = of("MutatingAdmissionPolicyBinding");
        assert!(bindings.iter().any(|binding| binding["spec"]["policyName"] == name(&policy)), "{}", name(&policy));
    }
}

#[tokio::test]
async fn the_api_server_finds_no_fault_in_the_types_of_any_policy() {
    let (reader, _) = super::clients().await;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(reader);
    for policy in documents().iter().filter(|document| document["kind"] == "ValidatingAdmissionPolicy") {
        let name = policy["metadata"]["name"].as_str().unwrap();
        settled("the controller manager checks types", async || {
            let status = policies.get(name).await.unwrap().status.unwrap_or_default();
            let checked = status.type_checking.ok_or_else(|| format!("{name} has not been checked"))?;
            let warnings = checked.expression_warnings.unwrap_or_default();
            assert!(warnings.is_empty(), "{name}: {warnings:?}");
            Ok(())
        })
        .await;
    }
}
