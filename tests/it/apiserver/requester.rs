//! Who asked: the API server writes the name, whatever a manifest says.
//!
//! **Invariant:** no write in here is refused: a forged name is corrected, neither believed nor an error.

use super::policies::{bind, someone};
use super::requests::{minimal, raw};
use super::{clients, namespace, until};
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

fn forged(reason: &str, trigger: &str) -> Value {
    let mut object = minimal("web");
    object["spec"]["requestedBy"] = json!("mallory");
    object["spec"]["reason"] = json!(reason);
    object["spec"]["trigger"] = json!(trigger);
    object
}

/// Two people with the role edit.
async fn editors(admin: &Client, space: &str) -> (Client, Client) {
    let role = json!({"kind": "ClusterRole", "metadata": {"name": "edit"}});
    for user in ["eddy", "edith"] {
        bind(admin, space, user, role.clone()).await;
    }
    let (eddy, edith) = (someone("eddy").await, someone("edith").await);
    until("both may edit", || async {
        let may = |client: Client| async move {
            let object = serde_json::from_value(minimal("may")).unwrap();
            raw(&client, space).create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await.is_ok()
        };
        may(eddy.clone()).await && may(edith.clone()).await
    })
    .await;
    (eddy, edith)
}

fn name(object: &DynamicObject) -> &Value {
    &object.data["spec"]["requestedBy"]
}

/// Nobody's: a tool that applies the object again sees no difference and no conflict.
fn unowned(object: &DynamicObject) {
    assert!(!json!(object.metadata.managed_fields).to_string().contains("f:requestedBy"), "{object:?}");
}

#[tokio::test]
async fn a_forged_requester_on_create_is_the_one_who_creates() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "forged-create").await;
    let (eddy, _) = editors(&admin, &space).await;
    let object = serde_json::from_value(forged("one", "1")).unwrap();
    let made = raw(&eddy, &space).create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(name(&made), "eddy");
}

#[tokio::test]
async fn whoever_writes_it_again_the_name_stays_and_a_new_trigger_brings_a_new_one() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "forged-later").await;
    let (eddy, edith) = editors(&admin, &space).await;
    let mut object = minimal("web");
    object["spec"]["trigger"] = json!("1");
    let object = serde_json::from_value(object).unwrap();
    let made = raw(&eddy, &space).create(&PostParams::default(), &object).await.unwrap();
    unowned(&made);
    let changes = [json!({"requestedBy": "mallory"}), json!({"requestedBy": null}), json!({"cancel": true})];
    for change in changes {
        let patch = Patch::Merge(json!({"spec": change}));
        let patched = raw(&edith, &space).patch("web", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(name(&patched), "eddy", "{change}");
    }
    let mut replacement: DynamicObject = serde_json::from_value(forged("new price table", "1")).unwrap();
    replacement
        .metadata
        .resource_version
        .clone_from(&raw(&edith, &space).get("web").await.unwrap().metadata.resource_version);
    let replaced = raw(&edith, &space).replace("web", &PostParams::default(), &replacement).await.unwrap();
    assert_eq!(name(&replaced), "eddy");
    let again = Patch::Merge(json!({"spec": {"trigger": "2", "requestedBy": "mallory"}}));
    let armed = raw(&edith, &space).patch("web", &PatchParams::default(), &again).await.unwrap();
    assert_eq!(name(&armed), "edith");
}

#[tokio::test]
async fn applied_by_two_nobody_owns_the_name_and_nothing_drifts() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "forged-apply").await;
    let (eddy, edith) = editors(&admin, &space).await;
    let manifest = |trigger: &str| {
        let mut object = minimal("web");
        object["spec"]["trigger"] = json!(trigger);
        object
    };
    let apply = async |client: &Client, manager: &str, object: &Value| {
        let parameters = PatchParams::apply(manager).force();
        raw(client, &space).patch("web", &parameters, &Patch::Apply(object)).await.unwrap()
    };
    let first = apply(&eddy, "git", &manifest("1")).await;
    assert_eq!(name(&first), "eddy");
    unowned(&first);
    let again = apply(&edith, "git", &manifest("1")).await;
    assert_eq!((name(&again), again.metadata.generation), (&json!("eddy"), Some(1)));
    // The API server stores the status' default with the first write after a create; from then on nothing moves.
    let third = apply(&eddy, "git", &manifest("1")).await;
    assert_eq!(third.metadata.resource_version, again.metadata.resource_version);
    let lie = apply(&edith, "git", &forged("new price table", "1")).await;
    assert_eq!((name(&lie), lie.metadata.generation), (&json!("eddy"), Some(1)));
    assert_eq!(name(&apply(&edith, "git", &manifest("2")).await), "edith");
}
