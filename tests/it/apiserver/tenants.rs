//! What tenants cost one another: a namespace that does its worst, and the restart of another one beside it; and two restarts
//! behind one Service.
//!
//! **Invariant:** the controller looks after all namespaces here, so `tests/it/run` runs this apart from the other tests.

use super::requests::{create, minimal, raw};
use super::running::Running;
use super::{clients, kubelet, namespace, until};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use restart_controller::wire::ADMIN_PORT;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const MAPS: usize = 64;
/// Of each: as much as the API server takes.
const MAP_BYTES: usize = 1_040_000;
const PODS: usize = 500;
const REQUESTS: usize = 200;
/// Restarts of the other namespace that are measured, alone and beside it.
const MEASURED: usize = 3;
/// Of one restart, on a machine that has much else to do: what counts is the time beside the noise against that alone.
const LONGEST: Duration = Duration::from_secs(300);
/// The limit in the chart's values.
const MEMORY_MIB: u64 = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_does_its_worst_costs_no_other_one_a_fifth_of_its_time() {
    let (_, writer) = clients().await;
    let (noisy, quiet) = (namespace(&writer, "noisy").await, namespace(&writer, "quiet").await);
    // Connections are taken by the kernel, and nobody answers: as behind a policy that drops.
    let _silent = std::net::TcpListener::bind(("192.0.2.10", ADMIN_PORT)).unwrap();
    tokio::join!(make_noisy(&writer, &noisy), make_quiet(&writer, &quiet));
    let running = Running::everywhere(&quiet).await;
    let _kubelet = kubelet::start(&writer, &quiet, &quiet).await;
    settled(&writer, &quiet, "web", 2).await;
    let mut alone = vec![];
    for number in 0..MEASURED {
        alone.push(restarted(&writer, &quiet, &format!("alone-{number}")).await);
    }
    let before = running.most_memory_mib();

    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let requests = tokio::spawn(noise(writer.clone(), noisy.clone(), over.clone(), asked.clone()));
    until("all of the noise is there, and one of its restarts is under way", || async {
        let run = raw(&writer, &noisy).get_opt("r0").await.unwrap();
        let phase = run.map(|run| run.data["status"]["phase"].clone()).unwrap_or_default();
        asked.load(SeqCst) >= REQUESTS && (phase == "Preparing" || phase == "Restarting")
    })
    .await;
    let mut beside = vec![];
    for number in 0..MEASURED {
        beside.push(restarted(&writer, &quiet, &format!("beside-{number}")).await);
    }
    over.store(true, SeqCst);
    requests.await.unwrap();
    let memory = running.most_memory_mib();
    let ended = |phase: &'static str| {
        let (writer, noisy) = (writer.clone(), noisy.clone());
        async move {
            let fields = ListParams::default().fields(&format!("status.phase={phase}"));
            raw(&writer, &noisy).list_metadata(&fields).await.unwrap().items.len()
        }
    };
    let (one, other) = (median(&mut alone), median(&mut beside));
    println!(
        "a restart of 2 pods alone {alone:.1?}, beside {} requests, {PODS} silent pods and {MAPS} MiB of ConfigMaps {beside:.1?}; median {:+.0} %; of the noise {} have failed; the controller at its largest {before} MiB alone, {memory} MiB beside",
        asked.load(SeqCst),
        (other.as_secs_f64() / one.as_secs_f64() - 1.0) * 100.0,
        ended("Failed").await,
    );
    assert!(other <= one.mul_f64(1.2), "{beside:?} beside, {alone:?} alone");
    assert!(memory < MEMORY_MIB, "{memory} MiB");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workloads_of_one_pod_behind_one_service_never_take_both_pods_out() {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "shared").await;
    let both = json!({"app": "web"});
    service(&writer, &namespace, &both).await;
    for name in ["a", "b"] {
        let set = json!({"metadata": {"name": name}, "spec": {"replicas": 1, "serviceName": name,
            "selector": {"matchLabels": {"set": name}}, "template": template(&json!({"app": "web", "set": name}), 0)}});
        let api: Api<StatefulSet> = Api::namespaced(writer.clone(), &namespace);
        api.create(&PostParams::default(), &serde_json::from_value(set).unwrap()).await.unwrap();
    }
    let running = Running::everywhere(&namespace).await;
    let _kubelet = kubelet::start(&writer, &namespace, &namespace).await;
    until("both pods are endpoints", || async { endpoints(&writer, &namespace).await == 2 }).await;
    let watched = tokio::spawn(fewest(writer.clone(), namespace.clone()));
    let requests = ["a", "b"].map(|name| {
        let mut request = minimal(name);
        request["spec"]["targetRef"] = json!({"kind": "StatefulSet", "name": name});
        create(&writer, &namespace, request)
    });
    futures::future::try_join_all(requests).await.unwrap();
    for name in ["a", "b"] {
        ended(&writer, &namespace, name).await;
    }
    watched.abort();
    let fewest = FEWEST.load(SeqCst);
    println!("fewest ready endpoints of the Service that two restarts share: {fewest}");
    assert_eq!(fewest, 1);
    running.stop().await;
}

static FEWEST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The fewest ready endpoints at any time, as slices show them.
async fn fewest(writer: Client, namespace: String) {
    let slices: Api<EndpointSlice> = Api::namespaced(writer, &namespace);
    let mut changes = kube::runtime::watcher(slices, kube::runtime::watcher::Config::default()).boxed();
    while let Some(change) = changes.next().await {
        if let Ok(kube::runtime::watcher::Event::Apply(slice) | kube::runtime::watcher::Event::InitApply(slice)) =
            change
        {
            FEWEST.fetch_min(ready(&slice), SeqCst);
        }
    }
}

