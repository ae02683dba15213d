//! Requests beside each other, cancelled, deleted, or with a status that nobody but the controller may write.
//!
//! **Invariant:** whatever is done to a request, the pods end up whole and the finalizer gone.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load;
use crate::support::pods::PodWatch;
use crate::support::request::{Request, condition, create, manifest, sentence, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, ConditionStatus, Phase, RestartRequestStatus, Step};
use serde_json::{Value, json};

fn at_once() -> Value {
    json!({"strategy": {"maxParallel": "100%"}})
}

/// The second is refused, the first goes on.
pub async fn two_at_once(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let first = Request::apply(space, "first", "web", at_once()).await?;
    first.entered(Step::Surging).await?;
    let second = Request::apply(space, "second", "web", json!({})).await?;
    let status = second.failed(Code::AlreadyRestarting, 20).await?;
    ensure!(status.message.contains("RestartRequest first"), "the message does not name the first: {}", status.message);
    first.completed(90).await?;
    app.settled().await?;
    Ok(Figures::note(format!("{}: {}", Code::AlreadyRestarting.number(), status.message)).replaced(1))
}

/// A status that says Completed is dropped, and the restart happens.
pub async fn made_up_status(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let old = app.uids().await?;
    let mut object = manifest("web", "web", json!({"force": true}));
    object["status"] = json!({"observedGeneration": 1, "phase": "Completed", "step": "Finished", "progress": "9/9", "message": "made up"});
    create(space, object).await?;
    let status = Request::named(space, "web").completed(90).await?;
    ensure!(
        status.progress == "1/1" && status.message != "made up",
        "the made-up status was taken: {}",
        sentence(&status)
    );
    app.settled().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "nothing was restarted");
    Ok(Figures::note("ignored; restarted for real").replaced(1))
}

/// Somebody's rollout goes first; cancelled while waiting for it.
pub async fn cancelled_while_pending(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let old = app.uids().await?;
    // A rollout that never ends: its image is nowhere.
    space.kubectl(&["set", "image", "deployment/web", "app=restart-controller.dev/no-such-image:1"]).await?;
    let request = Request::apply(space, "web", "web", json!({})).await?;
    request.until("phase Pending", 20, |status| status.phase == Some(Phase::Pending)).await?;
    request.patch(json!({"spec": {"cancel": true}})).await?;
    let status = request.ended(20).await?;
    ensure!(status.phase == Some(Phase::Cancelled), "not Cancelled: {}", sentence(&status));
    ensure!(app.uids().await?.is_superset(&old), "a pod was touched");
    Ok(Figures::note(format!("Cancelled: {}", status.message)))
}

/// Cancelled from the beginning.
pub async fn cancelled_before_it_begins(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let before = app.untouched().await?;
    let request = Request::apply(space, "web", "web", json!({"cancel": true})).await?;
    let status = request.ended(20).await?;
    ensure!(status.phase == Some(Phase::Cancelled), "not Cancelled: {}", sentence(&status));
    request.patch(json!({"spec": {"cancel": false}})).await?;
    let seen = |now: &RestartRequestStatus| now.observed_generation > status.observed_generation;
    let now = request.reached("the generation without cancel to be seen", 20, seen).await?;
    ensure!(now.phase == Some(Phase::Cancelled), "cancel set back has an effect: {}", sentence(&now));
    let after = app.untouched().await?;
    ensure!(before == after, "something was touched:\nbefore {before}\nafter  {after}");
    Ok(Figures::note(format!("Cancelled: {}; so it stays when cancel is set back", status.message)))
}

/// Too late: said so, and the run completes.
pub async fn cancelled_too_late(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let old = app.uids().await?;
    let request = Request::apply(space, "web", "web", at_once()).await?;
    request.entered(Step::Draining).await?;
    request.patch(json!({"spec": {"cancel": true}})).await?;
    request.until("condition CancelRejected", 20, |status| condition(status, "CancelRejected").is_some()).await?;
    // As a GitOps tool does that knows nothing of it.
    request.patch(json!({"spec": {"cancel": false}})).await?;
    let status = request.completed(90).await?;
    ensure!(
        condition(&status, "CancelRejected") == Some(ConditionStatus::True),
        "no condition CancelRejected: {}",
        sentence(&status)
    );
    app.settled().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "the run did not go on");
    Ok(Figures::note("CancelRejected; Completed").replaced(1))
}

/// Deleted while a pod is drained: the pod comes back, then the object goes. The slow requests go on.
pub async fn deleted_while_running(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy_with_load(space).await?;
    let slow = json!({"count": 10, "workMillis": 12_000, "slowBodies": 0.0});
    let slow = load::Load::start(space, "slow", &app.address().await?, 10, slow).await?;
    slow.sent(10).await?;
    let starts = app.starts().await?;
    let watch = PodWatch::start(&app).await?;
    let request = Request::apply(space, "web", "web", at_once()).await?;
    request.entered(Step::Draining).await?;
    request.delete().await?;
    request.gone(90).await?;
    app.whole().await?;
    let after = app.starts().await?;
    ensure!(starts == after, "pods were stopped: before {starts:?}, after {after:?}");
    watch.never_told_to_go(&starts.into_keys().collect())?;
    let report = slow.finished().await?;
    report.nothing_lost()?;
    let again = Request::apply(space, "again", "web", at_once()).await?.completed(90).await?;
    Ok(Figures::default().load(&report).and(format!("back and gone; another request completed in {}", took(&again))))
}
