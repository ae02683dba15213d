//! Configuration that cannot be copied or promoted.
//!
//! **Invariant:** without a copy nothing is changed.

use super::refused;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::ResourceQuota;
use restart_controller::api::{Code, Step};
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

/// Edited while a hook before the promotion runs: the candidate was meant for something else.
pub async fn edited_before_promotion(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    candidate(space).await?;
    let old = app.uids().await?;
    let url = format!("http://{}/work?id=hook&millis=4000", app.address().await?);
    let hook = json!({"name": "slow", "http": {"url": url, "method": "GET"}, "onFailure": "Ignore"});
    let mut spec = promotion();
    spec["hooks"] = json!({"pre": [hook]});
    let request = Request::apply(space, "web", "web", spec).await?;
    request.entered(Step::PreHooks).await?;
    app.edit_config("greeting: somebody else's\n").await?;
    let status = request.failed(Code::RestoreConflict, 40).await?;
    let content = app.content().await?.0["config.yaml"].clone();
    ensure!(content == "greeting: somebody else's\n", "somebody else's edit was written over with {content}");
    ensure!(old == app.uids().await?, "a pod was touched");
    Ok(Figures::note(format!("{}: {}", Code::RestoreConflict.number(), status.message)))
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
