//! Somebody edits the lock in mid-run: the run that lost it stops where it is, and says so.
//!
//! **Invariant:** the controller never fights over a lock; what it left behind, the next run finishes.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::{Request, condition, sentence};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use restart_controller::api::{Code, ConditionStatus, RestartHistory, Step};
use serde_json::json;

/// The RestartHistory names another request, which exists.
pub async fn edited(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let other = Request::apply(space, "other", "nobody", json!({})).await?;
    other.failed(Code::TargetInvalid, 20).await?;
    let request = Request::apply(space, "web", "web", json!({})).await?;
    request.entered(Step::Draining).await?;
    let history = app.history().await?.ok_or("there is no RestartHistory")?.name_any();
    let api = space.api::<RestartHistory>();
    let take = json!({"status": {"active": {"request": "other", "uid": other.uid().await?, "spec": {}}}});
    api.patch_status(&history, &PatchParams::default(), &Patch::Merge(take)).await?;
    let status = request.failed(Code::Internal, 30).await?;
    // The other one has ended, so that its lock is about to be given back.
    let told = ["RestartRequest other (which has ended", "holds the workload now"];
    let told = told.iter().all(|words| status.message.contains(words));
    let restored = condition(&status, "Restored");
    ensure!(told && restored == Some(ConditionStatus::False), "not told: {}", sentence(&status));
    // The lock of a request that has ended is given back by itself: what it names is put back, and the next one has its turn.
    let next = json!({"force": true, "concurrencyPolicy": "Queue"});
    Request::apply(space, "next", "web", next).await?.completed(90).await?;
    app.whole().await?;
    Ok(Figures::note(format!("{}: {}; the next request finished it", Code::Internal.number(), status.message)))
}
