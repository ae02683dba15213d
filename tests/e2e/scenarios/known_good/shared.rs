//! Two workloads that read one ConfigMap: it goes back only if the other has not been restarted onto it.
//!
//! **Invariant:** the workload that runs well on the new content keeps it.

use super::{BAD, content, good, restart};
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::request::{condition, sentence};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, ConditionStatus};
use serde_json::{Value, json};

fn reads_shared(pod: &mut Value) {
    pod["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "shared"}}]);
}

/// First the other one has not started on it, then it has.
pub async fn restored_or_kept(space: &Space) -> Result<Figures> {
    edit(space, "first").await?;
    let web = Template::web()?.replicas(1).edit_pod(reads_shared).deploy(space).await?;
    let other = Template::web()?.renamed("other").replicas(1).edit_pod(reads_shared).deploy(space).await?;
    let before = (good(&web, "shared").await?, good(&web, "web-config").await?);
    good(&other, "shared").await?;
    edit(space, "second").await?;
    web.edit_config(BAD).await?;
    restart(&web, "alone", json!({})).await?.failed_and_restored(Code::ReplacementUnhealthy, 120).await?;
    let after = (content(&web, "shared").await?, content(&web, "web-config").await?);
    ensure!(after == before, "not restored: before {before:?}, after {after:?}");
    edit(space, "second").await?;
    let second = content(&web, "shared").await?;
    restart(&other, "other", json!({})).await?.completed(90).await?;
    web.edit_config(BAD).await?;
    let conflict = conflict(&web).await?;
    ensure!(content(&web, "shared").await? == second, "it was taken from under the other workload");
    Ok(Figures::note(format!("restored alone; then {conflict}")))
}

async fn conflict(web: &App<'_>) -> Result<String> {
    let status = restart(web, "conflict", json!({})).await?.failed(Code::ReplacementUnhealthy, 150).await?;
    let restored = status.conditions.iter().find(|condition| condition.condition_type == "Restored");
    let told = restored
        .is_some_and(|restored| restored.reason == "RestoreConflict" && restored.message.contains("Deployment other"));
    ensure!(told && condition(&status, "Restored") == Some(ConditionStatus::False), "not told: {}", sentence(&status));
    Ok(restored.map(|restored| restored.message.clone()).unwrap_or_default())
}

async fn edit(space: &Space, value: &str) -> Result {
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"SHARED": value}});
    space.apply(&[map]).await
}
