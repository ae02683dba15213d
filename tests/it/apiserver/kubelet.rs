//! A node without machine: it starts and ends the pods of one namespace at the API server alone, and each has a sidecar on a
//! real socket that obeys.
//!
//! **Invariant:** whatever the controller can tell from pods, slices and sidecars is as on a node; no request is served here.

use super::until;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use restart_controller::wire::{
    ADMIN_PORT, DrainAction, DrainCommand, InFlightReport, LeaseReport, Mode, NewRequests, VERSION,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Of TEST-NET-2, all of which is this machine's inside the cluster's network.
static NEXT: AtomicU8 = AtomicU8::new(1);

/// The node; it ends when this is dropped.
pub struct Kubelet(Vec<JoinHandle<()>>);

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Starts a node for the pods of `namespace`, whose sidecars trust the controller that lives in `own`.
pub async fn start(client: &Client, namespace: &str, own: &str) -> Kubelet {
    let route = ["route", "replace", "local", "198.51.100.0/24", "dev", "lo"];
    assert!(tokio::process::Command::new("ip").args(route).status().await.unwrap().success());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), own);
    let public = async || Some(maps.get_opt("restart-controller-keys").await.unwrap()?.data?["public"].clone());
    until("the controller has published its key", || async { public().await.is_some() }).await;
    let key = public().await.unwrap().split_once('=').unwrap().0.to_owned();
    let node = format!("of-{namespace}");
    register(client, &node).await;
    let (heart, hands) = (client.clone(), client.clone());
    let (beating, namespace) = (node.clone(), namespace.to_owned());
    Kubelet(vec![
        tokio::spawn(async move { beat(&heart, &beating).await }),
        tokio::spawn(async move { work(&hands, &namespace, &node, &key).await }),
    ])
}

async fn register(client: &Client, name: &str) {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({"metadata": {"name": name}});
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    let now = Timestamp::now().to_string();
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastHeartbeatTime": now, "lastTransitionTime": now});
    let status = json!({"status": {"conditions": [ready], "capacity": {"pods": "1000"}}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// Without it the node, and all of its pods, would be NotReady after a while.
async fn beat(client: &Client, name: &str) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    loop {
        let now = format!("{:.6}", Timestamp::now());
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now}});
        let _ = leases.patch(name, &PatchParams::apply("kubelet").force(), &Patch::Apply(lease)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn work(client: &Client, namespace: &str, node: &str, key: &str) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut sidecars: HashMap<String, Sidecar> = HashMap::new();
    loop {
        // A conflict, or an answer that does not come, is for the next round.
        if let Ok(all) = pods.list(&ListParams::default()).await {
            sidecars.retain(|uid, _| all.items.iter().any(|pod| pod.uid().as_ref() == Some(uid)));
            for pod in &all.items {
                let _ = one(&pods, pod, node, key, &mut sidecars).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn one(
    pods: &Api<Pod>,
    pod: &Pod,
    node: &str,
    key: &str,
    sidecars: &mut HashMap<String, Sidecar>,
) -> kube::Result<()> {
    let (name, uid) = (pod.name_any(), pod.uid().unwrap());
    if pod.metadata.deletion_timestamp.is_some() {
        return pods.delete(&name, &DeleteParams::default().grace_period(0)).await.map(drop);
    }
    if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": node}});
        return pods
            .create_subresource::<Value, Value>("binding", &name, &PostParams::default(), &binding)
            .await
            .map(drop);
    }
    if !sidecars.contains_key(&uid) {
        sidecars.insert(uid.clone(), Sidecar::start(&uid, key).await);
    }
    let sidecar = &sidecars[&uid];
    let ready = if sidecar.cordoned() { "False" } else { "True" };
    if condition(pod).as_deref() == Some(ready) {
        return Ok(());
    }
    let status = json!({"status": {"phase": "Running", "podIP": sidecar.ip, "podIPs": [{"ip": sidecar.ip}], "conditions": [
        {"type": "PodScheduled", "status": "True"}, {"type": "ContainersReady", "status": ready}, {"type": "Ready", "status": ready}]}});
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
}

fn condition(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status.clone())
}

struct Sidecar {
    ip: Ipv4Addr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct State {
    uid: String,
    key: String,
    commands: u64,
    lease: Option<(Instant, Instant)>,
}

impl Sidecar {
    async fn start(uid: &str, key: &str) -> Self {
        let ip = Ipv4Addr::new(198, 51, 100, NEXT.fetch_add(1, SeqCst));
        let listener = TcpListener::bind((ip, ADMIN_PORT)).await.unwrap();
        let state = State { uid: uid.to_owned(), key: key.to_owned(), commands: 0, lease: None };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, shared.clone()));
            }
        });
        Self { ip, state, task }
    }

    fn cordoned(&self) -> bool {
        self.state.lock().unwrap().lease().is_some()
    }
}

impl State {
    fn lease(&self) -> Option<(Instant, Instant)> {
        self.lease.filter(|(_, until)| Instant::now() < *until)
    }

    fn obey(&mut self, command: &DrainCommand) {
        let (now, since) = (Instant::now(), self.lease().map(|(since, _)| since));
        self.commands += 1;
        self.lease = match command.action {
            DrainAction::Drain => {
                Some((since.unwrap_or(now), now + Duration::from_secs(u64::from(command.ttl_seconds))))
            }
            DrainAction::Release => None,
        };
    }

    fn report(&self) -> InFlightReport {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
        let lease = self.lease().map(|(since, until)| LeaseReport {
            remaining_millis: millis(until.saturating_duration_since(Instant::now())),
            draining_for_millis: millis(since.elapsed()),
            new_requests: NewRequests::Serve,
        });
        InFlightReport {
            version: VERSION,
            pod_uid: self.uid.clone(),
            boot: "b".repeat(32),
            challenge: format!("{:032x}", self.commands),
            trusted_keys: vec![self.key.clone()],
            mode: Mode::Http,
            in_flight: 0,
            last_arrival_ago_millis: Some(60_000),
            mean_gap_millis: Some(10),
            lease,
            terminating: false,
            last_probe: None,
        }
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let mut request = vec![];
    let body = loop {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length =
            text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
        if request.len() >= head + 4 + length {
            break request.split_off(head + 4);
        }
    };
    if request.starts_with(b"POST") {
        let command = serde_json::from_slice(&body).unwrap();
        state.lock().unwrap().obey(&command);
    }
    let report = serde_json::to_string(&state.lock().unwrap().report()).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{report}", report.len());
    stream.write_all(answer.as_bytes()).await
}
