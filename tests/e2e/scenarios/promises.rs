//! Promises with a time: how soon a status, a cancel, a way back and a deletion come (docs/design.md has the table).
//!
//! A machine that stalls makes a measure longer and none shorter: each is taken up to three times, and the shortest counts.
//!
//! **Invariant:** both ends of a measure are seen by this process, by its own clock; no clock of the cluster is read.

use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::receiver::{Receiver, http};
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::wait::{Look, until};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use restart_controller::api::{Code, Phase, Step};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ATTEMPTS: usize = 3;
const BAD: &str = "greeting: never seen\nexitAtStart: true\n";

/// All four, one after the other.
pub async fn kept(space: &Space) -> Result<Figures> {
    let receiver = Receiver::deploy(space).await?;
    let app = Template::web()?.replicas(2).deploy(space).await?;
    let first = shortest("the first status", 1, async |number| first_status(&app, number).await).await?;
    let cancel = shortest("a cancel in Preparing", 2, async |number| cancelled(&app, &receiver, number).await).await?;
    let back = shortest("everything back after the second exit", 10, async |number| back(&app, number).await).await?;
    let gone = shortest("a deleted run to let go", 15, async |number| let_go(&app, number).await).await?;
    let note = format!(
        "first status {first:.1?}, cancelled {cancel:.1?}, back after the second exit {back:.1?}, let go {gone:.1?}"
    );
    Ok(Figures::note(note))
}

/// The shortest of a few measures, which must be within `limit` seconds.
async fn shortest(what: &str, limit: u64, measure: impl AsyncFn(usize) -> Result<Duration>) -> Result<Duration> {
    let (limit, mut taken) = (Duration::from_secs(limit), vec![]);
    for number in 0..ATTEMPTS {
        let took = measure(number).await?;
        taken.push(took);
        if took <= limit {
            return Ok(took);
        }
    }
    ensure!(false, "{what} took {taken:.1?}, and {limit:?} is promised");
    Err("not within its time".into())
}

/// From before the request is sent until its status has a phase; the run then ends.
async fn first_status(app: &App<'_>, number: usize) -> Result<Duration> {
    let begun = Instant::now();
    let request = apply(app, &format!("first-{number}"), json!({})).await?;
    request.until("a phase", 30, |status| status.phase.is_some()).await?;
    let took = begun.elapsed();
    request.completed(120).await?;
    Ok(took)
}

/// While a hook runs before the restart.
async fn cancelled(app: &App<'_>, receiver: &Receiver<'_>, number: usize) -> Result<Duration> {
    let word = format!("by=cancelled-{number}");
    let hook = http("slow", &format!("{word}&millis=60000"), json!({"timeoutSeconds": 120}));
    let request = apply(app, &format!("cancelled-{number}"), json!({"hooks": {"pre": [hook]}})).await?;
    receiver.awaited(&word).await?;
    let begun = Instant::now();
    request.patch(json!({"spec": {"cancel": true}})).await?;
    request.until("Cancelled", 30, |status| status.phase == Some(Phase::Cancelled)).await?;
    Ok(begun.elapsed())
}

/// From the second exit of a replacement's container until the run has failed with everything back.
async fn back(app: &App<'_>, number: usize) -> Result<Duration> {
    let next = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"},
        "data": {"config.yaml": format!("{BAD}attempt: {number}\n")}});
    app.space.apply(&[next]).await?;
    let config = json!({"config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]}});
    let request = apply(app, &format!("back-{number}"), config).await?;
    until("a container to exit twice", 90, async || {
        let exits = app.pods().await?.iter().map(exits).max().unwrap_or(0);
        Ok(if exits >= 2 { Look::Done(()) } else { Look::NotYet(format!("{exits} exits")) })
    })
    .await?;
    let begun = Instant::now();
    request.failed_and_restored(Code::ReplacementUnhealthy, 90).await?;
    let took = begun.elapsed();
    app.whole().await?;
    Ok(took)
}

fn exits(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().filter_map(|status| status.container_statuses.as_ref()).flatten();
    let ended = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_none());
    statuses.map(|container| container.restart_count + i32::from(ended(container))).max().unwrap_or(0)
}

/// A run that is being put back and lets its request go.
async fn let_go(app: &App<'_>, number: usize) -> Result<Duration> {
    let request = apply(app, &format!("deleted-{number}"), json!({})).await?;
    request.entered(Step::Draining).await?;
    let begun = Instant::now();
    request.delete().await?;
    request.gone(60).await?;
    let took = begun.elapsed();
    app.whole().await?;
    Ok(took)
}

async fn apply<'a>(app: &App<'a>, name: &str, more: Value) -> Result<Request<'a>> {
    Request::apply(app.space, name, app.name, more).await
}
