//! The control: a restart that nothing disturbed, and a world that is spoiled before it is judged. The judge must see all of it.
//!
//! **Invariant:** a sweep whose judge passes over anything of this has not judged.

use crate::drive;
use crate::judge::oracle::Known;
use crate::plan::Plan;
use crate::proxy::{Door, Proxy};
use crate::support::Result;
use crate::support::load::Report;
use crate::support::wait::{Look, until};
use crate::verdict::Verdict;
use crate::world::lane::Lane;
use crate::world::load::ask_at;
use crate::world::pods::{Life, Pods};
use crate::world::space::{CONFIG, REQUEST, Space};
use hyper::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::config::{AuthInfo, Config};
use kube::{Client, ResourceExt as _};
use restart_controller::api::{RestartHistory, RestartRequest, names};
use restart_controller::controller::keys::Keys;
use restart_controller::wire::{
    ADMIN_PORT, DRAIN_PATH, DrainAction, DrainCommand, IN_FLIGHT_PATH, InFlightReport, NewRequests,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The door of a process that no crew has.
const DOOR: usize = 1_000;

/// Parts of the sentences that the judge owes.
const OWED: [&str; 10] = [
    "requests were lost",
    "carries no precondition",
    "the end differs from that of the undisturbed run",
    "the workload was written to",
    "the request has the finalizers",
    "the history has the finalizers",
    "the lock is held",
    "the history has 0 records",
    "is detached",
    "has a drain lease",
];

/// Runs it; an error names what the judge did not see.
pub async fn control(lane: &Lane, known: &Known) -> Result {
    let plan: Plan = "surge/promotion".parse()?;
    let verdict = drive::spoiled(lane, &plan, format!("faults-{}-control", std::process::id()), known).await;
    let unseen = unseen(&verdict);
    if unseen.is_empty() {
        println!("control: the judge saw each of {} kinds of harm", OWED.len());
        return Ok(());
    }
    Err(format!("the judge did not see: {}; it said: {}", unseen.join(", "), verdict.wrong.join("; ")).into())
}

fn unseen(verdict: &Verdict) -> Vec<&'static str> {
    OWED.into_iter().filter(|owed| !verdict.wrong.iter().any(|said| said.contains(owed))).collect()
}

/// Does every kind of harm once.
pub async fn spoil(lane: &Lane, space: &Space, proxy: &Arc<Proxy>, pods: &Pods) -> Result {
    lose_a_request(lane, space).await?;
    let mut present = pods.present().into_values();
    let (first, second) = (present.next().ok_or("there is no pod")?, present.next().ok_or("there is one pod")?);
    cordon(&first).await?;
    let patch = Patch::Merge(json!({"metadata": {"annotations": {names::DETACHED_HASH: "spoiled"}}}));
    space.api::<Pod>().patch(&second.name, &PatchParams::default(), &patch).await?;
    delete_unguarded(lane, space, proxy, &second.name).await?;
    spoil_objects(space).await?;
    until("the watch to show the detached pod", 30, async || {
        let seen = pods.present().into_values().any(|life| life.detached);
        Ok(if seen { Look::Done(()) } else { Look::NotYet("it does not yet".to_owned()) })
    })
    .await
}

async fn spoil_objects(space: &Space) -> Result {
    let params = PatchParams::default();
    let held = Patch::Merge(json!({"metadata": {"finalizers": ["spoiled.test/kept"]}}));
    space.api::<RestartRequest>().patch(REQUEST, &params, &held).await?;
    let history = space.history().await?.ok_or("there is no history")?.name_any();
    space.api::<RestartHistory>().patch(&history, &params, &held).await?;
    let state = Patch::Merge(json!({"status": {"state": "Restarting", "runs": []}}));
    space.api::<RestartHistory>().patch_status(&history, &params, &state).await?;
    let noted = Patch::Merge(json!({"metadata": {"annotations": {"spoiled.test/noted": "yes"}}}));
    space.api::<Deployment>().patch("web", &params, &noted).await?;
    space.edit(&format!("spoiled: {CONFIG}\n")).await
}

/// For a moment the Service has no pods.
async fn lose_a_request(lane: &Lane, space: &Space) -> Result {
    let services = space.api::<Service>();
    let selector = services.get("web").await?.spec.and_then(|spec| spec.selector).unwrap_or_default();
    let by = async |selector: Value| {
        let patch = Patch::Merge(json!({"spec": {"selector": selector}}));
        services.patch("web", &PatchParams::default(), &patch).await
    };
    by(json!({"spoiled": "yes"})).await?;
    until("a request to be lost", 60, async || {
        let Report { failed, .. } = lane.world.load.report(&lane.name).await?;
        Ok(if failed > 0 { Look::Done(()) } else { Look::NotYet("none".to_owned()) })
    })
    .await?;
    let mut back = json!(selector);
    back["spoiled"] = Value::Null;
    by(back).await?;
    Ok(())
}

async fn cordon(pod: &Life) -> Result {
    let admin = format!("{}:{ADMIN_PORT}", pod.address);
    let report: InFlightReport =
        serde_json::from_str(&ask_at(Method::GET, &admin, IN_FLIGHT_PATH, String::new()).await?)?;
    let command = DrainCommand {
        pod_uid: report.pod_uid,
        boot: report.boot,
        challenge: report.challenge,
        action: DrainAction::Drain,
        ttl_seconds: 120,
        new_requests: NewRequests::Serve,
        key_id: String::new(),
        signature: String::new(),
    };
    let signed = Keys::from_seed(&crate::world::SEED).sign(command, &report.trusted_keys);
    ask_at(Method::POST, &admin, DRAIN_PATH, serde_json::to_string(&signed)?).await.map(drop)
}

/// A deletion by the controller's own account, without the UID or the resourceVersion that it has seen.
async fn delete_unguarded(lane: &Lane, space: &Space, proxy: &Arc<Proxy>, pod: &str) -> Result {
    let door = Door::open(proxy, DOOR).await?;
    let mut config = Config::new(format!("http://127.0.0.1:{}", door.port).parse()?);
    config.auth_info = AuthInfo { token: Some(lane.world.token.clone().into()), ..AuthInfo::default() };
    let pods: Api<Pod> = Api::namespaced(Client::try_from(config)?, &space.name);
    match pods.delete(pod, &DeleteParams::default().grace_period(30)).await {
        // A policy may refuse it: the judge sees the attempt.
        Ok(_) | Err(kube::Error::Api(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
