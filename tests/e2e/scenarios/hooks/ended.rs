//! Runs that end while a hook runs: nothing of it is left behind.
//!
//! **Invariant:** a Job is gone when the cluster has neither it nor its pods.

use super::Before;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::receiver::job;
use crate::support::request::{Request, sentence};
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use restart_controller::api::{Phase, names};
use serde_json::json;

/// Cancelled, then another one deleted, each while its Job runs.
pub async fn cancelled_and_deleted(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let before = Before::look(&app).await?;
    let endless = json!({"hooks": {"pre": [job("endless", &["app"], json!({"timeoutSeconds": 300}))]}});
    let cancelled = Request::apply(space, "cancelled", "web", endless.clone()).await?;
    running(space).await?;
    cancelled.patch(json!({"spec": {"cancel": true}})).await?;
    let status = cancelled.ended(30).await?;
    ensure!(status.phase == Some(Phase::Cancelled), "not Cancelled: {}", sentence(&status));
    gone(space).await?;
    let deleted = Request::apply(space, "deleted", "web", endless).await?;
    running(space).await?;
    deleted.delete().await?;
    deleted.gone(30).await?;
    gone(space).await?;
    before.same(&app).await?;
    Ok(Figures::note("Cancelled, and deleted: each Job gone with its pod"))
}

async fn running(space: &Space) -> Result {
    let pods = space.api::<Pod>();
    until("the hook's pod to run", 40, async || {
        let pods = pods.list(&ListParams::default().labels("batch.kubernetes.io/job-name")).await?.items;
        let runs = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        Ok(when(pods.iter().any(runs), || format!("{} pods", pods.len())))
    })
    .await
}

async fn gone(space: &Space) -> Result {
    until("the hook's Job and its pod to be gone", 30, async || {
        let jobs = space.api::<Job>().list(&ListParams::default().labels(names::RUN)).await?.items.len();
        let pods = ListParams::default().labels("batch.kubernetes.io/job-name");
        let pods = space.api::<Pod>().list(&pods).await?.items.len();
        Ok(when(jobs + pods == 0, || format!("{jobs} Jobs, {pods} pods")))
    })
    .await
}
