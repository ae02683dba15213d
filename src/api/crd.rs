//! The two CustomResourceDefinitions, generated from the types.
//!
//! **Invariant:** nothing of a CRD is written by hand but what the derive cannot say: the status default, which makes
//! kstatus call an unseen request InProgress (notes: Flux's own CRDs do the same), and plain optional fields.

use super::{RestartHistory, RestartHistoryStatus, RestartRequest};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps,
};
use kube::CustomResourceExt as _;

/// The definition of RestartRequest.
#[must_use]
pub fn restart_request_crd() -> CustomResourceDefinition {
    let mut crd = finished(RestartRequest::crd());
    if let Some(status) = property(&mut crd, "status") {
        without_defaults(status);
        status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
    }
    crd
}

/// The definition of RestartHistory.
#[must_use]
pub fn restart_history_crd() -> CustomResourceDefinition {
    let mut crd = finished(RestartHistory::crd());
    if let Some(status) = property(&mut crd, "status") {
        // What nothing has been written into yet is idle, too.
        status.default = Some(JSON(serde_json::json!({"state": RestartHistoryStatus::IDLE})));
    }
    crd
}

/// The controller writes what it knows; an unseen request shows its generation and nothing else.
fn without_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    for child in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        without_defaults(child);
    }
}

fn property<'a>(crd: &'a mut CustomResourceDefinition, name: &str) -> Option<&'a mut JSONSchemaProps> {
    let schema = crd.spec.versions.first_mut()?.schema.as_mut()?;
    schema.open_api_v3_schema.as_mut()?.properties.as_mut()?.get_mut(name)
}

/// An absent field and a null one are the same to people; `nullable` only clutters `kubectl explain`.
fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            tidy(schema);
        }
    }
    crd
}

fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = schema.enum_.as_mut() {
        values.retain(|value| !value.0.is_null());
    }
    for child in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(child);
    }
    if let Some(k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema(
        items,
    )) = schema.items.as_mut()
    {
        tidy(items);
    }
}
