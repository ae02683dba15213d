//! Last-known-good without a restart: it appears, it follows somebody's own rollout, and the first failed run goes back to it.
//!
//! **Invariant:** it never holds what some pod has not started on.

use super::{BAD, content, good, known, restart};
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::{Request, manifest};
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};
use restart_controller::api::{Code, SnapshotSource};
use serde_json::json;

/// Edited, with one pod of two younger than the edit: not yet. With both: now.
pub async fn follows_the_pods(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy(space).await?;
    let first = good(&app, "web-config").await?;
    app.edit_config("greeting: second\n").await?;
    a_second_later(space, "web-config").await?;
    let pods = app.pods().await?;
    space.api::<Pod>().delete(&pods[0].name_any(), &DeleteParams::default()).await?;
    app.settled().await?;
    ensure!(known(&app, "web-config").await? == Some(first.clone()), "one pod is older than what is called good");
    // Whoever asks for a restart is told what last-known-good is: one pod still runs on it.
    let refused = restart(&app, "drift", json!({"reload": false})).await?.failed(Code::ConfigDrift, 30).await?;
    ensure!(known(&app, "web-config").await? == Some(first), "one pod is older than what is called good");
    space.api::<Pod>().delete(&pods[1].name_any(), &DeleteParams::default()).await?;
    app.settled().await?;
    good(&app, "web-config").await?;
    Ok(Figures::note(format!("appears, waits for the last old pod, then advances; meanwhile {}", refused.message)))
}

/// A GitOps commit changes configuration and request together, and no run has ever succeeded; then it is applied once more.
pub async fn in_place_with_the_request(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy(space).await?;
    let before = good(&app, "web-config").await?;
    let (old, commit) = (app.uids().await?, commit());
    space.apply(&commit).await?;
    let status = Request::named(space, "web").failed_and_restored(Code::ReplacementUnhealthy, 120).await?;
    let source = status.snapshot.as_ref().and_then(|snapshot| snapshot.config_maps.first()).map(|map| map.source);
    ensure!(source == Some(SnapshotSource::LastKnownGood), "the copy is from {source:?}");
    ensure!(content(&app, "web-config").await? == before, "not restored: {:?}", app.content().await?);
    app.whole().await?;
    ensure!(app.uids().await? == old, "old pods were replaced");
    space.apply(&commit[..1]).await?;
    until("the restore that was taken back to be told", 30, async || {
        let events = space.api::<Event>().list(&ListParams::default()).await?.items;
        let told = |kind: &str| {
            let about =
                |event: &&Event| event.regarding.as_ref().and_then(|object| object.kind.as_deref()) == Some(kind);
            events.iter().filter(about).any(|event| event.reason.as_deref() == Some("RevertedByGitOps"))
        };
        let history = app.history().await?.and_then(|history| history.status).unwrap_or_default();
        let marked = history.runs.first().is_some_and(|run| run.restored.iter().all(|map| map.reverted));
        let seen = (told("RestartRequest"), told("RestartHistory"), marked);
        Ok(when(seen == (true, true, true), || format!("[request, history, marked]: {seen:?}")))
    })
    .await?;
    ensure!(content(&app, "web-config").await? != before, "the controller fights over the ConfigMap");
    Ok(Figures::note("restored without an earlier run; RevertedByGitOps told, not fought"))
}

/// Pods prove by the API server's whole seconds that they are younger than an edit: waits for the next one.
async fn a_second_later(space: &Space, map: &str) -> Result {
    let maps = space.api::<ConfigMap>();
    let edited =
        maps.get(map).await?.metadata.managed_fields.into_iter().flatten().filter_map(|entry| entry.time).max();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let clock: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "clock"}}))?;
    until("the API server's next second", 10, async || {
        let now = maps.create(&dry_run, &clock).await?.metadata.creation_timestamp;
        Ok(when(now > edited, || format!("{now:?}")))
    })
    .await
}

/// It appears for them, too, and history and copies go when they go.
pub async fn of_other_kinds(space: &Space) -> Result<Figures> {
    for template in [Template::stateful_set()?.replicas(1), Template::daemon_set()?] {
        let app = template.deploy(space).await?;
        good(&app, "web-config").await?;
        space.kubectl(&["delete", "statefulset,daemonset", "web", "--ignore-not-found", "--wait=false"]).await?;
        until("the history and the copies to go with the workload", 60, async || {
            let left = space.kubectl(&["get", "rh,configmaps", "-o", "name"]).await?;
            Ok(when(!left.contains("set-web-") && !left.contains("/web-config-"), || left))
        })
        .await?;
        space.kubectl(&["delete", "pods", "--all", "--grace-period=0", "--force"]).await?;
    }
    Ok(Figures::note("appears for both kinds and goes with them"))
}

fn commit() -> Vec<serde_json::Value> {
    let labels = json!({"kustomize.toolkit.fluxcd.io/name": "shop"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config", "labels": labels},
        "data": {"config.yaml": BAD}});
    vec![map, manifest("web", "web", json!({"strategy": {"maxParallel": "100%"}}))]
}
