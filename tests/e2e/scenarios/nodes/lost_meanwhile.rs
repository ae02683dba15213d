//! A node is lost while pods are being replaced, one of them there: with Surge and with Rolling, in one outage.
//!
//! **Invariant:** the node stays lost until both runs have ended: by their deadline, if nothing else ends them.

use super::{pod_on, spread_over_nodes};
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::nodes::{Stalled, load_on_the_first};
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
const DEADLINE: i32 = 25;

/// Both run to their deadline or to their end, and the edit is not blamed.
pub async fn in_the_run(space: &Space) -> Result<Figures> {
    load_on_the_first(space).await?;
    let template = |name: &'static str| {
        Ok::<_, crate::support::Error>(
            Template::web()?.renamed(name).replicas(3).edit_pod(move |pod| spread_over_nodes(pod, name, json!({}))),
        )
    };
    let (surge, rolling) = try_join!(template("surge")?.deploy(space), template("rolling")?.deploy(space))?;
    // Known to be good, so that a run which blames what comes next has something to go back to.
    let all = json!({"strategy": {"maxParallel": "100%"}});
    try_join!(known(&surge, &all), known(&rolling, &all))?;
    let edited = async |app: &App<'_>| {
        app.edit_config(EDIT).await?;
        app.content().await
    };
    let contents = try_join!(edited(&surge), edited(&rolling))?;
    let (first, second) = try_join!(surged(&surge), rolled(&rolling))?;
    let lost = Stalled::lose(space, LOST).await?;
    let load = Load::start(space, "surge", &surge.address().await?, 20, json!({})).await?;
    let (first, second) = try_join!(first.ended(120), second.ended(120))?;
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

async fn known(app: &App<'_>, all: &Value) -> Result {
    app.restart(&format!("{}-known", app.name), all.clone()).await?.completed(90).await?;
    app.whole().await
}

/// All three replacements are Ready, one of them on the node that is about to be lost.
async fn surged<'a>(app: &App<'a>) -> Result<Request<'a>> {
    let more = json!({"strategy": {"maxParallel": "100%"}, "timeoutSeconds": 60, "progressDeadlineSeconds": DEADLINE});
    let request = app.restart(app.name, more).await?;
    request.entered(Step::Draining).await?;
    Ok(request)
}

/// The first pod is on its way.
async fn rolled<'a>(app: &App<'a>) -> Result<Request<'a>> {
    let more = json!({"strategy": {"type": "Rolling"}, "timeoutSeconds": 10, "progressDeadlineSeconds": DEADLINE});
    let request = app.restart(app.name, more).await?;
    request.entered(Step::Draining).await?;
    Ok(request)
}

/// It says what it waited for, keeps the edit, and leaves nothing detached.
async fn not_blamed(app: &App<'_>, status: &RestartRequestStatus, edit: &(Value, Value)) -> Result {
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
        let detached = app.pods().await?.iter().filter(|pod| crate::support::app::is_detached(pod)).count();
        Ok(when(detached == 0, || format!("{detached} are")))
    })
    .await?;
    let on_it = pod_on(app, LOST).await.map_or_else(|error| error.to_string(), |pod| pod.name_any());
    ensure!(!on_it.is_empty(), "no pod of {} is left on {LOST}", app.name);
    Ok(())
}
