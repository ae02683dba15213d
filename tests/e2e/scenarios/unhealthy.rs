//! Pods that are not Ready when a restart begins: they go first, hold up nothing, and say nothing about the configuration.
//!
//! **Invariant:** a pod is ill before the request exists, as the API server says; what is judged is the end, and its time.

use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::pods::is_ready;
use crate::support::processes::Stopped;
use crate::support::request::took;
use crate::support::space::Space;
use crate::support::wait::{Look, until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::ListParams;
use restart_controller::api::{Phase, RestartRequestStatus};
use serde_json::json;

/// The name of the sidecar's process.
const SIDECAR: &str = "restart-sidecar";
const GOOD: &str = "greeting: the fix\ndelayMillis: 200\n";
const BAD: &str = "greeting: never seen\nexitAtStart: true\n";

/// The last pod by name hangs, and the edit that is to help is good: it stays, and nothing is lost.
pub async fn hung(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(3).deploy_with_load(space).await?;
    app.restart("before", json!({"strategy": {"maxParallel": "100%"}})).await?.completed(90).await?;
    let load = Load::start(space, "hung", &app.address().await?, 50, json!({})).await?;
    load.sent(50).await?;
    let ill = hang(&app, 2).await?;
    app.edit_config(GOOD).await?;
    let (old, fixed) = (app.uids().await?, app.content().await?);
    let status = app.restart("fix", json!({"progressDeadlineSeconds": 60})).await?.completed(120).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    ensure!(first(&status) == [ill.clone()], "{ill} did not go first: {:?}", first(&status));
    ensure!(fixed == app.content().await?, "the good edit was taken back");
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok(Figures::default().load(&report).replaced(3).and(format!("{ill} first, completed in {}", took(&status))))
}

/// Every pod exits again and again on a bad configuration; the fix and one restart heal all of them at once.
pub async fn all_of_them(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(3).deploy(space).await?;
    app.edit_config(BAD).await?;
    let labels = format!("app={}", app.name);
    space.kubectl(&["delete", "pods", "-l", &labels, "--grace-period=1"]).await?;
    until("every pod to exit again and again", 90, async || {
        let exits = app.pods().await?.iter().filter(|pod| backs_off(pod)).count();
        Ok(when(exits == 3, || format!("{exits} of 3")))
    })
    .await?;
    let old = app.uids().await?;
    app.edit_config(GOOD).await?;
    let status = app.restart("fix", json!({})).await?.completed(60).await?;
    app.whole().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    ensure!(first(&status).len() == 3, "they did not go all at once: {:?}", first(&status));
    Ok(Figures::note(format!("3 pods healed in {}", took(&status))).replaced(3))
}

/// The lowest pod of a StatefulSet hangs: without it no other would be started again.
pub async fn of_a_stateful_set(space: &Space) -> Result<Figures> {
    let app = Template::stateful_set()?.deploy_with_load(space).await?;
    let load = Load::start(space, "ordered", &app.address().await?, 50, json!({})).await?;
    load.sent(50).await?;
    let ill = hang(&app, 0).await?;
    let old = app.uids().await?;
    let status = app.restart("web", json!({"progressDeadlineSeconds": 60})).await?.completed(150).await?;
    app.settled().await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    ensure!(first(&status) == [ill.clone()], "{ill} did not go first: {:?}", first(&status));
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok(Figures::default().load(&report).replaced(3).and(format!("{ill} first, completed in {}", took(&status))))
}

/// A machine that stalls for seconds is late with an answer to the kubelet. That says nothing about the pod.
pub async fn late_with_one_probe(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let pod = app.pods().await?.remove(0);
    let (name, since) = (pod.name_any(), ready_since(&pod));
    let stopped = Stopped::stop(&pod.uid().unwrap_or_default(), SIDECAR)?;
    let missed = until("the kubelet to miss an answer", 30, async || {
        let events = space.api::<Event>().list(&ListParams::default()).await?.items;
        let missed = events.into_iter().filter_map(|event| event.message).find(|message| message.contains("exceeded"));
        Ok(missed.map_or_else(|| Look::NotYet("it has missed none".into()), Look::Done))
    })
    .await?;
    drop(stopped);
    let unready = space.kubectl(&["wait", "--for=condition=Ready=false", &format!("pod/{name}"), "--timeout=4s"]).await;
    ensure!(unready.is_err(), "{name} was not Ready after: {missed}");
    ensure!(ready_since(&space.api::<Pod>().get(&name).await?) == since, "{name} was not Ready for a moment");
    Ok(Figures::note(missed))
}

/// When the pod became Ready.
fn ready_since(pod: &Pod) -> Option<Time> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")?.last_transition_time.clone()
}

/// The pod at this place, by name, is not Ready any more and never will be; its name.
async fn hang(app: &App<'_>, place: usize) -> Result<String> {
    let mut pods = app.pods().await?;
    pods.sort_by_key(kube::ResourceExt::name_any);
    let name = pods.get(place).ok_or("there are too few pods")?.name_any();
    app.tell(&pods[place], "/sick").await?;
    until("the pod to be not Ready", 60, async || {
        let ready = is_ready(&app.space.api::<Pod>().get(&name).await?);
        Ok(when(!ready, || "it is Ready".into()))
    })
    .await?;
    Ok(name)
}

fn backs_off(pod: &Pod) -> bool {
    let statuses = pod.status.iter().filter_map(|status| status.container_statuses.as_ref()).flatten();
    let mut waiting = statuses.filter_map(|container| container.state.as_ref()?.waiting.as_ref());
    waiting.any(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
}

/// The pods that were drained first.
fn first(status: &RestartRequestStatus) -> Vec<String> {
    let mut drains = status.history.iter().filter(|entry| entry.phase == Phase::WaitingRequests);
    drains.next().map(|entry| entry.pods.clone()).unwrap_or_default()
}
