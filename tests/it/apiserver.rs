//! What only a real kube-apiserver can answer: whether our rules are accepted and refuse what they should, and whether
//! preconditions and budgets mean what we take them to mean. `make it` boots one; without one these tests fail.
//!
//! **Invariant:** each test has a namespace of its own; the definitions and the policies are written before the first test
//! and never again, since a changed definition ends everybody's watches.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

mod admission;
mod client;
mod definitions;
mod evictions;
mod flood;
mod frame;
mod http_api;
mod http_tls;
mod kubelet;
mod leaders;
mod named_maps;
mod own_rights;
mod policies;
mod random;
mod recorded;
mod requester;
mod requests;
mod restraint;
mod rights;
mod running;
mod tenants;
mod told;
#[cfg(feature = "otel")]
mod traces;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};
use restart_controller::api::{RestartHistory, RestartRequest, restart_history_crd, restart_request_crd};
use restart_controller::controller::context;
use serde_json::json;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longest wait for anything, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);
/// A namespace, and the request in it that no controller of this version can read.
const UNREADABLE: &str = "unreadable";

/// A namespace, and requests in it that were stored before the definition held names to a pattern.
const OLD_NAMES: &str = "old-names";

/// The clients that the controller itself makes; both definitions and the policies are in force.
async fn clients() -> (Client, Client) {
    static DEFINED: OnceLock<()> = OnceLock::new();
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "no API server: run these by `make it`, or inside `tests/cluster/cluster run`"
    );
    // A client belongs to its runtime, and every test has one of its own.
    tokio::task::spawn_blocking(|| DEFINED.get_or_init(|| std::thread::spawn(define).join().unwrap())).await.unwrap();
    let (reader, writer, _) = context::clients().await.unwrap();
    (reader, writer)
}

#[tokio::main(flavor = "current_thread")]
async fn define() {
    let (_, writer, _) = context::clients().await.unwrap();
    let mut loose = restart_request_crd();
    *estimated_seconds(&mut loose) =
        JSONSchemaProps { x_kubernetes_preserve_unknown_fields: Some(true), ..Default::default() };
    without_patterns(schema(&mut loose));
    apply(&writer, &loose).await;
    apply(&writer, &restart_history_crd()).await;
    until("an unreadable status is written", || unreadable(&writer, UNREADABLE)).await;
    store_old_names(&writer).await;
    apply(&writer, &restart_request_crd()).await;
    until("the definition is strict again", || async { !unreadable(&writer, "strict").await }).await;
    until("both definitions are served", || async {
        let requests = Api::<PartialObjectMeta<RestartRequest>>::all(writer.clone());
        let histories = Api::<RestartHistory>::all(writer.clone());
        requests.list(&ListParams::default()).await.is_ok() && histories.list(&ListParams::default()).await.is_ok()
    })
    .await;
    policies::install(&writer).await;
}

fn schema(definition: &mut CustomResourceDefinition) -> &mut JSONSchemaProps {
    definition.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap()
}

fn without_patterns(schema: &mut JSONSchemaProps) {
    schema.pattern = None;
    schema.properties.iter_mut().flatten().for_each(|(_, field)| without_patterns(field));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_patterns(items);
    }
}

/// The name of such a request, what its spec holds, and the field that is wrong.
fn old_names() -> Vec<(String, serde_json::Value, &'static str)> {
    let target = |name: &str| json!({"targetRef": {"kind": "Deployment", "name": name}});
    let queued = |name: &str| json!({"targetRef": {"kind": "StatefulSet", "name": name}, "concurrencyPolicy": "Queue"});
    let map = |map: serde_json::Value| json!({"config": {"configMaps": [map]}});
    let (at_target, at_map) = ("spec.targetRef.name", "spec.config.configMaps[0]");
    let all = [
        (target("a b"), at_target),
        (target("a\n"), at_target),
        (target("web/scale"), at_target),
        (target(".."), at_target),
        (target("é%2f?"), at_target),
        (queued("a b"), at_target),
        (queued("a b"), at_target),
        (map(json!({"name": "x y"})), at_map),
        (map(json!({"name": "x", "from": "Z_\t"})), at_map),
    ];
    all.into_iter().enumerate().map(|(at, (spec, field))| (format!("old-{at}"), spec, field)).collect()
}

async fn store_old_names(writer: &Client) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OLD_NAMES}});
    let parameters = PatchParams::apply("restart-controller-tests");
    Api::<Namespace>::all(writer.clone()).patch(OLD_NAMES, &parameters, &Patch::Apply(namespace)).await.unwrap();
    for (name, spec, _) in old_names() {
        let mut object = requests::minimal(&name);
        object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let made = requests::create(writer, OLD_NAMES, object).await;
        assert!(
            made.is_ok() || made.is_err_and(|error| matches!(&error, kube::Error::Api(status) if status.code == 409))
        );
    }
}

fn estimated_seconds(definition: &mut CustomResourceDefinition) -> &mut JSONSchemaProps {
    let schema = schema(definition);
    let status = schema.properties.as_mut().unwrap().get_mut("status").unwrap();
    status.properties.as_mut().unwrap().get_mut("estimatedSeconds").unwrap()
}

async fn apply(writer: &Client, definition: &CustomResourceDefinition) {
    let definitions: Api<CustomResourceDefinition> = Api::all(writer.clone());
    let name = definition.name_any();
    let parameters = PatchParams::apply("restart-controller-tests").force();
    definitions.patch(&name, &parameters, &Patch::Apply(definition)).await.unwrap();
    let established = await_condition(definitions, &name, is_crd_established());
    tokio::time::timeout(PATIENCE, established).await.unwrap().unwrap();
}

/// Whether a request could be given a status that this version cannot read, as another version might write it.
async fn unreadable(writer: &Client, name: &str) -> bool {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": UNREADABLE}});
    let parameters = PatchParams::apply("restart-controller-tests");
    Api::<Namespace>::all(writer.clone()).patch(UNREADABLE, &parameters, &Patch::Apply(namespace)).await.unwrap();
    let made = requests::create(writer, UNREADABLE, requests::minimal(name)).await;
    assert!(made.is_ok() || made.is_err_and(|error| !matches!(&error, kube::Error::Api(status) if status.code == 422)));
    let status = Patch::Merge(json!({"status": {"estimatedSeconds": "many"}}));
    requests::raw(writer, UNREADABLE).patch_status(name, &PatchParams::default(), &status).await.is_ok()
}

/// The API server takes a changed definition into use a moment later, and says so nowhere.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A namespace in which pods can be made.
async fn namespace(writer: &Client, base: &str) -> String {
    let metadata = ObjectMeta { generate_name: Some(format!("{base}-")), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    let made = Api::<Namespace>::all(writer.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let name = made.name_any();
    let accounts: Api<ServiceAccount> = Api::namespaced(writer.clone(), &name);
    until("the default service account is made", || async { accounts.get("default").await.is_ok() }).await;
    name
}
