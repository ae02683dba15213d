//! kill -9 of the controller in every phase: the next one takes the run up from the cluster alone.
//!
//! **Invariant:** every kill comes after the phase has been seen in the status, and every pod ever seen is in the account.

use crate::support::app::{App, Template};
use crate::support::controller::{self, Election};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::pods::PodWatch;
use crate::support::request::{Request, sentence};
use crate::support::space::Space;
use crate::support::wait::{Look, until};
use crate::support::{Result, ensure};
use restart_controller::api::{Code, Phase, Step};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The lease's time to live and what the kubelet and the endpoints need after it, in seconds (DESIGN, I3).
const BACK_WITHIN: Duration = Duration::from_secs(30 + 3);

/// Surge: five kills in one run.
pub async fn surge(space: &Space) -> Result<Figures> {
    let steps = [Step::Preparing, Step::Surging, Step::Draining, Step::Evicting, Step::Verifying];
    completed(space, &steps, json!({"verify": {"soakSeconds": 5}})).await
}

/// Rolling: its own steps.
pub async fn rolling(space: &Space) -> Result<Figures> {
    completed(space, &[Step::Reserving, Step::Draining, Step::Evicting], json!({"strategy": {"type": "Rolling"}})).await
}

async fn completed(space: &Space, steps: &[Step], more: Value) -> Result<Figures> {
    let (app, load) = deploy(space, Election::Short).await?;
    let watch = PodWatch::start(&app).await?;
    let old = app.uids().await?;
    let (request, hits) = kill_in(space, "web", more, steps).await?;
    request.completed(240).await?;
    app.settled().await?;
    watch.each_replaced_once(&old)?;
    ensure!(old.is_disjoint(&app.uids().await?), "not every pod was replaced");
    let report = load.stop().await?;
    report.nothing_lost()?;
    controller::ready(&space.cluster.client).await?;
    Ok(Figures::default().load(&report).replaced(old.len()).and(hits))
}

/// The sample under load, and a controller, whatever the scenario before has left.
async fn deploy(space: &Space, election: Election) -> Result<(App<'_>, Load<'_>)> {
    controller::bring_back(&space.cluster.client, election).await?;
    let app = Template::web()?.deploy_with_load(space).await?;
    let load = Load::start(space, "kill", &app.address().await?, 100, json!({})).await?;
    Ok((app, load))
}

/// Applies the request and kills the controller in the first of these steps, then in the others; tells where it hit.
async fn kill_in<'a>(space: &'a Space, name: &str, more: Value, steps: &[Step]) -> Result<(Request<'a>, String)> {
    let client = &space.cluster.client;
    let victim = controller::aim(client).await?;
    let request = Request::named(space, name);
    // The first step may be over in a tenth of a second: it is awaited before the request is there.
    let (applied, entered) = tokio::join!(Request::apply(space, name, "web", more), request.entered(steps[0]));
    applied?;
    entered?;
    victim.kill(client).await;
    let mut hits = vec![request.status().await?.step];
    for step in &steps[1..] {
        request.entered(*step).await?;
        controller::aim(client).await?.kill(client).await;
        hits.push(request.status().await?.step);
    }
    let hits: Vec<String> = hits.iter().flatten().map(|step| format!("{step:?}")).collect();
    Ok((request, format!("killed in {}", hits.join(", "))))
}

