//! What the controller's own account may not do, even with every right that RBAC can give: the policies alone refuse.
//!
//! **Invariant:** each refusal is met by an account that is bound to `cluster-admin` here, so that no refusal is RBAC's.

use super::policies::{SYSTEM, any, apply, said, settled, someone};
use super::{clients, namespace, until};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use restart_controller::api::names;
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

/// The hash in the names of a Deployment's `ReplicaSets` and on their pods.
const HASH: &str = "abc";

/// The pod of a `ReplicaSet`, made by the real controller manager.
async fn pod(admin: &Client, space: &str) -> Pod {
    let labels = json!({"app": "web", "pod-template-hash": HASH});
    let template = json!({
        "metadata": {"labels": labels, "annotations": {"team": "shop"}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": format!("web-{HASH}")},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    });
    apply(admin, Some(space), set).await;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), space);
    until("the ReplicaSet makes its pod", || async {
        !pods.list(&ListParams::default()).await.unwrap().items.is_empty()
    })
    .await;
    pods.list(&ListParams::default()).await.unwrap().items.remove(0)
}

/// The owners of a detached pod: the `ReplicaSet` that it had, and its Deployment.
fn detached(pod: &Pod, deployment: &Value) -> Value {
    let mut set = json!(pod.metadata.owner_references.as_ref().unwrap()[0]);
    set.as_object_mut().unwrap().remove("controller");
    json!([set, deployment])
}

/// It does not exist, which no policy can see.
fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "2", "controller": true})
}

#[tokio::test]
async fn of_a_pod_it_changes_what_a_restart_needs_and_nothing_else() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "pods").await;
    let pod = pod(&admin, &space).await;
    let name = pod.name_any();
    let controller = controller(&admin).await;
    let pods: Api<Pod> = Api::namespaced(controller, &space);
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let cost = "controller.kubernetes.io/pod-deletion-cost";
    for allowed in [
        json!({"metadata": {"labels": {"pod-template-hash": null}, "annotations": {"restart-controller.dev/detached-by": "uid"}, "ownerReferences": detached(&pod, &deployment("web"))}}),
        json!({"metadata": {"annotations": {cost: "-2147483648"}}}),
    ] {
        let patched = pods.patch(&name, &dry, &Patch::Merge(&allowed)).await;
        patched.unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    let owners = pod.metadata.owner_references.clone().unwrap();
    let mut unblocked = detached(&pod, &deployment("web"));
    unblocked[0].as_object_mut().unwrap().remove("blockOwnerDeletion");
    let stranger = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "stranger", "uid": "3"});
    for owners in [
        json!([]),
        json!([deployment("web")]),
        detached(&pod, &deployment("other")),
        detached(&pod, &json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "2"})),
        detached(
            &pod,
            &json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "2", "controller": true}),
        ),
        json!([detached(&pod, &stranger)[0]]),
        json!([owners[0], stranger]),
        unblocked,
    ] {
        let refused = json!({"metadata": {"ownerReferences": owners}});
        let message = said(&pods.patch(&name, &dry, &Patch::Merge(&refused)).await.expect_err(&refused.to_string()));
        assert!(message.contains("changes no owner"), "{refused}: {message}");
    }
    for (refused, sentence) in [
        (json!({"spec": {"containers": [{"name": "app", "image": "other:1"}]}}), "changes the spec"),
        (json!({"spec": {"activeDeadlineSeconds": 1}}), "changes the spec"),
        (json!({"metadata": {"labels": {"app": "other"}}}), "changes no label"),
        (json!({"metadata": {"labels": {"app": null}}}), "changes no label"),
        (json!({"metadata": {"labels": {"new": "label"}}}), "changes no label"),
        (json!({"metadata": {"annotations": {"team": null}}}), "changes no annotation"),
        (json!({"metadata": {"annotations": {"team": "other"}}}), "changes no annotation"),
        (json!({"metadata": {"annotations": {"new": "annotation"}}}), "changes no annotation"),
        (json!({"metadata": {"finalizers": ["example.com/hold"]}}), "changes no finalizer"),
    ] {
        // Merged by name, as a container without the fields that have defaults would be no valid change.
        let patched = pods.patch(&name, &dry, &Patch::Strategic(&refused)).await;
        let message = said(&patched.expect_err(&refused.to_string()));
        assert!(message.contains(sentence), "{refused}: {message}");
    }
}

