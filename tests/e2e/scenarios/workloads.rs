//! StatefulSets and DaemonSets: no room for a second pod, so one goes before the next comes.
//!
//! **Invariant:** which pod went when is read from the history that users read.

use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use restart_controller::api::{Code, Phase, RestartRequestStatus};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BAD: &str = "greeting: never seen\nexitAtStart: true\n";
const REVISION: &str = "controller-revision-hash";

async fn restart<'a>(app: &App<'a>, name: &str, more: Value) -> Result<Request<'a>> {
    let mut spec = json!({"targetRef": {"kind": app.kind, "name": app.name}, "progressDeadlineSeconds": 120});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    Request::apply(app.space, name, app.name, spec).await
}

/// The pods in the order in which they were taken out of their Services.
pub(super) fn order(status: &RestartRequestStatus) -> Vec<String> {
    let mut order = vec![];
    for pod in status.history.iter().filter(|entry| entry.phase == Phase::WaitingRequests).flat_map(|entry| &entry.pods)
    {
        if !order.contains(pod) {
            order.push(pod.clone());
        }
    }
    order
}

/// The revision of each pod by its name.
async fn revisions(app: &App<'_>) -> Result<BTreeMap<String, String>> {
    let revision = |pod: &Pod| pod.labels().get(REVISION).cloned().unwrap_or_default();
    Ok(app.pods().await?.iter().map(|pod| (pod.name_any(), revision(pod))).collect())
}

/// Patches the workload.
async fn patch(app: &App<'_>, change: Value) -> Result {
    let patch = Patch::Merge(change);
    app.space.api::<k8s_openapi::api::apps::v1::StatefulSet>().patch(app.name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Three pods under load, then a promotion that breaks the first: it is healed, and nothing is lost.
pub async fn stateful_set(space: &Space) -> Result<Figures> {
    let app = Template::stateful_set()?.deploy_with_load(space).await?;
    let load = Load::start(space, "ordered", &app.address().await?, 60, json!({})).await?;
    let old = app.uids().await?;
    let status = restart(&app, "web", json!({})).await?.completed(150).await?;
    ensure!(order(&status) == ["web-2", "web-1", "web-0"], "the order was {:?}", order(&status));
    ensure!(old.is_disjoint(&app.uids().await?) && status.progress == "3/3", "progress {}", status.progress);
    let (before, old) = (app.content().await?, app.uids().await?);
    let candidate = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"},
        "data": {"config.yaml": BAD}});
    space.apply(&[candidate]).await?;
    let promotion = json!({"config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]}});
    let failed = restart(&app, "bad", promotion).await?.failed_and_restored(Code::ReplacementUnhealthy, 150).await?;
    app.settled().await?;
    let kept = old.intersection(&app.uids().await?).count();
    ensure!(kept == 2, "{kept} of the 2 pods that the bad configuration never reached are left");
    ensure!(before == app.content().await?, "the configuration was not restored");
    let report = load.stop().await?;
    report.nothing_lost()?;
    let figures = Figures::default().load(&report).replaced(4);
    Ok(figures.and(format!("web-2, web-1, web-0; a broken web-2 healed in {}", took(&failed))))
}

/// One pod is the last endpoint; then a template that nobody rolled out, a partition, and no pod at all.
pub async fn stateful_set_alone(space: &Space) -> Result<Figures> {
    let app = Template::stateful_set()?.replicas(1).deploy(space).await?;
    let untouched = app.uids().await?;
    let refused = restart(&app, "last", json!({})).await?.failed(Code::LastEndpoint, 60).await?;
    ensure!(refused.message.contains("allowDisruption"), "the message does not help: {}", refused.message);
    ensure!(untouched == app.uids().await?, "a pod was touched");
    let permitted = json!({"strategy": {"allowDisruption": true}});
    restart(&app, "permitted", permitted.clone()).await?.completed(90).await?;
    ensure!(untouched.is_disjoint(&app.uids().await?), "the pod was not replaced");
    patch(
        &app,
        json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null},
        "template": {"metadata": {"annotations": {"example.test/version": "2"}}}}}),
    )
    .await?;
    let pending = restart(&app, "pending", json!({})).await?.failed(Code::TargetInvalid, 60).await?;
    ensure!(pending.message.contains("OnDelete"), "the message does not say why: {}", pending.message);
    let before = revisions(&app).await?;
    restart(&app, "rolls-out", permitted).await?.completed(90).await?;
    ensure!(before != revisions(&app).await?, "the permitted restart did not roll the template out");
    patch(&app, json!({"spec": {"replicas": 0}})).await?;
    app.settled().await?;
    let nothing = restart(&app, "nothing", json!({})).await?.completed(60).await?;
    ensure!(nothing.progress == "0/0", "progress {}", nothing.progress);
    Ok(Figures::note(format!("010, then permitted; 007 on OnDelete, then permitted; 0/0: {}", nothing.message)))
}

/// Pods below the partition keep the old template through a restart.
pub async fn partition(space: &Space) -> Result<Figures> {
    let app = Template::stateful_set()?.replicas(2).deploy(space).await?;
    patch(
        &app,
        json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        "template": {"metadata": {"annotations": {"example.test/version": "2"}}}}}),
    )
    .await?;
    let two = async || {
        Ok::<_, crate::support::Error>(revisions(&app).await?.into_values().collect::<std::collections::BTreeSet<_>>())
    };
    crate::support::wait::until("the rollout down to the partition", 90, async || {
        let found = two().await?.len();
        Ok(crate::support::wait::when(found == 2, || format!("{found} revisions")))
    })
    .await?;
    app.settled().await?;
    let (before, old) = (revisions(&app).await?, app.uids().await?);
    restart(&app, "web", json!({})).await?.completed(120).await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    ensure!(before == revisions(&app).await?, "the restart rolled a template out");
    Ok(Figures::note("2 pods replaced, each on the revision that it had"))
}

/// The pod of the only node is its Service's last endpoint.
pub async fn daemon_set(space: &Space) -> Result<Figures> {
    let app = Template::daemon_set()?.deploy(space).await?;
    let old = app.uids().await?;
    restart(&app, "last", json!({})).await?.failed(Code::LastEndpoint, 60).await?;
    ensure!(old == app.uids().await?, "a pod was touched");
    let permitted = json!({"strategy": {"allowDisruption": true}});
    let status = restart(&app, "permitted", permitted).await?.completed(90).await?;
    ensure!(old.is_disjoint(&app.uids().await?) && status.progress == "1/1", "progress {}", status.progress);
    Ok(Figures::note("010, then permitted: 1/1"))
}
