//! `concurrencyPolicy: Queue`: requests for one workload wait for each other, the oldest first.
//!
//! **Invariant:** names run against the alphabet, so that only age can have put them in order.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::{Request, sentence};
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::jiff::Timestamp;
use restart_controller::api::{Phase, RestartRequestStatus, Step};
use serde_json::{Value, json};

/// Pods without a sidecar stop at once: without any load a quiet window is 15 s.
fn queued() -> Value {
    json!({"concurrencyPolicy": "Queue", "force": true, "verify": {"soakSeconds": 0}})
}

/// Behind a running one: four, of which one is cancelled and one deleted.
pub async fn oldest_first(space: &Space) -> Result<Figures> {
    let app = Template::plain()?.replicas(1).deploy(space).await?;
    let running =
        Request::apply(space, "running", "plain", json!({"force": true, "verify": {"soakSeconds": 8}})).await?;
    running.entered(Step::Surging).await?;
    let mut waiting = vec![];
    for name in ["z-first", "y-cancelled", "x-deleted", "a-last"] {
        let request = Request::apply(space, name, "plain", queued()).await?;
        request.until("phase Pending", 20, |status| status.phase == Some(Phase::Pending)).await?;
        a_second_later().await?;
        waiting.push(request);
    }
    let [first, cancelled, deleted, last] = &waiting[..] else { return Err("four were asked for".into()) };
    let said = last.status().await?.message;
    ensure!(said.contains("queued behind RestartRequest"), "the message does not say what it waits for: {said}");
    cancelled.patch(json!({"spec": {"cancel": true}})).await?;
    let status = cancelled.ended(20).await?;
    ensure!(status.phase == Some(Phase::Cancelled), "not Cancelled: {}", sentence(&status));
    deleted.delete().await?;
    deleted.gone(20).await?;
    let runs = [running.completed(60).await?, first.completed(60).await?, last.completed(60).await?];
    ensure!(
        runs.windows(2).all(|pair| one_after_the_other(&pair[0], &pair[1])),
        "not one after the other: {:#?}",
        runs.map(|run| (begun(&run), run.finished_at))
    );
    app.whole().await?;
    Ok(Figures::default()
        .replaced(3)
        .and("one after the other, the oldest first; one cancelled, one deleted in the queue"))
}

/// Creation times have whole seconds.
async fn a_second_later() -> Result {
    let now = Timestamp::now().as_second();
    until("the next second", 3, async || Ok(when(Timestamp::now().as_second() > now, || "the same second".into())))
        .await
}

fn one_after_the_other(earlier: &RestartRequestStatus, later: &RestartRequestStatus) -> bool {
    earlier.finished_at.as_ref().is_some_and(|end| begun(later).is_some_and(|begin| begin >= end.0))
}

fn begun(status: &RestartRequestStatus) -> Option<Timestamp> {
    // One that was faster for a moment goes back to the queue from Preparing.
    let entry = status.history.iter().find(|entry| entry.phase == Phase::Restarting)?;
    Some(entry.started_at.0)
}
