//! Requests that outlast `timeoutSeconds`: `Fail` gives everything back, `Proceed` cuts exactly those and says so.
//!
//! **Invariant:** the slow requests and the usual ones have accounts of their own.

use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, RestartRequestStatus};
use serde_json::{Value, json};

const TIMEOUT: i32 = 3;
const SLOW: u64 = 20;

/// `onTimeout: Fail`, the default.
pub async fn fail(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy_with_load(space).await?;
    let (usual, slow) = loads(&app, 25_000).await?;
    let before = app.starts().await?;
    let status = restart(space, json!({})).await?.failed_and_restored(Code::DrainTimeout, 120).await?;
    ensure!(status.message.contains("outlasted timeoutSeconds"), "the message does not say why: {}", status.message);
    app.settled().await?;
    let after = app.starts().await?;
    ensure!(before == after, "pods were stopped: before {before:?}, after {after:?}");
    let slow = slow.finished().await?;
    slow.nothing_lost()?;
    let usual = usual.stop().await?;
    usual.nothing_lost()?;
    Ok(Figures::default().load(&slow).load(&usual).and(format!("failed and restored in {}", took(&status))))
}

/// `onTimeout: Proceed`, with requests that outlast even the grace period of the evicted pod.
pub async fn proceed(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).edit_pod(short_grace).deploy_with_load(space).await?;
    let (usual, slow) = loads(&app, 60_000).await?;
    let old = app.uids().await?;
    let status = restart(space, json!({"onTimeout": "Proceed"})).await?.completed(150).await?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let slow = slow.finished().await?;
    let usual = usual.stop().await?;
    usual.nothing_lost()?;
    let told = cut(&status);
    ensure!(slow.failed == SLOW, "{} of {SLOW} slow requests were cut: {}", slow.failed, json!(slow.failures));
    ensure!(
        told >= slow.failed,
        "{} requests were cut, the history speaks of {told}: {:#?}",
        slow.failed,
        status.history
    );
    let note = format!("the {} failed are the slow ones, the history names {told}", slow.failed);
    Ok(Figures::default().load(&slow).load(&usual).replaced(2).and(note))
}

/// 15 s for the pod's end.
pub fn short_grace(pod: &mut Value) {
    pod["terminationGracePeriodSeconds"] = json!(15);
    let args = pod["initContainers"][0]["args"].as_array_mut();
    for arg in
        args.into_iter().flatten().filter(|arg| arg.as_str().is_some_and(|arg| arg.starts_with("--grace-seconds")))
    {
        *arg = json!("--grace-seconds=15");
    }
}

/// The usual load, and so many slow requests, all of them under way on return.
async fn loads<'a>(app: &App<'a>, slow_millis: u32) -> Result<(Load<'a>, Load<'a>)> {
    let address = app.address().await?;
    let usual = Load::start(app.space, "usual", &address, 100, json!({})).await?;
    let spec =
        json!({"count": SLOW, "workMillis": slow_millis, "timeoutMillis": slow_millis + 30_000, "slowBodies": 0.0});
    let slow = Load::start(app.space, "slow", &address, 10, spec).await?;
    slow.sent(SLOW).await?;
    // Sent is not arrived: the ledger of the service would say, the next answer on the same path says as much.
    let sent = usual.interim().await?.sent;
    usual.sent(sent + 50).await?;
    Ok((usual, slow))
}

async fn restart(space: &Space, more: Value) -> Result<Request<'_>> {
    let mut spec = json!({"timeoutSeconds": TIMEOUT, "strategy": {"maxParallel": "100%"}});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    Request::apply(space, "web", "web", spec).await
}

/// The sum of the requests that the history says had not finished: "web-1 (7 requests), ...".
fn cut(status: &RestartRequestStatus) -> u64 {
    let messages = status.history.iter().map(|entry| entry.message.as_str());
    let lists = messages.filter_map(|message| message.split_once("these had not finished: ").map(|(_, list)| list));
    lists
        .flat_map(|list| list.split(['(', ')']))
        .filter_map(|part| part.strip_suffix(" requests")?.parse::<u64>().ok())
        .sum()
}
