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

/// No node takes a second pod: they want to be alone among all nodes, however many there are.
pub async fn no_node_for_a_replacement(space: &Space) -> Result<Figures> {
    let alone = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/os"});
    let rules = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [alone]}});
    let app = Template::web()?.replicas(1).edit_pod(|pod| pod["affinity"] = rules.clone()).deploy(space).await?;
    given_up(&app, "anti-affinity").await
}

async fn given_up(app: &crate::support::app::App<'_>, word: &str) -> Result<Figures> {
    let before = app.starts().await?;
    let request = Request::apply(app.space, "web", app.name, json!({"progressDeadlineSeconds": 12})).await?;
    request.until(&format!("a message with the word {word:?}"), 10, |status| status.message.contains(word)).await?;
    let status = request.failed_and_restored(Code::ReplacementUnhealthy, 60).await?;
    for word in [word, "strategy Rolling"] {
        ensure!(status.message.contains(word), "the result does not say {word:?}: {}", status.message);
    }
    app.settled().await?;
    let after = app.starts().await?;
    ensure!(before == after, "pods were stopped: before {before:?}, after {after:?}");
    Ok(Figures::note(format!("restored in {}: {}", took(&status), status.message)))
}
