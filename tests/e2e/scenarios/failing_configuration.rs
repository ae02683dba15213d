//! A configuration on which new pods exit: it goes back, and the pods that serve never notice.
//!
//! **Invariant:** the configuration is compared byte for byte, and a pod by its UID and the start of each container.

use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::{Load, Report};
use crate::support::pods::PodWatch;
use crate::support::request::{Request, condition, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, ConditionStatus, RestartRequestStatus};
use serde_json::{Value, json};

const BAD: &str = "greeting: never seen\nexitAtStart: true\n";
const GOOD: &str = "greeting: promoted\ndelayMillis: 200\n# not a byte of this may change\n";
/// Bytes that are no text.
const BINARY: &str = "AP+AAQI=";

/// `web-config` edited as people do it.
pub async fn in_place(space: &Space) -> Result<Figures> {
    let app = deploy(space).await?;
    let load = Load::start(space, "bad", &app.address().await?, 100, json!({})).await?;
    restart(space, "good", json!({})).await?.completed(120).await?;
    let good = app.content().await?;
    let account = Account::open(&app).await?;
    app.edit_config(BAD).await?;
    let status = restart(space, "bad", json!({})).await?.failed_and_restored(Code::ReplacementUnhealthy, 150).await?;
    let report = account.close(&app, load).await?;
    let after = app.content().await?;
    ensure!(after == good, "the configuration was not restored: before {good:?}, after {after:?}");
    Ok(figures(&report, &status))
}

/// The same content in a map of its own, written over the live one by the run.
pub async fn promoted(space: &Space) -> Result<Figures> {
    let app = deploy(space).await?;
    let load = Load::start(space, "bad", &app.address().await?, 100, json!({})).await?;
    candidate(space, GOOD).await?;
    let promotion = json!({"configMaps": [{"name": "web-config", "from": "web-config-next"}]});
    let old = app.uids().await?;
    restart(space, "good", promotion.clone()).await?.completed(120).await?;
    let good = app.content().await?;
    ensure!(good.0["config.yaml"] == GOOD, "the good candidate was not promoted: {good:?}");
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    candidate(space, BAD).await?;
    let account = Account::open(&app).await?;
    let status = restart(space, "bad", promotion).await?.failed_and_restored(Code::ReplacementUnhealthy, 150).await?;
    let report = account.close(&app, load).await?;
    let after = app.content().await?;
    ensure!(after == good, "the configuration was not restored: before {good:?}, after {after:?}");
    Ok(figures(&report, &status).and("a good one was promoted before"))
}

async fn deploy(space: &Space) -> Result<App<'_>> {
    Template::web()?
        .edit("ConfigMap", |map| map["binaryData"] = json!({"logo.bin": BINARY}))
        .deploy_with_load(space)
        .await
}

async fn candidate(space: &Space, yaml: &str) -> Result {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"},
        "data": {"config.yaml": yaml}, "binaryData": {"logo.bin": BINARY}});
    space.apply(&[map]).await
}

async fn restart<'a>(space: &'a Space, name: &str, config: Value) -> Result<Request<'a>> {
    Request::apply(
        space,
        name,
        "web",
        json!({"config": config, "strategy": {"maxParallel": "100%"}, "progressDeadlineSeconds": 120}),
    )
    .await
}

/// The pods as they were before.
struct Account {
    starts: std::collections::BTreeMap<String, Vec<String>>,
    watch: PodWatch,
}

impl Account {
    async fn open(app: &App<'_>) -> Result<Self> {
        app.settled().await?;
        Ok(Self { starts: app.starts().await?, watch: PodWatch::start(app).await? })
    }

    /// Fails unless the very same pods serve, none was stopped or told to, and nothing was lost.
    async fn close(self, app: &App<'_>, load: Load<'_>) -> Result<Report> {
        app.settled().await?;
        let after = app.starts().await?;
        ensure!(self.starts == after, "pods were stopped: before {:?}, after {after:?}", self.starts);
        self.watch.never_told_to_go(&self.starts.into_keys().collect())?;
        let report = load.stop().await?;
        report.nothing_lost()?;
        Ok(report)
    }
}

fn figures(report: &Report, status: &RestartRequestStatus) -> Figures {
    debug_assert_eq!(condition(status, "Restored"), Some(ConditionStatus::True));
    Figures::default().load(report).and(format!("failed and restored in {}", took(status)))
}
