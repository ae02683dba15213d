//! A replacement that cannot be made: reported soon, given up in time, and everything as before.
//!
//! **Invariant:** the cluster's own words reach the user.

use super::configuration::quota;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::json;

/// A quota has no room for one more pod.
pub async fn no_room_for_a_replacement(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy(space).await?;
    quota(space, &json!({"pods": "2"})).await?;
    given_up(&app, "quota").await
}

/// No node has what the pod asks for: the old pods have been there before the request grew. The second pod does not fit
/// beside the first because both want the same host port.
pub async fn no_node_for_a_replacement(space: &Space) -> Result<Figures> {
    let port = |pod: &mut serde_json::Value| {
        pod["containers"][0]["ports"] = json!([{"name": "only-one", "containerPort": 8099, "hostPort": 31_337}]);
    };
    // Its own rollouts cannot surge either, or it would never have come to be.
    let rolling = |deployment: &mut serde_json::Value| {
        deployment["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
    };
    let app = Template::web()?.replicas(1).edit_pod(port).edit("Deployment", rolling).deploy(space).await?;
    given_up(&app, "free ports").await
}

async fn given_up(app: &crate::support::app::App<'_>, word: &str) -> Result<Figures> {
    let before = app.starts().await?;
    let request = Request::apply(app.space, "web", app.name, json!({"progressDeadlineSeconds": 12})).await?;
    request.until(&format!("a message with the word {word:?}"), 10, |status| status.message.contains(word)).await?;
    let status = request.failed_and_restored(Code::ReplacementUnhealthy, 60).await?;
    ensure!(status.message.contains(word), "the result does not say why: {}", status.message);
    app.settled().await?;
    let after = app.starts().await?;
    ensure!(before == after, "pods were stopped: before {before:?}, after {after:?}");
    Ok(Figures::note(format!("restored in {}: {}", took(&status), status.message)))
}
