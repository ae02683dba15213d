//! What the API server refuses of a RestartRequest, and the sentence that the user gets.

use super::{clients, namespace};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// The least that a user writes.
pub fn minimal(name: &str) -> Value {
    json!({
        "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": name},
        "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "new price table"},
    })
}

/// Untyped, as kubectl sends it.
pub fn raw(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("restart-controller.dev", "v1alpha1", "RestartRequest");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

pub async fn create(client: &Client, namespace: &str, object: Value) -> kube::Result<DynamicObject> {
    let object = serde_json::from_value(object).unwrap();
    raw(client, namespace).create(&PostParams::default(), &object).await
}

fn with(changes: &Value) -> Value {
    let mut object = minimal("refused");
    for (field, value) in changes.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

/// The API server's sentence about an object that it must refuse.
async fn refusal(client: &Client, namespace: &str, changes: &Value) -> String {
    match create(client, namespace, with(changes)).await {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, 422, "{changes}: {}", status.message);
            status.message
        }
        other => panic!("{changes} was not refused: {other:?}"),
    }
}

async fn all_refused(base: &str, cases: &[(Value, &str)]) {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, base).await;
    for (changes, sentence) in cases {
        let message = refusal(&writer, &namespace, changes).await;
        assert!(message.contains(sentence), "{changes}: {message:?} does not say {sentence:?}");
    }
}

#[tokio::test]
async fn what_contradicts_itself_is_refused_with_the_reason() {
    let surge = |kind: &str| json!({"targetRef": {"kind": kind, "name": "db"}, "strategy": {"type": "Surge"}});
    let promote = json!({"reload": false, "configMaps": [{"name": "a", "from": "b"}]});
    let hook = |hook: Value| json!({"hooks": {"pre": [hook]}});
    all_refused(
        "contradictions",
        &[
            (surge("StatefulSet"), "strategy.type Surge is for Deployments"),
            (surge("DaemonSet"), "strategy.type Surge is for Deployments"),
            (json!({"config": promote}), "config.reload: false forbids new configuration"),
            (hook(json!({"name": "warm"})), "exactly one of http and job"),
            (hook(json!({"name": "warm", "http": {"url": "ftp://web/warm"}})), "spec.hooks.pre[0].http.url"),
            (hook(json!({"name": "Warm up", "http": {"url": "http://web/warm"}})), "spec.hooks.pre[0].name"),
        ],
    )
    .await;
}

#[tokio::test]
async fn values_out_of_bounds_are_refused_with_their_field() {
    let names: Vec<Value> = (0..9).map(|number| json!({"name": format!("map-{number}")})).collect();
    all_refused(
        "bounds",
        &[
            (json!({"reason": ""}), "spec.reason"),
            (json!({"reason": "x".repeat(1025)}), "spec.reason"),
            (json!({"targetRef": {"kind": "Job", "name": "web"}}), "spec.targetRef.kind"),
            (json!({"targetRef": {"kind": "Deployment", "name": ""}}), "spec.targetRef.name"),
            (json!({"targetRef": {"kind": "Deployment", "name": "a b"}}), "spec.targetRef.name"),
            (json!({"targetRef": {"kind": "Deployment", "name": "web\n"}}), "spec.targetRef.name"),
            (json!({"targetRef": {"kind": "Deployment", "name": "web/scale"}}), "spec.targetRef.name"),
            (json!({"targetRef": {"kind": "Deployment", "name": "Web"}}), "spec.targetRef.name"),
            (json!({"config": {"configMaps": [{"name": ".."}]}}), "spec.config.configMaps[0].name"),
            (json!({"config": {"configMaps": [{"name": "web", "from": "a_b"}]}}), "spec.config.configMaps[0].from"),
            (json!({"hooks": {"pre": [{"name": "a", "http": {"url": "http://a b/"}}]}}), "spec.hooks.pre[0].http.url"),
            (json!({"timeoutSeconds": 0}), "spec.timeoutSeconds"),
            (json!({"timeoutSeconds": -1}), "spec.timeoutSeconds"),
            (json!({"timeoutSeconds": 86_401}), "spec.timeoutSeconds"),
            (json!({"timeoutSeconds": 9_999_999_999_i64}), "spec.timeoutSeconds"),
            (json!({"onTimeout": "Ignore"}), "spec.onTimeout"),
            (json!({"drain": {"quietSeconds": -1}}), "spec.drain.quietSeconds"),
            (json!({"drain": {"quietSeconds": 301}}), "spec.drain.quietSeconds"),
            (json!({"drain": {"minSeconds": 3601}}), "spec.drain.minSeconds"),
            (json!({"verify": {"soakSeconds": -1}}), "spec.verify.soakSeconds"),
            (json!({"progressDeadlineSeconds": 0}), "spec.progressDeadlineSeconds"),
            (json!({"strategy": {"type": "Recreate"}}), "spec.strategy.type"),
            (json!({"config": {"configMaps": names}}), "spec.config.configMaps"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_batch_is_a_positive_count_or_a_percentage() {
    let refused = [json!(0), json!(-1), json!(1001), json!("0%"), json!("101%"), json!("5"), json!("all")];
    let cases: Vec<_> = refused
        .iter()
        .map(|value| (json!({"strategy": {"maxParallel": value}}), "spec.strategy.maxParallel"))
        .collect();
    all_refused("batch", &cases).await;
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "batch-good").await;
    for (number, value) in [json!(1), json!("1%"), json!("100%")].into_iter().enumerate() {
        let mut object = minimal(&format!("good-{number}"));
        object["spec"]["strategy"] = json!({"maxParallel": value});
        create(&writer, &namespace, object).await.unwrap();
    }
}

#[tokio::test]
async fn a_promotion_comes_from_another_config_map_and_each_is_named_once() {
    all_refused(
        "maps",
        &[
            (json!({"config": {"configMaps": [{"name": "web", "from": "web"}]}}), "from must be another ConfigMap"),
            (json!({"config": {"configMaps": [{"name": "web"}, {"name": "web"}]}}), "Duplicate value"),
        ],
    )
    .await;
}

async fn patched(client: &Client, namespace: &str, spec: Value) -> kube::Result<DynamicObject> {
    let patch = json!({ "spec": spec });
    raw(client, namespace).patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await
}

#[tokio::test]
async fn nothing_of_a_request_changes_but_cancel() {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "frozen").await;
    create(&writer, &namespace, minimal("web")).await.unwrap();
    let frozen = "create another RestartRequest";
    let changes = [
        json!({"reason": "another"}),
        json!({"force": true}),
        json!({"timeoutSeconds": 5}),
        json!({"onTimeout": "Proceed"}),
        json!({"drain": {"quietSeconds": 5}}),
        json!({"strategy": {"type": "Rolling"}}),
        json!({"config": {"configMaps": [{"name": "web"}]}}),
        json!({"verify": {"soakSeconds": 1}}),
        json!({"progressDeadlineSeconds": 5}),
        json!({"targetRef": {"name": "other"}}),
    ];
    for change in changes {
        let Err(kube::Error::Api(status)) = patched(&writer, &namespace, change.clone()).await else {
            panic!("{change} was not refused");
        };
        assert!(status.code == 422 && status.message.contains(frozen), "{change}: {}", status.message);
    }
    let cancelled = patched(&writer, &namespace, json!({"cancel": true})).await.unwrap();
    assert_eq!(cancelled.data["spec"]["cancel"], true);
}
