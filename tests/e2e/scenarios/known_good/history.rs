//! `kubectl get rh` during and after a run; it outlives the request and dies with the workload.
//!
//! **Invariant:** what is judged is the line that people see.

use super::{good, restart};
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use restart_controller::api::Step;
use serde_json::json;

async fn line(space: &Space) -> Result<String> {
    let text = space.kubectl(&["get", "rh", "--no-headers"]).await?;
    Ok(text.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
}

/// Idle, each phase, Idle with the result; then the request goes, then the workload.
pub async fn shows_each_phase(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    good(&app, "web-config").await?;
    let idle = line(space).await?;
    ensure!(idle == "Deployment web Idle", "before any run: {idle}");
    let request = restart(&app, "now", json!({})).await?;
    request.entered(Step::Draining).await?;
    until("the phase to be shown", 5, async || {
        let line = line(space).await?;
        Ok(when(line == "Deployment web WaitingRequests now", || line))
    })
    .await?;
    request.completed(90).await?;
    let after = line(space).await?;
    ensure!(after.starts_with("Deployment web Idle Completed "), "after the run: {after}");
    request.delete().await?;
    request.gone(10).await?;
    ensure!(line(space).await?.starts_with("Deployment web Idle Completed "), "it does not outlive the request");
    space.kubectl(&["delete", "deployment", "web", "--wait=false"]).await?;
    until("the history and the copies to go with the workload", 60, async || {
        let left = space.kubectl(&["get", "rh,configmaps", "-o", "name"]).await?;
        Ok(when(!left.contains("deployment-web-") && !left.contains("/web-config-"), || left))
    })
    .await?;
    let explained = space.kubectl(&["explain", "restarthistories"]).await?;
    ensure!(explained.contains("RestartHistory is kept by the controller"), "kubectl explain rh: {explained}");
    Ok(Figures::note(after))
}
