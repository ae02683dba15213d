//! What the controller's own account may not do, even with every right that RBAC can give: the policies alone refuse.
//!
//! **Invariant:** each refusal is met by an account that is bound to `cluster-admin` here, so that no refusal is RBAC's.

use super::policies::{SYSTEM, any, apply, said, settled, someone};
use super::{clients, namespace};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// The controller's account with every right.
async fn controller(admin: &Client) -> Client {
    let user = format!("system:serviceaccount:{SYSTEM}:restart-controller");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "all-powerful"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    apply(admin, None, binding).await;
    let client = someone(&user).await;
    settled("the account may do everything", async || {
        let nodes: Api<Node> = Api::all(client.clone());
        nodes.list(&ListParams::default()).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    client
}

/// A pod whose controller exists, or the garbage collector would take it.
async fn pod(admin: &Client, space: &str) {
    let owner = any(admin, Some(space), &map("owner", json!({})));
    apply(admin, Some(space), map("owner", json!({}))).await;
    let uid = owner.get("owner").await.unwrap().metadata.uid;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "labels": {"app": "web", "pod-template-hash": "abc"}, "annotations": {"team": "shop"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "controller": true}],
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    });
    apply(admin, Some(space), pod).await;
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "2", "controller": true})
}

#[tokio::test]
async fn of_a_pod_it_changes_what_a_restart_needs_and_nothing_else() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "pods").await;
    pod(&admin, &space).await;
    let controller = controller(&admin).await;
    let pods: Api<Pod> = Api::namespaced(controller, &space);
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let cost = "controller.kubernetes.io/pod-deletion-cost";
    for allowed in [
        json!({"metadata": {"labels": {"pod-template-hash": null}, "annotations": {"restart-controller.dev/detached-by": "uid"}, "ownerReferences": [deployment()]}}),
        json!({"metadata": {"labels": {"pod-template-hash": "abc"}, "ownerReferences": []}}),
        json!({"metadata": {"annotations": {cost: "-2147483648"}}}),
    ] {
        let patched = pods.patch("web", &dry, &Patch::Merge(&allowed)).await;
        patched.unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    let stranger = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "stranger", "uid": "3"});
    for (refused, sentence) in [
        (json!({"spec": {"containers": [{"name": "app", "image": "other:1"}]}}), "changes the spec"),
        (json!({"spec": {"activeDeadlineSeconds": 1}}), "changes the spec"),
        (json!({"metadata": {"labels": {"app": "other"}}}), "changes no label"),
        (json!({"metadata": {"labels": {"app": null}}}), "changes no label"),
        (json!({"metadata": {"labels": {"new": "label"}}}), "changes no label"),
        (json!({"metadata": {"annotations": {"team": null}}}), "changes no annotation"),
        (json!({"metadata": {"annotations": {"team": "other"}}}), "changes no annotation"),
        (json!({"metadata": {"annotations": {"new": "annotation"}}}), "changes no annotation"),
        (json!({"metadata": {"ownerReferences": [stranger]}}), "changes no owner"),
        (json!({"metadata": {"finalizers": ["example.com/hold"]}}), "changes no finalizer"),
    ] {
        // Merged by name, as a container without the fields that have defaults would be no valid change.
        let patched = pods.patch("web", &dry, &Patch::Strategic(&refused)).await;
        let message = said(&patched.expect_err(&refused.to_string()));
        assert!(message.contains(sentence), "{refused}: {message}");
    }
}

#[tokio::test]
async fn it_deletes_a_pod_only_while_that_is_not_ready() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "deletes").await;
    pod(&admin, &space).await;
    let pods: Api<Pod> = Api::namespaced(controller(&admin).await, &space);
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    pods.delete("web", &dry).await.unwrap();
    let ready = Patch::Merge(json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    Api::<Pod>::namespaced(admin, &space).patch_status("web", &PatchParams::default(), &ready).await.unwrap();
    let message = said(&pods.delete("web", &dry).await.unwrap_err());
    assert!(message.contains("deletes no pod that is Ready"), "{message}");
}

fn map(name: &str, mut metadata: Value) -> Value {
    metadata["name"] = name.into();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}})
}

/// What it makes for itself.
fn copy(name: &str) -> Value {
    let mut copy = map(
        name,
        json!({
            "labels": {"restart-controller.dev/role": "snapshot", "restart-controller.dev/workload-uid": "1"},
            "ownerReferences": [{"apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartHistory", "name": "web", "uid": "2"}],
        }),
    );
    copy["immutable"] = json!(true);
    copy
}

async fn create(client: &Client, space: &str, object: &Value) -> kube::Result<()> {
    let body = serde_json::from_value(object.clone()).unwrap();
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    any(client, Some(space), object).create(&parameters, &body).await.map(drop)
}