#[tokio::test]
async fn a_pod_that_is_given_to_a_deployment_that_does_not_exist_stays_and_goes_back() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "stolen").await;
    let pod = pod(&admin, &space).await;
    let (name, uid) = (pod.name_any(), pod.metadata.uid.clone());
    let pods: Api<Pod> = Api::namespaced(controller(&admin).await, &space);
    let taken = json!({"metadata": {"labels": {"pod-template-hash": null}, "ownerReferences": detached(&pod, &deployment("web"))}});
    pods.patch(&name, &PatchParams::default(), &Patch::Merge(&taken)).await.unwrap();
    let owners = async || pods.get(&name).await.unwrap().metadata.owner_references.unwrap();
    // The garbage collector has looked when the reference to nothing is gone.
    until("the garbage collector takes the Deployment off", || async { owners().await.len() == 1 }).await;
    let left = pods.get(&name).await.unwrap();
    assert!(left.metadata.uid == uid && left.metadata.deletion_timestamp.is_none(), "{left:?}");
    // What a restart does when it puts a pod back: the label alone, since the Deployment is off already.
    let back = json!({"metadata": {"labels": {"pod-template-hash": HASH}}});
    pods.patch(&name, &PatchParams::default(), &Patch::Merge(&back)).await.unwrap();
    until("the ReplicaSet has one of both again", || async {
        let all = pods.list(&ListParams::default()).await.unwrap().items;
        let own = all.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let own: Vec<_> = own.flat_map(|pod| pod.metadata.owner_references.iter().flatten()).collect();
        own.len() == 1 && own[0].kind == "ReplicaSet" && own[0].controller == Some(true)
    })
    .await;
}

/// A Deployment that exists, as it does in a restart; it takes no other pod, and makes none.
async fn real_deployment(admin: &Client, space: &str) -> Value {
    let labels = json!({"app": "elsewhere"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": labels}, "template": template});
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
    apply(admin, Some(space), web.clone()).await;
    let mut owner = deployment("web");
    owner["uid"] = json!(any(admin, Some(space), &web).get("web").await.unwrap().metadata.uid);
    owner
}

#[tokio::test]
async fn a_detached_pod_that_is_put_back_is_its_replica_sets_again() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "back").await;
    let old = pod(&admin, &space).await;
    let (name, owners) = (old.name_any(), detached(&old, &real_deployment(&admin, &space).await));
    let pods: Api<Pod> = Api::namespaced(controller(&admin).await, &space);
    let away = json!({"metadata": {"labels": {"pod-template-hash": null}, "ownerReferences": owners}});
    pods.patch(&name, &PatchParams::default(), &Patch::Merge(&away)).await.unwrap();
    let others = async || {
        let all = pods.list(&ListParams::default()).await.unwrap().items;
        all.into_iter()
            .filter(|pod| pod.name_any() != name && pod.metadata.deletion_timestamp.is_none())
            .collect::<Vec<_>>()
    };
    until("the ReplicaSet makes a replacement", || async { others().await.len() == 1 }).await;
    // As a restart does it: of both the replacement is to go.
    let cost = json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-2147483648"}}});
    pods.patch(&others().await[0].name_any(), &PatchParams::default(), &Patch::Merge(&cost)).await.unwrap();
    let back = json!({"metadata": {"labels": {"pod-template-hash": HASH}, "ownerReferences": [owners[0]]}});
    pods.patch(&name, &PatchParams::default(), &Patch::Merge(&back)).await.unwrap();
    until("the replacement goes", || async { others().await.is_empty() }).await;
    let now = pods.get(&name).await.unwrap();
    assert!(now.metadata.uid == old.metadata.uid && now.metadata.deletion_timestamp.is_none(), "{now:?}");
    assert_eq!(now.metadata.owner_references, old.metadata.owner_references);
}

#[tokio::test]
async fn what_a_version_before_has_detached_can_be_put_back() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "before").await;
    let name = pod(&admin, &space).await.name_any();
    let owner = real_deployment(&admin, &space).await;
    let old = json!({"metadata": {"labels": {"pod-template-hash": null}, "ownerReferences": [owner]}});
    let by_admin: Api<Pod> = Api::namespaced(admin.clone(), &space);
    by_admin.patch(&name, &PatchParams::default(), &Patch::Merge(&old)).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(controller(&admin).await, &space);
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let back = json!({"metadata": {"labels": {"pod-template-hash": HASH}, "ownerReferences": []}});
    pods.patch(&name, &dry, &Patch::Merge(&back)).await.unwrap();
}