/// A configuration that fails: killed while the failure shows, and again while everything goes back. With the Lease as it is
/// installed, and the leader alone is killed: the other replica takes over.
pub async fn recovering(space: &Space) -> Result<Figures> {
    let (app, load) = deploy(space, Election::Default).await?;
    Request::apply(space, "good", "web", json!({"strategy": {"maxParallel": "100%"}})).await?.completed(120).await?;
    app.settled().await?;
    let (good, starts) = (app.content().await?, app.starts().await?);
    let watch = PodWatch::start(&app).await?;
    app.edit_config("exitAtStart: true\n").await?;
    let client = &space.cluster.client;
    let mut leader = controller::aim_at_leader(client).await?;
    let request = Request::apply(space, "bad", "web", json!({"progressDeadlineSeconds": 120})).await?;
    let mut taken_over = vec![];
    for step in [Step::Surging, Step::Restoring] {
        request.entered(step).await?;
        let after = leader.taken_over(client).await?;
        ensure!(after <= Election::TAKEN_OVER, "killed in {step:?}, taken over {after:.1?} later");
        taken_over.push(format!("{after:.1?}"));
        leader = controller::aim_at_leader(client).await?;
    }
    let hits = format!("killed in Surging, Restoring; taken over after {}", taken_over.join(", "));
    request.failed_and_restored(Code::ReplacementUnhealthy, 240).await?;
    app.settled().await?;
    let (after, now) = (app.content().await?, app.starts().await?);
    ensure!(good == after, "the configuration was not restored: before {good:?}, after {after:?}");
    ensure!(starts == now, "pods were stopped: before {starts:?}, after {now:?}");
    watch.never_told_to_go(&starts.into_keys().collect())?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    controller::ready(&space.cluster.client).await?;
    Ok(Figures::default().load(&report).and(hits).and("failed and restored"))
}

/// Nobody renews the lease: the pod comes back by itself. The controller comes back as well, and the run ends.
pub async fn for_good(space: &Space) -> Result<Figures> {
    let (app, load) = deploy(space, Election::Short).await?;
    // Keeps the drain from ending before the kill.
    let slow = json!({"workMillis": 20_000, "timeoutMillis": 60_000, "slowBodies": 0.0});
    let slow = Load::start(space, "slow", &app.address().await?, 3, slow).await?;
    slow.sent(15).await?;
    let watch = PodWatch::start(&app).await?;
    let old = app.uids().await?;
    let request = Request::apply(space, "web", "web", json!({"timeoutSeconds": 120})).await?;
    request.entered(Step::Draining).await?;
    let cordoned = unready(&watch, &old).await?;
    let after = back_without_controller(space, &watch, &cordoned).await;
    // Whatever came of it: the scenarios after this one need the controller.
    let slow = slow.stop().await;
    controller::bring_back(&space.cluster.client, Election::Short).await?;
    let (after, slow) = (after?, slow?);
    ensure!(
        after <= BACK_WITHIN,
        "the cordoned pod was Ready again {after:.1?} after the kill, not within {BACK_WITHIN:?}"
    );
    let status = request.ended(240).await?;
    ensure!(status.phase == Some(Phase::Completed), "the run did not complete: {}", sentence(&status));
    app.settled().await?;
    watch.each_replaced_once(&old)?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    slow.nothing_lost()?;
    Ok(Figures::default().load(&report).load(&slow).replaced(old.len()).and(format!("Ready again after {after:.1?}")))
}

/// How long after the kill the cordoned pod was Ready again.
async fn back_without_controller(space: &Space, watch: &PodWatch, cordoned: &str) -> Result<Duration> {
    let killed = Instant::now();
    controller::take_away(&space.cluster.client).await?;
    Ok(ready_again(watch, cordoned).await?.duration_since(killed))
}

async fn unready(watch: &PodWatch, old: &BTreeSet<String>) -> Result<String> {
    until("an old pod to leave its Services", 30, async || {
        let lives = watch.lives();
        let found = lives.iter().find(|(uid, life)| old.contains(*uid) && life.ready.is_some_and(|(ready, _)| !ready));
        Ok(found.map_or_else(|| Look::NotYet("all are Ready".into()), |(uid, _)| Look::Done(uid.clone())))
    })
    .await
}

async fn ready_again(watch: &PodWatch, uid: &str) -> Result<Instant> {
    until("the cordoned pod to be Ready again", 60, async || {
        let life = watch.lives().remove(uid).unwrap_or_default();
        ensure!(!life.told_to_go, "{} was told to go while no controller was there", life.name);
        Ok(match life.ready {
            Some((true, since)) => Look::Done(since),
            _ => Look::NotYet("not Ready".into()),
        })
    })
    .await
}
