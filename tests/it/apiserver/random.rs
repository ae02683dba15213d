//! Requests made at random from the definition's own schema, by thousands, before the real controller: each is refused by the
//! API server with the field that is wrong, or ends with a phase in time; none is tried for ever, none holds up another one.
//!
//! `RANDOM_CASES=N` makes more of them, `RANDOM_SEED=N` others; a case is shown whole when it fails.
//!
//! **Invariant:** nothing is known here of a field but what the schema says.

mod made;

use super::policies::apply;
use super::recorded::deployment;
use super::requests::{create, minimal, raw};
use super::restraint::label;
use super::running::Running;
use super::{PATIENCE, clients, namespace};
use futures::{StreamExt as _, stream};
use kube::Client;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use made::{Made, REAL};
use restart_controller::api::names;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CASES: usize = 600;
const SEED: u64 = 20_261_129;
/// Requests of one namespace are looked at by twos, so they are spread.
const SPACES: usize = 8;
/// All have ended so soon after the last one was made, and for each of them a little more: a machine of two cores does it all.
const BOUND: Duration = Duration::from_secs(60);
const MORE: Duration = Duration::from_millis(100);
/// A restart elsewhere, beside them; and ten times what it takes without, which on a busy machine is more.
const ELSEWHERE: Duration = Duration::from_secs(60);
const NOT_ENDED: &str = "status.phase!=Completed,status.phase!=Failed,status.phase!=Cancelled";

fn from_environment<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text}")))
}

/// Workloads of all kinds without pods, and ConfigMaps, so that some requests are about something.
async fn real(admin: &Client, space: &str) {
    for name in REAL {
        deployment(admin, space, name, json!({})).await;
        let labels = json!({ "set": name });
        let template =
            json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
        let spec =
            json!({"serviceName": "none", "replicas": 0, "selector": {"matchLabels": labels}, "template": template});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": spec});
        // Its pods' names are labels.
        if !name.contains('.') {
            apply(admin, Some(space), set).await;
        }
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": name}});
        apply(admin, Some(space), map).await;
    }
}

/// Whether it was accepted; what is wrong with a refusal that does not name the field.
async fn made(admin: &Client, space: &str, made: Made) -> Result<bool, String> {
    let error = match create(admin, space, made.object.clone()).await {
        Ok(_) => return Ok(true),
        Err(kube::Error::Api(status)) => status,
        Err(other) => return Err(format!("{other}: {:#}", made.object)),
    };
    let unclear = || Err(format!("{} {}\n{:?}\n{:#}", error.code, error.message, made.beyond, made.object));
    // What the schema permits, the policy may not: it speaks of templates of Jobs alone, which have no schema.
    if error.message.contains("ValidatingAdmissionPolicy") {
        let told = error.message.contains("job.template") || error.message.contains("remove serviceAccountName");
        return if told { Ok(false) } else { unclear() };
    }
    let causes = error.details.iter().flat_map(|details| &details.causes);
    // The API server adds that it has left out the rules, of no field.
    let fields: Vec<&str> = causes.map(|cause| cause.field.as_str()).filter(|field| *field != "<nil>").collect();
    let of_it =
        |beyond: &String| fields.iter().any(|field| beyond.starts_with(*field) || field.starts_with(beyond.as_str()));
    let told = !fields.is_empty() && fields.iter().all(|field| field.starts_with("spec"));
    let named = made.beyond.as_ref().is_none_or(|beyond| of_it(beyond) || fields.contains(&"spec"));
    if error.code == 422 && told && named { Ok(false) } else { unclear() }
}

