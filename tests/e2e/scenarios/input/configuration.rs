//! Configuration that cannot be copied or promoted.
//!
//! **Invariant:** without a copy nothing is changed.

use super::refused;
use crate::support::Result;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use k8s_openapi::api::core::v1::ResourceQuota;
use restart_controller::api::Code;
use serde_json::{Value, json};

fn promotion() -> Value {
    json!({"config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]}})
}

async fn candidate(space: &Space) -> Result {
    let data = json!({"config.yaml": "greeting: next\n"});
    space
        .apply(&[
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"}, "data": data}),
        ])
        .await
}

async fn one_pod(space: &Space) -> Result<App<'_>> {
    Template::web()?.replicas(1).deploy(space).await
}

/// The copies would be too many.
pub async fn copy_refused_by_quota(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    quota(space, &json!({"count/configmaps": "0"})).await?;
    // Of what it held until now the baseline may have a copy.
    app.edit_config("greeting: edited\n").await?;
    refused(&app, json!({}), Code::BackupFailed, &["quota"]).await
}

/// Nothing can be written over it.
pub async fn immutable_target(space: &Space) -> Result<Figures> {
    let app =
        Template::web()?.replicas(1).edit("ConfigMap", |map| map["immutable"] = json!(true)).deploy(space).await?;
    candidate(space).await?;
    refused(&app, promotion(), Code::ValidationFailed, &["ConfigMap web-config is immutable"]).await
}

/// `from` names nothing.
pub async fn missing_candidate(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    refused(&app, promotion(), Code::BackupFailed, &["ConfigMap web-config-next does not exist"]).await
}

/// `name` names nothing.
pub async fn missing_map(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    let config = json!({"config": {"configMaps": [{"name": "no-such-map"}]}});
    refused(&app, config, Code::BackupFailed, &["ConfigMap no-such-map does not exist"]).await
}

/// What no pod could read is not promoted.
pub async fn candidate_that_does_not_parse(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    let data = json!({"config.yaml": "greeting: [never closed\n"});
    space
        .apply(&[
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"}, "data": data}),
        ])
        .await?;
    refused(&app, promotion(), Code::ValidationFailed, &["config.yaml"]).await
}

/// A quota, in force.
pub async fn quota(space: &Space, hard: &Value) -> Result {
    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": hard}});
    space.apply(&[quota]).await?;
    let api = space.api::<ResourceQuota>();
    until("the quota to be in force", 30, async || {
        let status = api.get("tight").await?.status.unwrap_or_default();
        Ok(when(status.used.as_ref().is_some_and(|used| !used.is_empty()), || json!(status).to_string()))
    })
    .await
}
