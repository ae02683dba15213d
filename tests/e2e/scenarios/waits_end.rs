//! Waits that never ended: a sidecar that obeys no command, a second budget, a deletion that takes our records first.
//!
//! **Invariant:** each ends by the run's own deadline, and the message says what was in the way.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use restart_controller::api::{Code, Step};
use serde_json::{Value, json};

use super::input::sidecar::STRANGER;

/// Sidecars trust another key, and the request says force, as the book recommends then.
pub async fn a_key_that_was_lost(space: &Space) -> Result<Figures> {
    space.trust(STRANGER).await?;
    let app = Template::web()?.replicas(2).deploy(space).await?;
    let old = app.uids().await?;
    let status = Request::apply(space, "web", app.name, json!({"force": true})).await?.completed(120).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    Ok(Figures::note(format!("completed in {}", took(&status))).replaced(2))
}

/// The API server answers an eviction with an error once two budgets select the pod.
pub async fn a_second_budget(space: &Space) -> Result<Figures> {
    let late = |pod: &mut Value| pod["initContainers"][0]["readinessProbe"]["initialDelaySeconds"] = json!(6);
    let app = Template::web()?.replicas(2).edit_pod(late).deploy(space).await?;
    space.apply(&[budget("first", app.name)]).await?;
    let request = Request::apply(space, "web", app.name, json!({"progressDeadlineSeconds": 20})).await?;
    request.entered(Step::Surging).await?;
    space.apply(&[budget("second", app.name)]).await?;
    let told = request.until("the reason", 60, |status| status.message.contains("more than one PodDisruptionBudget"));
    told.await?;
    let status = request.failed_and_restored(Code::BudgetExhausted, 90).await?;
    app.whole().await?;
    Ok(Figures::note(format!("failed and restored in {}: {}", took(&status), status.message)))
}

fn budget(name: &str, app: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}}})
}

/// As Argo CD deletes an application: the copies of the configuration go before the Deployment does.
pub async fn a_foreground_deletion(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy(space).await?;
    let next = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"},
        "data": {"config.yaml": "greeting: next\n"}});
    space.apply(&[next]).await?;
    let config = json!({"config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]}});
    let request = Request::apply(space, "web", app.name, config).await?;
    request.entered(Step::Surging).await?;
    space.kubectl(&["delete", "deployment", app.name, "--cascade=foreground", "--wait=false"]).await?;
    let status = request.failed(Code::TargetInvalid, 90).await?;
    let api = space.api::<Deployment>();
    until("the Deployment to be gone", 60, async || {
        Ok(when(api.get_opt(app.name).await?.is_none(), || "it is there".into()))
    })
    .await?;
    Ok(Figures::note(format!("{} in {}: {}", Code::TargetInvalid.number(), took(&status), status.message)))
}