/// One restart after the other of a workload in another namespace, at least one and for as long as `pouring`; the slowest.
async fn elsewhere(admin: &Client, space: &str, when: &str, bound: Duration, pouring: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut at = 0;
    loop {
        let (name, begun) = (format!("{when}-{at}"), Instant::now());
        let mut request = minimal(&name);
        request["spec"]["verify"] = json!({"soakSeconds": 0});
        create(admin, space, request).await.unwrap();
        let status = async || raw(admin, space).get(&name).await.unwrap().data["status"].clone();
        while status().await["phase"] != "Completed" {
            assert!(begun.elapsed() < bound, "the restart elsewhere has not ended: {:#}", status().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        slowest = slowest.max(begun.elapsed());
        at += 1;
        if !pouring.load(Ordering::Relaxed) {
            return slowest;
        }
    }
}

async fn not_ended(admin: &Client, spaces: &[String]) -> Vec<(String, Value)> {
    let mut all = vec![];
    for space in spaces {
        let list = raw(admin, space).list(&ListParams::default().fields(NOT_ENDED)).await.unwrap();
        all.extend(list.items.into_iter().map(|object| (space.clone(), serde_json::to_value(object).unwrap())));
    }
    all
}

/// How they ended, by phase and code.
async fn outcomes(admin: &Client, spaces: &[String]) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    for space in spaces {
        for object in raw(admin, space).list(&ListParams::default()).await.unwrap().items {
            let status = &object.data["status"];
            let word = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
            assert!(status["message"].as_str().is_some_and(|message| !message.is_empty()), "{object:?}");
            *outcomes.entry(format!("{} {}", word("phase"), word("code"))).or_default() += 1;
        }
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_that_the_schema_can_make_is_refused_by_its_field_or_ends_in_time() {
    let (_, admin) = clients().await;
    let (cases, seed) = (from_environment("RANDOM_CASES", CASES), from_environment("RANDOM_SEED", SEED));
    println!("RANDOM_CASES={cases} RANDOM_SEED={seed}");
    let quiet = namespace(&admin, "quiet").await;
    deployment(&admin, &quiet, "web", json!({})).await;
    let mut spaces = vec![];
    for _ in 0..SPACES {
        let space = namespace(&admin, "random").await;
        real(&admin, &space).await;
        label(&admin, &space, names::JOB_HOOKS).await;
        spaces.push(space);
    }
    let watched = [&spaces[..], std::slice::from_ref(&quiet)].concat().join(",");
    let running = Running::over(&quiet, &watched).await;

    let bound = BOUND + MORE * u32::try_from(cases).unwrap();
    let before = elsewhere(&admin, &quiet, "before", PATIENCE, &AtomicBool::new(false)).await;
    let (schema, begun, pouring) = (made::spec_schema(), Instant::now(), AtomicBool::new(true));
    let pour = async {
        let all = stream::iter(0..cases).map(|case| {
            let (admin, space, made_of) = (&admin, &spaces[case % SPACES], made::request(&schema, seed, case));
            async move { made(admin, space, made_of).await }
        });
        let all: Vec<Result<bool, String>> = all.buffer_unordered(8).collect().await;
        let unclear: Vec<&String> = all.iter().filter_map(|made| made.as_ref().err()).collect();
        assert!(unclear.is_empty(), "{} unclear refusals, among them\n{}", unclear.len(), unclear[0]);
        let accepted = all.into_iter().filter(|made| *made == Ok(true)).count();
        let poured = begun.elapsed();
        while !not_ended(&admin, &spaces).await.is_empty() {
            if begun.elapsed() > poured + bound {
                let left = not_ended(&admin, &spaces).await;
                panic!("{} of {accepted} have not ended, among them {:#}", left.len(), left[0].1);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        pouring.store(false, Ordering::Relaxed);
        (accepted, poured)
    };
    let ((accepted, poured), slowest) =
        tokio::join!(pour, elsewhere(&admin, &quiet, "beside", ELSEWHERE + before * 10, &pouring));
    let settled = begun.elapsed();
    println!(
        "{cases} requests in {:.1} s, {accepted} accepted, all ended after {:.1} s; a restart elsewhere: before {:.1} s, slowest beside it {:.1} s; {:?}",
        poured.as_secs_f64(),
        settled.as_secs_f64(),
        before.as_secs_f64(),
        slowest.as_secs_f64(),
        outcomes(&admin, &spaces).await,
    );
    let metrics = running.get("/metrics").await;
    for category in ["unsendable", "garbled", "refused", "internal", "not_found"] {
        let line = format!("pass_errors_total{{category=\"{category}\"}}");
        assert!(!metrics.lines().any(|text| text.contains(&line)), "{metrics}");
    }
    let panics = metrics.lines().find(|line| line.starts_with("controller_runtime_reconcile_panics_total")).unwrap();
    assert!(panics.ends_with(" 0"), "{panics}");
    running.stop().await;
    clean(&admin, &spaces).await;
}

/// Nothing of ours is left that would hold a deleted request.
async fn clean(admin: &Client, spaces: &[String]) {
    for space in spaces {
        let held = raw(admin, space).list(&ListParams::default()).await.unwrap().items;
        let held: Vec<String> =
            held.iter().filter(|object| !object.finalizers().is_empty()).map(kube::ResourceExt::name_any).collect();
        assert!(held.is_empty(), "{held:?}");
        raw(admin, space).delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    }
}
