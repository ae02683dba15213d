//! Pods whose sidecar is missing, does not know the controller, or lacks the hooks.
//!
//! **Invariant:** only `force` goes on without the evidence.

use super::refused;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::{Value, json};

/// The public key of RFC 8032's first test, whose private half the controller does not have.
pub const STRANGER: &str = "stranger=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Refused; with force the pods are replaced all the same.
pub async fn missing(space: &Space) -> Result<Figures> {
    let app = Template::plain()?.replicas(2).deploy(space).await?;
    let figures =
        refused(&app, json!({}), Code::SidecarUnavailable, &["has no container restart-sidecar", "force"]).await?;
    let old = app.uids().await?;
    let spec = json!({"force": true, "strategy": {"maxParallel": "100%"}});
    Request::apply(space, "forced", app.name, spec).await?.completed(120).await?;
    app.settled().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "force did not replace every pod");
    Ok(figures.replaced(2).and("with force: Completed"))
}

/// A sidecar with somebody else's key.
pub async fn distrustful(space: &Space) -> Result<Figures> {
    space.trust(STRANGER).await?;
    let app = Template::web()?.replicas(1).deploy(space).await?;
    refused(&app, json!({}), Code::SidecarUnavailable, &["does not trust", "restart-controller-keys"]).await
}

/// The sidecar's own hook starts the drain.
pub async fn without_its_hook(space: &Space) -> Result<Figures> {
    let remove = |pod: &mut Value| pod["initContainers"][0]["lifecycle"] = Value::Null;
    let app = Template::web()?.replicas(1).edit_pod(remove).deploy(space).await?;
    refused(&app, json!({}), Code::TargetInvalid, &["no preStop hook", "terminating"]).await
}

/// The app's hook waits for it.
pub async fn without_the_apps_hook(space: &Space) -> Result<Figures> {
    let remove = |pod: &mut Value| pod["containers"][0]["lifecycle"] = Value::Null;
    let app = Template::web()?.replicas(1).edit_pod(remove).deploy(space).await?;
    refused(&app, json!({}), Code::TargetInvalid, &["/wait-drained"]).await
}
