//! A node is lost while pods are being replaced, one of them there: with Surge and with Rolling, in one outage.
//!
//! **Invariant:** the node stays lost until both runs have ended: by their deadline, if nothing else ends them.

use super::{pod_on, spread_over_nodes};
use crate::support::app::{App, Content, Template, is_detached};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::nodes::{Stalled, load_on_the_first};
use crate::support::pods::is_ready;
use crate::support::request::{Request, condition, sentence, took};
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use kube::ResourceExt as _;
use restart_controller::api::{Phase, RestartRequestStatus, Step};
use serde_json::{Value, json};
use tokio::try_join;

const LOST: &str = "node2";
const EDIT: &str = "greeting: an edit that is good\ndelayMillis: 200\n";
const DEADLINE: i32 = 30;

/// Both run to their deadline or to their end, and the edit is not blamed.
pub async fn in_the_run(space: &Space) -> Result<Figures> {
    load_on_the_first(space).await?;
    let template = |name: &'static str| {
        Ok::<_, crate::support::Error>(
            Template::web()?.renamed(name).replicas(3).edit_pod(move |pod| spread_over_nodes(pod, name, json!({}))),
        )
    };
    let (surge, rolling) =
        try_join!(template("surge")?.deploy_with_load(space), template("rolling")?.deploy_with_load(space))?;
    // Pods that have requests are quiet sooner; these loads end before the node does.
    let loads = try_join!(light(space, &surge), light(space, &rolling))?;
    // Known to be good, so that a run which blames what comes next has something to go back to.
    let all = json!({"strategy": {"maxParallel": "100%"}});
    try_join!(known(&surge, &all), known(&rolling, &all))?;
    let edited = async |app: &App<'_>| {
        app.edit_config(EDIT).await?;
        app.content().await
    };
    let contents = try_join!(edited(&surge), edited(&rolling))?;
    let second = rolled(&rolling).await?;
    let first = surged(&surge).await?;
    for load in [loads.0, loads.1] {
        load.stop().await?.nothing_lost()?;
    }
    let lost = Stalled::lose(space, LOST).await?;
    let load = Load::start(space, "surge", &surge.address().await?, 20, json!({})).await?;
    let (first, second) = try_join!(first.ended(200), second.ended(200))?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    not_blamed(&surge, &first, &contents.0).await?;
    not_blamed(&rolling, &second, &contents.1).await?;
    lost.come_back(space).await?;
    try_join!(surge.whole(), rolling.whole())?;
    let figures = Figures::default().load(&report);
    let note =
        |name: &str, status: &RestartRequestStatus| format!("{name} {} after {}", sentence(status), took(status));
    Ok(figures.and(note("Surge", &first)).and(note("Rolling", &second)))
}

async fn light<'a>(space: &'a Space, app: &App<'_>) -> Result<Load<'a>> {
    Load::start(space, &format!("{}-before", app.name), &app.address().await?, 10, json!({})).await
}

async fn known(app: &App<'_>, all: &Value) -> Result {
    app.restart(&format!("{}-known", app.name), all.clone()).await?.completed(120).await?;
    app.whole().await
}

/// All three replacements are Ready, one of them on the node that is about to be lost.
async fn surged<'a>(app: &App<'a>) -> Result<Request<'a>> {
    let more = json!({"strategy": {"maxParallel": "100%"}, "timeoutSeconds": 10, "progressDeadlineSeconds": DEADLINE});
    let request = app.restart(app.name, more).await?;
    request.entered(Step::Draining).await?;
    Ok(request)
}

/// The pod on the node that is about to be lost is a new one, on the edit; the run is not over for as long as it soaks.
async fn rolled<'a>(app: &App<'a>) -> Result<Request<'a>> {
    let old = app.uids().await?;
    let more =
        json!({"strategy": {"type": "Rolling"}, "verify": {"soakSeconds": 60}, "progressDeadlineSeconds": DEADLINE});
    let request = app.restart(app.name, more).await?;
    until(&format!("a new pod on {LOST}"), 120, async || {
        let pod = pod_on(app, LOST).await?;
        let new = is_ready(&pod) && !old.contains(&pod.uid().unwrap_or_default());
        Ok(when(new, || format!("{} is there", pod.name_any())))
    })
    .await?;
    Ok(request)
}

/// It says what it waited for, keeps the edit, and leaves nothing detached.
async fn not_blamed(app: &App<'_>, status: &RestartRequestStatus, edit: &Content) -> Result {
    ensure!(*edit == app.content().await?, "{}: the edit was taken back: {}", app.name, sentence(status));
    if status.phase != Some(Phase::Completed) {
        ensure!(status.message.contains(LOST), "{}: the end does not name {LOST}: {}", app.name, sentence(status));
        ensure!(
            condition(status, "Restored").is_some(),
            "{}: nothing says what is left: {}",
            app.name,
            sentence(status)
        );
    }
    until("no pod to be detached", 30, async || {
        let detached = app.pods().await?.iter().filter(|pod| is_detached(pod)).count();
        Ok(when(detached == 0, || format!("{detached} are")))
    })
    .await
}
