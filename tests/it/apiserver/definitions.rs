//! The definitions as the API server sees them.

use super::{clients, namespace};
use crate::apiserver::requests::{create, minimal};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use restart_controller::api::{RestartHistory, RestartRequest};

#[tokio::test]
async fn both_definitions_are_accepted_and_served() {
    let (reader, _) = clients().await;
    Api::<PartialObjectMeta<RestartRequest>>::all(reader.clone()).list(&ListParams::default()).await.unwrap();
    Api::<RestartHistory>::all(reader).list(&ListParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_fresh_request_has_an_observed_generation_that_kstatus_calls_in_progress() {
    let (reader, writer) = clients().await;
    let namespace = namespace(&writer, "fresh").await;
    create(&writer, &namespace, minimal("web")).await.unwrap();
    let kind = GroupVersionKind::gvk("restart-controller.dev", "v1alpha1", "RestartRequest");
    let raw: Api<DynamicObject> = Api::namespaced_with(reader, &namespace, &ApiResource::from_gvk(&kind));
    let raw = raw.get("web").await.unwrap();
    assert_eq!(raw.data["status"]["observedGeneration"], -1);
    assert!(
        raw.data["status"]["phase"].is_null() && raw.data["status"]["conditions"].as_array().is_none_or(Vec::is_empty)
    );
    assert_eq!(raw.metadata.generation, Some(1));
}

#[tokio::test]
async fn requests_can_be_selected_by_target_and_phase() {
    let (reader, writer) = clients().await;
    let namespace = namespace(&writer, "select").await;
    create(&writer, &namespace, minimal("one")).await.unwrap();
    let requests: Api<RestartRequest> = Api::namespaced(reader, &namespace);
    for (selector, found) in
        [("spec.targetRef.name=web", 1), ("spec.targetRef.name=other", 0), ("status.phase=Pending", 0)]
    {
        let list = requests.list(&ListParams::default().fields(selector)).await.unwrap();
        assert_eq!(list.items.len(), found, "{selector}");
    }
}
