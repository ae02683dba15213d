//! Ten thousand requests in one namespace: what they cost, and that nobody else pays.
//!
//! **Invariant:** the controller looks after all namespaces here, so `tests/it/run` runs this apart from the other tests.

use super::requests::{create, minimal, raw};
use super::running::Running;
use super::{PATIENCE, clients, namespace, until};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FLOOD: usize = 10_000;
/// Of them, so many are about workloads that do not exist.
const BAD: usize = 500;
/// Most of it is the API server's time: the flood and the restart share two cores with it.
const BOUND: Duration = PATIENCE;
/// The limit in the chart's values.
const MEMORY_MIB: u64 = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_in_one_namespace_hold_up_no_other_one() {
    let (reader, writer) = clients().await;
    let (flooded, quiet) = (namespace(&writer, "flooded").await, namespace(&writer, "quiet").await);
    deployment(&writer, &flooded, 1).await;
    deployment(&writer, &quiet, 0).await;
    let running = Running::everywhere(&flooded).await;
    let before = restarted(&writer, &quiet, "before").await;

    let begun = Instant::now();
    let flood = tokio::spawn(flood(writer.clone(), flooded.clone()));
    let mut during = vec![];
    while !flood.is_finished() {
        during.push(restarted(&writer, &quiet, &format!("during-{}", during.len())).await);
    }
    flood.await.unwrap();
    let poured = begun.elapsed();
    let after = restarted(&writer, &quiet, "after").await;
    let slowest = during.iter().chain([&after]).max().unwrap();
    assert!(*slowest < BOUND, "{slowest:?}");

    until("each that can only be refused is refused", || async { refused(&reader, &flooded).await == BAD }).await;
    let (settled, memory) = (begun.elapsed(), running.most_memory_mib());
    println!(
        "{FLOOD} requests in {:.1} s; a restart elsewhere: before {:.1} s, slowest of {} beside it {:.1} s; all {BAD} bad ones refused after {:.1} s; the controller at its largest {memory} MiB",
        poured.as_secs_f64(),
        before.as_secs_f64(),
        during.len() + 1,
        slowest.as_secs_f64(),
        settled.as_secs_f64(),
    );
    assert!(memory < MEMORY_MIB, "{memory} MiB");
    running.stop().await;
}

#[tokio::test]
async fn a_quota_refuses_what_is_beyond_its_cap() {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "quota").await;
    let quota = json!({"metadata": {"name": "restart-requests"}, "spec": {"hard": {"count/restartrequests.restart-controller.dev": "10"}}});
    let quotas: Api<ResourceQuota> = Api::namespaced(writer.clone(), &namespace);
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    until("the quota counts", || async {
        let quota = quotas.get("restart-requests").await.unwrap();
        quota.status.and_then(|status| status.used).is_some_and(|used| !used.is_empty())
    })
    .await;
    let made = stream::iter(0..15).map(|number| {
        let (writer, namespace) = (&writer, &namespace);
        async move { create(writer, namespace, minimal(&format!("r{number}"))).await }
    });
    let refused: Vec<String> =
        made.buffered(1).filter_map(|made| async { made.err().map(|error| error.to_string()) }).collect().await;
    assert_eq!(refused.len(), 5);
    assert!(refused[0].contains("exceeded quota: restart-requests"), "{}", refused[0]);
}

/// A Deployment: with a replica it never gets ready here, so that restarts of it wait; without one they end at once.
async fn deployment(writer: &Client, namespace: &str, replicas: i32) {
    let labels = json!({"app": "web"});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "restart-controller.dev/none:1"}]}}}});
    let api: Api<Deployment> = Api::namespaced(writer.clone(), namespace);
    api.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
}

async fn flood(writer: Client, namespace: String) {
    let made = stream::iter(0..FLOOD).map(|number| {
        let (writer, namespace) = (writer.clone(), namespace.clone());
        async move { create(&writer, &namespace, of_the_flood(number)).await.map(drop) }
    });
    made.buffer_unordered(8).for_each(|made| async { made.unwrap() }).await;
}

fn of_the_flood(number: usize) -> Value {
    let mut request = minimal(&format!("r{number}"));
    if number.is_multiple_of(FLOOD / BAD) {
        request["spec"]["targetRef"]["name"] = json!(format!("missing-{number}"));
    }
    if number % 2 == 1 {
        request["spec"]["concurrencyPolicy"] = json!("Queue");
    }
    request
}

async fn refused(reader: &Client, namespace: &str) -> usize {
    let failed = ListParams::default().fields("status.phase=Failed");
    raw(reader, namespace).list_metadata(&failed).await.unwrap().items.len()
}

/// How long a restart takes there from its creation to its end.
async fn restarted(writer: &Client, namespace: &str, name: &str) -> Duration {
    let begun = Instant::now();
    create(writer, namespace, minimal(name)).await.unwrap();
    until("a restart in the quiet namespace ends", || async {
        let request = raw(writer, namespace).get(name).await.unwrap();
        request.data["status"]["phase"] == "Completed"
    })
    .await;
    begun.elapsed()
}
