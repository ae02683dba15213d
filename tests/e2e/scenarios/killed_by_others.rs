//! Pods that somebody else sends away: the sidecar and the two preStop hooks alone, no request, no controller involved.
//!
//! **Invariant:** each way of going has its own account of the load.

use crate::support::Result;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::{Load, Report};
use crate::support::pods::PodWatch;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use kube::ResourceExt;
use serde_json::json;
use std::collections::BTreeSet;

/// `kubectl delete pod`, a scale-down and `kubectl rollout restart`.
pub async fn delete_scale_rollout(space: &Space) -> Result<Figures> {
    let app = Template::web()?.deploy_with_load(space).await?;
    let (deleted, first) = account(&app, "delete", delete_one(&app)).await?;
    let (scaled, second) = account(&app, "scale", scale_down(&app)).await?;
    let (rolled, third) = account(&app, "rollout", roll_out(&app)).await?;
    let note = format!("delete {}, scale-down {}, rollout {} sent", deleted.sent, scaled.sent, rolled.sent);
    Ok(Figures::default().load(&deleted).load(&scaled).load(&rolled).replaced(first + second + third).and(note))
}

/// The load through one event, until every pod that it concerns is gone; and how many those were.
async fn account(app: &App<'_>, name: &str, event: impl Future<Output = Result>) -> Result<(Report, usize)> {
    app.settled().await?;
    let load = Load::start(app.space, name, &app.address().await?, 200, json!({})).await?;
    let watch = PodWatch::start(app).await?;
    load.sent(200).await?;
    event.await?;
    app.settled().await?;
    let staying = app.uids().await?;
    let gone = gone(&watch, &staying).await?;
    let report = load.stop().await?;
    report.nothing_lost().map_err(|error| format!("{name}: {error}"))?;
    Ok((report, gone))
}

async fn gone(watch: &PodWatch, staying: &BTreeSet<String>) -> Result<usize> {
    until("the pods to be gone", 90, async || {
        let left = watch.lives().into_iter().filter(|(uid, life)| !staying.contains(uid) && !life.gone).count();
        Ok(when(left == 0, || format!("{left} are still there")))
    })
    .await?;
    Ok(watch.lives().len() - staying.len())
}

async fn delete_one(app: &App<'_>) -> Result {
    let pod = app.pods().await?.first().map(ResourceExt::name_any).ok_or("there is no pod")?;
    app.space.kubectl(&["delete", "pod", &pod]).await?;
    Ok(())
}

async fn scale_down(app: &App<'_>) -> Result {
    app.scale(1).await?;
    app.settled().await
}

async fn roll_out(app: &App<'_>) -> Result {
    app.scale(3).await?;
    app.settled().await?;
    app.space.kubectl(&["rollout", "restart", "deployment/web"]).await?;
    app.space.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).await?;
    Ok(())
}