fn ready(slice: &EndpointSlice) -> usize {
    let ready = |conditions: &k8s_openapi::api::discovery::v1::EndpointConditions| conditions.ready == Some(true);
    slice.endpoints.iter().filter(|endpoint| endpoint.conditions.as_ref().is_some_and(ready)).count()
}

async fn endpoints(writer: &Client, namespace: &str) -> usize {
    let slices: Api<EndpointSlice> = Api::namespaced(writer.clone(), namespace);
    slices.list(&ListParams::default()).await.unwrap().items.iter().map(ready).sum()
}

async fn make_quiet(writer: &Client, namespace: &str) {
    service(writer, namespace, &json!({"app": "web"})).await;
    deployment(writer, namespace, 2, 0).await;
}

/// Its pods count as Ready, and their sidecars are where nobody answers.
async fn make_noisy(writer: &Client, namespace: &str) {
    let maps: Api<ConfigMap> = Api::namespaced(writer.clone(), namespace);
    for number in 0..MAPS {
        let map = json!({"metadata": {"name": format!("map-{number}")}, "data": {"text": "x".repeat(MAP_BYTES)}});
        maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    }
    deployment(writer, namespace, PODS, MAPS).await;
    let pods: Api<Pod> = Api::namespaced(writer.clone(), namespace);
    let all = async || pods.list_metadata(&ListParams::default()).await.unwrap().items;
    until("all pods are made", || async { all().await.len() == PODS }).await;
    let status = json!({"status": {"phase": "Running", "podIP": "192.0.2.10", "podIPs": [{"ip": "192.0.2.10"}],
        "conditions": [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "True"}]}});
    let patched = stream::iter(all().await).map(|pod| {
        let (pods, status) = (pods.clone(), Patch::Merge(status.clone()));
        async move { pods.patch_status(&pod.name_any(), &PatchParams::default(), &status).await.map(drop) }
    });
    patched.buffer_unordered(8).for_each(|patched| async { patched.unwrap() }).await;
    settled(writer, namespace, "web", PODS).await;
}

async fn settled(writer: &Client, namespace: &str, name: &str, pods: usize) {
    let deployments: Api<Deployment> = Api::namespaced(writer.clone(), namespace);
    until("all pods are available", || async {
        let status = deployments.get(name).await.unwrap().status.unwrap_or_default();
        status.available_replicas == Some(i32::try_from(pods).unwrap())
    })
    .await;
}

async fn service(writer: &Client, namespace: &str, selector: &Value) {
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8012}]}});
    let services: Api<Service> = Api::namespaced(writer.clone(), namespace);
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
}

async fn deployment(writer: &Client, namespace: &str, replicas: usize, maps: usize) {
    let labels = json!({"app": "web"});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
        "template": template(&labels, maps)}});
    let api: Api<Deployment> = Api::namespaced(writer.clone(), namespace);
    api.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
}

/// A pod as `kubectl restart inject` writes it.
fn template(labels: &Value, maps: usize) -> Value {
    let image = "restart-controller.dev/none:1";
    let from: Vec<Value> = (0..maps).map(|number| json!({"configMapRef": {"name": format!("map-{number}")}})).collect();
    json!({"metadata": {"labels": labels}, "spec": {
        "initContainers": [{"name": "restart-sidecar", "image": image, "restartPolicy": "Always", "args": ["run"],
            "ports": [{"containerPort": 8012}], "lifecycle": {"preStop": {"exec": {"command": ["/restart-sidecar", "terminating"]}}}}],
        "containers": [{"name": "app", "image": image, "envFrom": from,
            "lifecycle": {"preStop": {"httpGet": {"port": ADMIN_PORT, "path": "/wait-drained"}}}}]}})
}

/// Requests without end; the first of them is under way all the time, since none of its replacements gets Ready.
async fn noise(writer: Client, namespace: String, over: Arc<AtomicBool>, asked: Arc<AtomicUsize>) {
    while !over.load(SeqCst) {
        let number = asked.load(SeqCst);
        let mut request = minimal(&format!("r{number}"));
        let few: Vec<Value> = (0..8).map(|map| json!({"name": format!("map-{map}")})).collect();
        match number % 4 {
            0 => {
                request["spec"]["force"] = json!(true);
                request["spec"]["config"] = json!({"configMaps": few});
                request["spec"]["strategy"] = json!({"type": "Surge", "maxParallel": 1});
            }
            1 => request["spec"]["config"] = json!({"configMaps": few}),
            2 => request["spec"]["concurrencyPolicy"] = json!("Queue"),
            _ => {}
        }
        create(&writer, &namespace, request).await.unwrap();
        asked.fetch_add(1, SeqCst);
        let pause = if number < REQUESTS { 20 } else { 250 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// How long a restart takes there from its creation to its end.
async fn restarted(writer: &Client, namespace: &str, name: &str) -> Duration {
    let begun = Instant::now();
    create(writer, namespace, minimal(name)).await.unwrap();
    ended(writer, namespace, name).await;
    begun.elapsed()
}

async fn ended(writer: &Client, namespace: &str, name: &str) {
    let begun = Instant::now();
    loop {
        let request = raw(writer, namespace).get(name).await.unwrap();
        let status = &request.data["status"];
        assert_ne!(status["phase"], "Failed", "{status}");
        if status["phase"] == "Completed" {
            return;
        }
        assert!(begun.elapsed() < LONGEST, "{name} has not ended: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
