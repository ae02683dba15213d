//! Workloads and Services that cannot be restarted as asked.
//!
//! **Invariant:** each message names the object and what to do about it.

use super::refused;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::json;

async fn one_pod(space: &Space) -> Result<App<'_>> {
    Template::web()?.replicas(1).deploy(space).await
}

/// No such Deployment.
pub async fn unknown(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    let target = json!({"targetRef": {"kind": "Deployment", "name": "wep"}});
    refused(
        &app,
        target,
        Code::TargetInvalid,
        &["Deployment wep does not exist", space.name.as_str(), "correct targetRef"],
    )
    .await
}

/// `kubectl rollout pause`.
pub async fn paused(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    space.kubectl(&["rollout", "pause", "deployment/web"]).await?;
    app.settled().await?;
    refused(&app, json!({}), Code::TargetInvalid, &["Deployment web is paused", "kubectl rollout resume"]).await
}

/// More than the controller's maxWaitSeconds.
pub async fn timeout_too_long(space: &Space) -> Result<Figures> {
    let app = one_pod(space).await?;
    refused(&app, json!({"timeoutSeconds": 301}), Code::InvalidSpec, &["timeoutSeconds 301", "300", "ask for less"])
        .await
}

/// Surge needs two pods at once, Recreate forbids it.
pub async fn recreate(space: &Space) -> Result<Figures> {
    let change = |deployment: &mut serde_json::Value| deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    let app = Template::web()?.replicas(1).edit("Deployment", change).deploy(space).await?;
    refused(&app, json!({}), Code::TargetInvalid, &["Deployment web has strategy Recreate", "Rolling"]).await
}

/// Old pod and replacement cannot both mount it.
pub async fn exclusive_claim(space: &Space) -> Result<Figures> {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    space.apply(&[claim]).await?;
    let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
    let mount = |pod: &mut serde_json::Value| {
        if let Some(volumes) = pod["volumes"].as_array_mut() {
            volumes.push(volume.clone());
        }
    };
    // No pod, as nothing here gives the claim a volume.
    Template::web()?.replicas(0).edit_pod(mount).deploy(space).await?;
    let status = Request::apply(space, "bad", "web", json!({})).await?.failed(Code::TargetInvalid, 40).await?;
    for word in ["Deployment web", "ReadWriteOnce volume claim data", "Rolling"] {
        ensure!(status.message.contains(word), "the message does not name {word:?}: {}", status.message);
    }
    Ok(Figures::note(status.message))
}

/// The app's port of the same name wins, past the sidecar.
pub async fn bypass(space: &Space) -> Result<Figures> {
    let port =
        |pod: &mut serde_json::Value| pod["containers"][0]["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    let service = |service: &mut serde_json::Value| service["spec"]["ports"][0]["targetPort"] = json!("http");
    let app = Template::web()?.replicas(1).edit_pod(port).edit("Service", service).deploy(space).await?;
    refused(&app, json!({}), Code::TargetInvalid, &["Service web", "8080", "past the sidecar", "targetPort"]).await
}

/// Such a Service would go on sending to drained pods.
pub async fn publishes_not_ready(space: &Space) -> Result<Figures> {
    let service = |service: &mut serde_json::Value| service["spec"]["publishNotReadyAddresses"] = json!(true);
    let app = Template::web()?.replicas(1).edit("Service", service).deploy(space).await?;
    refused(&app, json!({}), Code::TargetInvalid, &["Service web", "publishNotReadyAddresses"]).await
}
