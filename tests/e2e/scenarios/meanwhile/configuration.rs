//! The ConfigMap that a run has promoted is edited or deleted by somebody else, and then the run fails.
//!
//! **Invariant:** what somebody else wrote is never written over, and nobody is told that all is as before.

use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::pods::PodWatch;
use crate::support::request::{Request, condition, sentence};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DeleteParams;
use restart_controller::api::{Code, ConditionStatus, RestartRequestStatus, Step};
use serde_json::json;

const BAD: &str = "greeting: promoted\nexitAtStart: true\n";
const THEIRS: &str = "greeting: somebody else's\nexitAtStart: true\n";

/// Edited.
pub async fn edited(space: &Space) -> Result<Figures> {
    let app = deploy(space).await?;
    let (load, watch, old) = begin(&app).await?;
    let request = promote(&app, 120).await?;
    app.edit_config(THEIRS).await?;
    let status = request.failed(Code::ReplacementUnhealthy, 120).await?;
    let content = app.content().await?.0["config.yaml"].clone();
    ensure!(content == THEIRS, "somebody else's edit was written over with {content}");
    end(&app, &status, load, &watch, &old).await
}

/// Deleted: no new pod starts without it.
pub async fn deleted(space: &Space) -> Result<Figures> {
    let app = deploy(space).await?;
    let (load, watch, old) = begin(&app).await?;
    let request = promote(&app, 10).await?;
    space.api::<ConfigMap>().delete(&app.config(), &DeleteParams::default()).await?;
    let status = request.failed(Code::ReplacementUnhealthy, 120).await?;
    let found = space.api::<ConfigMap>().get_opt(&app.config()).await?;
    ensure!(found.is_none(), "what somebody else deleted was made anew");
    end(&app, &status, load, &watch, &old).await
}

type Account<'a> = (Load<'a>, PodWatch, std::collections::BTreeSet<String>);

async fn deploy(space: &Space) -> Result<App<'_>> {
    Template::web()?.replicas(2).deploy_with_load(space).await
}

async fn begin<'a>(app: &App<'a>) -> Result<Account<'a>> {
    let load = Load::start(app.space, "config", &app.address().await?, 50, json!({})).await?;
    Ok((load, PodWatch::start(app).await?, app.uids().await?))
}

/// A run that has promoted what no pod starts on, and waits for its first replacement.
async fn promote<'a>(app: &App<'a>, deadline: i32) -> Result<Request<'a>> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"}, "data": {"config.yaml": BAD}});
    app.space.apply(&[map]).await?;
    let promotion = json!({"configMaps": [{"name": "web-config", "from": "web-config-next"}]});
    let spec = json!({"config": promotion, "progressDeadlineSeconds": deadline});
    let request = Request::apply(app.space, "web", app.name, spec).await?;
    request.entered(Step::Surging).await?;
    Ok(request)
}

/// The old pods serve, none was told to go, nothing was lost, and the request says what is not as before.
async fn end(
    app: &App<'_>,
    status: &RestartRequestStatus,
    load: Load<'_>,
    watch: &PodWatch,
    old: &std::collections::BTreeSet<String>,
) -> Result<Figures> {
    let restored = status.conditions.iter().find(|condition| condition.condition_type == "Restored");
    let told = restored.is_some_and(|condition| condition.reason == "RestoreConflict");
    ensure!(told && condition(status, "Restored") == Some(ConditionStatus::False), "not told: {}", sentence(status));
    app.whole().await?;
    ensure!(app.uids().await? == *old, "old pods were replaced");
    watch.never_told_to_go(old)?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok(Figures::default().load(&report).and(status.message.clone()))
}