#[tokio::test]
async fn of_config_maps_it_makes_copies_and_lists_and_writes_the_data_of_others() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "maps").await;
    apply(&admin, Some(&space), map("live", json!({"labels": {"app": "web"}}))).await;
    let history = json!({
        "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartHistory", "metadata": {"name": "web"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "web"}},
    });
    apply(&admin, Some(&space), history.clone()).await;
    let mut old = copy("old-copy");
    let uid = any(&admin, Some(&space), &history).get("web").await.unwrap().metadata.uid;
    old["metadata"]["ownerReferences"][0]["uid"] = json!(uid);
    apply(&admin, Some(&space), old).await;
    apply(&admin, Some("kube-system"), map("somebodys", json!({}))).await;
    let controller = controller(&admin).await;
    create(&controller, &space, &copy("copy")).await.unwrap();
    for lacking in ["/metadata/labels/restart-controller.dev~1role", "/metadata/ownerReferences/0/kind", "/immutable"] {
        let mut object = copy("copy");
        *object.pointer_mut(lacking).unwrap() = if lacking == "/immutable" { json!(false) } else { json!("other") };
        said(&create(&controller, &space, &object).await.expect_err(lacking));
    }
    let maps = any(&controller, Some(&space), &copy("copy"));
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    maps.patch("live", &dry, &Patch::Merge(json!({"data": {"key": "promoted"}}))).await.unwrap();
    for refused in [
        json!({"metadata": {"labels": {"app": "other"}}}),
        json!({"metadata": {"annotations": {"any": "thing"}}}),
        json!({"metadata": {"finalizers": ["example.com/hold"]}}),
        json!({"immutable": true}),
    ] {
        let message = said(&maps.patch("live", &dry, &Patch::Merge(&refused)).await.expect_err(&refused.to_string()));
        assert!(message.contains("changes nothing of a ConfigMap but its data"), "{message}");
    }
    let delete = DeleteParams { dry_run: true, ..DeleteParams::default() };
    maps.delete("old-copy", &delete).await.unwrap();
    said(&maps.delete("live", &delete).await.unwrap_err());
    let protected = any(&controller, Some("kube-system"), &copy("copy"));
    let message = protected.patch("somebodys", &dry, &Patch::Merge(json!({"data": {"key": "mine"}}))).await;
    assert!(said(&message.unwrap_err()).contains("changes no ConfigMap in kube-system"));
    // The one that it publishes its key in.
    create(&controller, SYSTEM, &map("restart-controller-keys", json!({}))).await.unwrap();
    said(&create(&controller, &space, &map("restart-controller-keys", json!({}))).await.unwrap_err());
}

#[tokio::test]
async fn of_jobs_it_makes_hooks_under_the_default_account_and_of_secrets_its_key() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "jobs").await;
    let controller = controller(&admin).await;
    let job = |role: &str, account: &str| {
        let pod = json!({"restartPolicy": "Never", "serviceAccountName": account, "containers": [{"name": "check", "image": "check:1"}]});
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}},
            "metadata": {"name": "check", "labels": {"restart-controller.dev/role": role, "restart-controller.dev/run": "1"}},
        })
    };
    create(&controller, &space, &job("pre-hook", "default")).await.unwrap();
    assert!(
        said(&create(&controller, &space, &job("pre-hook", "builder")).await.unwrap_err()).contains("another account")
    );
    assert!(said(&create(&controller, &space, &job("other", "default")).await.unwrap_err()).contains("but its hooks"));
    let mut privileged = job("pre-hook", "default");
    let path = "/spec/template/spec/containers/0";
    privileged.pointer_mut(path).unwrap()["securityContext"] = json!({"privileged": true});
    let mut on_the_host = job("pre-hook", "default");
    on_the_host["spec"]["template"]["spec"]["volumes"] = json!([{"name": "root", "hostPath": {"path": "/"}}]);
    let mut in_its_network = job("post-hook", "default");
    in_its_network["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    for job in [privileged, on_the_host, in_its_network] {
        assert!(said(&create(&controller, &space, &job).await.unwrap_err()).contains("a way to the node"));
    }
    let protected = create(&controller, "kube-system", &job("pre-hook", "default")).await;
    assert!(said(&protected.unwrap_err()).contains("runs no Job in kube-system"));
    let secret = |name: &str, kind: &str| json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "default"}}});
    create(&controller, SYSTEM, &secret("restart-controller-keys", "Opaque")).await.unwrap();
    said(&create(&controller, SYSTEM, &secret("other", "Opaque")).await.unwrap_err());
    let token = secret("restart-controller-keys", "kubernetes.io/service-account-token");
    said(&create(&controller, SYSTEM, &token).await.unwrap_err());
}
