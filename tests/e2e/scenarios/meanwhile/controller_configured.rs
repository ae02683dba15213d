//! The controller's configuration is changed in mid-run, then broken.
//!
//! **Invariant:** the ConfigMap is the one of the installation, and is at the end what it was at the beginning.

use super::Scene;
use crate::support::cluster::SYSTEM;
use crate::support::controller;
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use restart_controller::api::Code;
use serde_json::json;

const NAME: &str = "restart-controller";
const CHANGED: &str = "restart: {defaultTimeoutSeconds: 7, enableForceRestart: false}\n";
const BROKEN: &str = "restart: {defaultTimeoutSeconds: soon}\n";

/// The run keeps its values; the next one has the new ones; a broken file changes nothing and is told.
pub async fn changed_and_broken(space: &Space) -> Result<Figures> {
    let scene = Scene::draining(space, 2, json!({"strategy": {"maxParallel": 1}})).await?;
    let began_with = scene.request.status().await?.resolved;
    let before = configuration(space).await?;
    let judged = judge(space).await;
    // Whatever came of it: the other scenarios need the configuration as it was.
    let read = reloads(space, "success").await?;
    configure(space, &before).await?;
    more_reloads(space, "success", read).await?;
    let judged = judged?;
    let status = scene.request.completed(120).await?;
    ensure!(status.resolved == began_with, "the run has changed: {began_with:?}, {:?}", status.resolved);
    scene.app.whole().await?;
    ensure!(scene.app.uids().await?.is_disjoint(&scene.old), "not every pod was replaced");
    Ok(scene.end().await?.1.and(judged))
}

async fn judge(space: &Space) -> Result<String> {
    let (read, failed) = (reloads(space, "success").await?, reloads(space, "error").await?);
    configure(space, CHANGED).await?;
    more_reloads(space, "success", read).await?;
    let refused = forced(space, "forced").await?;
    configure(space, BROKEN).await?;
    more_reloads(space, "error", failed).await?;
    forced(space, "still-forced").await?;
    let log = controller::said("configuration not understood, the old one stays").await?;
    ensure!(log.contains("defaultTimeoutSeconds"), "the log does not name the field: {log}");
    Ok(format!("{}: {refused}; broken: the log names the field", Code::Forbidden.number()))
}

/// `force` is refused where the controller's configuration forbids it.
async fn forced(space: &Space, name: &str) -> Result<String> {
    let status = Request::apply(space, name, "web", json!({"force": true, "concurrencyPolicy": "Queue"}))
        .await?
        .failed(Code::Forbidden, 60)
        .await?;
    ensure!(status.message.contains("enableForceRestart"), "the message does not name the setting: {}", status.message);
    Ok(status.message)
}

fn api(space: &Space) -> Api<ConfigMap> {
    Api::namespaced(space.cluster.client.clone(), SYSTEM)
}

/// The file as it is.
pub async fn configuration(space: &Space) -> Result<String> {
    let data = api(space).get(NAME).await?.data.unwrap_or_default();
    data.get("config.yaml").cloned().ok_or_else(|| format!("ConfigMap {NAME} has no config.yaml").into())
}

/// Writes the file; the kubelet looks at the ConfigMaps of a pod at once when the pod itself is changed.
pub async fn configure(space: &Space, text: &str) -> Result {
    api(space).patch(NAME, &PatchParams::default(), &Patch::Merge(json!({"data": {"config.yaml": text}}))).await?;
    controller::nudge(&space.cluster.client).await
}

/// How often the file was read again with that result.
pub async fn reloads(space: &Space, result: &str) -> Result<u64> {
    let metrics = controller::metrics(&space.cluster.client).await?;
    let name = format!("restart_controller_config_reloads_total{{result=\"{result}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    Ok(value.map_or(Ok(0), str::parse)?)
}

/// Waits for one more.
pub async fn more_reloads(space: &Space, result: &str, than: u64) -> Result {
    until(&format!("a reload with result {result}"), 90, async || {
        let now = reloads(space, result).await?;
        Ok(when(now > than, || format!("{now}")))
    })
    .await
}