#[tokio::test]
async fn it_deletes_a_pod_only_while_that_is_not_ready() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "deletes").await;
    let name = pod(&admin, &space).await.name_any();
    let pods: Api<Pod> = Api::namespaced(controller(&admin).await, &space);
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    pods.delete(&name, &dry).await.unwrap();
    let ready = Patch::Merge(json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    Api::<Pod>::namespaced(admin, &space).patch_status(&name, &PatchParams::default(), &ready).await.unwrap();
    let message = said(&pods.delete(&name, &dry).await.unwrap_err());
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

/// Opens a namespace.
pub async fn label(admin: &Client, space: &str, label: &str) {
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    let labelled = Patch::Merge(json!({"metadata": {"labels": {label: "true"}}}));
    namespaces.patch(space, &PatchParams::default(), &labelled).await.unwrap();
}

/// The API server's policies see a label of a namespace a moment after it was written.
async fn only_where_it_is_permitted(admin: &Client, controller: &Client, space: &str, job: &Value) {
    let closed = namespace(admin, "no-jobs").await;
    let refused = create(controller, &closed, job).await;
    assert!(said(&refused.unwrap_err()).contains("has no label restart-controller.dev/job-hooks"));
    let container = |more: Value| {
        let mut job = job.clone();
        job.pointer_mut("/spec/template/spec/containers/0")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        job
    };
    let volume = |volume: Value| {
        let mut job = job.clone();
        job["spec"]["template"]["spec"]["volumes"] = json!([volume]);
        job
    };
    let with_secrets = [
        volume(json!({"name": "x", "secret": {"secretName": "db"}})),
        volume(
            json!({"name": "x", "projected": {"sources": [{"configMap": {"name": "a"}}, {"secret": {"name": "db"}}]}}),
        ),
        volume(json!({"name": "x", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "db"}}})),
        volume(json!({"name": "x", "azureFile": {"secretName": "db", "shareName": "s"}})),
        container(json!({"envFrom": [{"secretRef": {"name": "db"}}]})),
        container(json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}]})),
    ];
    let without = [
        volume(json!({"name": "x", "configMap": {"name": "a"}})),
        volume(json!({"name": "x", "emptyDir": {}})),
        volume(json!({"name": "x", "projected": {"sources": [{"configMap": {"name": "a"}}]}})),
        container(
            json!({"env": [{"name": "X", "value": "y"}, {"name": "Z", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}}]}),
        ),
    ];
    for job in &without {
        create(controller, space, job).await.unwrap_or_else(|error| panic!("{job}: {error}"));
    }
    for job in &with_secrets {
        let message = said(&create(controller, space, job).await.expect_err(&job.to_string()));
        assert!(message.contains("runs no Job with a Secret"), "{message}");
    }
    label(admin, space, names::JOB_HOOK_SECRETS).await;
    settled("the namespace permits Secrets", async || {
        for job in &with_secrets {
            create(controller, space, job).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn of_jobs_it_makes_hooks_under_the_default_account_and_of_secrets_its_key() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "jobs").await;
    label(&admin, &space, names::JOB_HOOKS).await;
    let controller = controller(&admin).await;
    let job = |role: &str, account: &str| {
        let pod = json!({"restartPolicy": "Never", "serviceAccountName": account, "containers": [{"name": "check", "image": "check:1"}]});
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}},
            "metadata": {"name": "check", "labels": {"restart-controller.dev/role": role, "restart-controller.dev/run": "1"}},
        })
    };
    settled("the namespace permits Jobs", async || {
        create(&controller, &space, &job("pre-hook", "default")).await.map_err(|error| error.to_string())
    })
    .await;
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
    only_where_it_is_permitted(&admin, &controller, &space, &job("pre-hook", "default")).await;
    label(&admin, "kube-system", names::JOB_HOOKS).await;
    let protected = create(&controller, "kube-system", &job("pre-hook", "default")).await;
    assert!(said(&protected.unwrap_err()).contains("runs no Job in kube-system"));
    let secret = |name: &str, kind: &str| json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "default"}}});
    create(&controller, SYSTEM, &secret("restart-controller-keys", "Opaque")).await.unwrap();
    said(&create(&controller, SYSTEM, &secret("other", "Opaque")).await.unwrap_err());
    let token = secret("restart-controller-keys", "kubernetes.io/service-account-token");
    said(&create(&controller, SYSTEM, &token).await.unwrap_err());
}
