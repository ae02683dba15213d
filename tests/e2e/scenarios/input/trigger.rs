//! `trigger`: what asks for one more run, and what a request made anew must not ask for again.
//!
//! **Invariant:** whether a pod was restarted is told by UIDs, never by the status.

use super::configuration::quota;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::request::{Request, create, manifest, sentence};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::DeleteParams;
use restart_controller::api::{Code, Phase, RestartRequestStatus, Step};
use serde_json::{Value, json};

/// Pods without a sidecar stop at once: without any load a quiet window is 15 s.
fn keyed(trigger: &str) -> Value {
    json!({"trigger": trigger, "force": true, "verify": {"soakSeconds": 1}})
}

async fn ran(request: &Request<'_>, trigger: &str) -> Result<RestartRequestStatus> {
    let ended = |status: &RestartRequestStatus| {
        status.last_handled_trigger.as_deref() == Some(trigger) && status.phase.is_some_and(Phase::is_terminal)
    };
    request.reached(&format!("the end of the run with trigger {trigger:?}"), 60, ended).await?;
    request.ended(20).await
}

/// The same manifest does nothing; another trigger, one more run; one in mid-run, one more after it; cancelled, none.
pub async fn asks_for_one_more(space: &Space) -> Result<Figures> {
    let app = Template::plain()?.replicas(1).deploy(space).await?;
    space.apply(&[manifest("again", "plain", keyed("a"))]).await?;
    let request = Request::named(space, "again");
    let status = ran(&request, "a").await?;
    ensure!(status.phase == Some(Phase::Completed), "not Completed: {}", sentence(&status));
    app.whole().await?;
    let (first, before) = (app.uids().await?, request.version().await?);
    space.apply(&[manifest("again", "plain", keyed("a"))]).await?;
    ensure!(request.version().await? == before, "the same manifest has changed something");

    request.patch(json!({"spec": {"trigger": "b", "reason": "another reason", "verify": {"soakSeconds": 0}}})).await?;
    let surging = |status: &RestartRequestStatus| status.step == Some(Step::Surging);
    request.reached("step Surging of the run with trigger \"b\"", 60, surging).await?;
    request.patch(json!({"spec": {"trigger": "c"}})).await?;
    let status = ran(&request, "c").await?;
    ensure!(status.phase == Some(Phase::Completed), "not Completed: {}", sentence(&status));
    app.whole().await?;
    let runs = runs(&app).await?;
    ensure!(runs == "Completed c, Completed b, Completed a", "the history has {runs}");
    let last = app.uids().await?;
    ensure!(first.is_disjoint(&last), "nothing was restarted");

    request.patch(json!({"spec": {"trigger": "d", "cancel": true}})).await?;
    let status = ran(&request, "d").await?;
    ensure!(status.phase == Some(Phase::Cancelled), "not Cancelled: {}", sentence(&status));
    ensure!(last == app.uids().await?, "a cancelled run has touched a pod");
    Ok(Figures::default().replaced(3).and(format!("the history has {runs}; re-armed with cancel: {}", status.message)))
}

/// The results of the workload's runs, newest first.
async fn runs(app: &App<'_>) -> Result<String> {
    let history = app.history().await?.ok_or("there is no RestartHistory")?;
    let runs = history.status.unwrap_or_default().runs;
    let words: Vec<String> =
        runs.iter().map(|run| format!("{:?} {}", run.result, run.trigger.as_deref().unwrap_or("-"))).collect();
    Ok(words.join(", "))
}

/// Deleted and applied again, as a GitOps tool does it when a namespace is made anew from Git: nothing runs twice.
pub async fn made_anew(space: &Space) -> Result<Figures> {
    let app = Template::plain()?.replicas(1).deploy(space).await?;
    Request::apply(space, "good", "plain", keyed("a")).await?.completed(60).await?;
    app.whole().await?;
    quota(space, &json!({"count/configmaps": "0"})).await?;
    app.edit_config("greeting: not copied yet\n").await?;
    Request::apply(space, "bad", "plain", keyed("a")).await?.failed(Code::BackupFailed, 40).await?;
    space.api::<ResourceQuota>().delete("tight", &DeleteParams::default()).await?;
    let before = app.uids().await?;
    for name in ["good", "bad"] {
        let request = Request::named(space, name);
        request.delete().await?;
        request.gone(20).await?;
        create(space, manifest(name, "plain", keyed("a"))).await?;
    }
    let good = Request::named(space, "good").completed(20).await?;
    let bad = Request::named(space, "bad").failed(Code::BackupFailed, 20).await?;
    for status in [&good, &bad] {
        let handled = status.history.last().is_some_and(|entry| entry.reason == "AlreadyHandled");
        ensure!(handled && status.history.len() == 1, "not AlreadyHandled: {:#?}", status.history);
    }
    ensure!(before == app.uids().await?, "a pod was restarted");
    Ok(Figures::note(format!(
        "Completed stays Completed, {} stays Failed: {}",
        Code::BackupFailed.number(),
        bad.message
    )))
}
