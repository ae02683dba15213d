//! The operator's own pod: awaited, killed, taken away and brought back.
//!
//! **Invariant:** a kill is a SIGKILL wherever the process can be seen from here, and always brings a fresh pod, so that
//! no container's restart back-off is measured in place of the controller.

use super::Result;
use super::cluster::{SYSTEM, kubectl};
use super::wait::{Look, until, when};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

const NAME: &str = "restart-controller";
const SELECTOR: &str = "app.kubernetes.io/name=restart-controller";
const KEYS: &str = "restart-controller-keys";
/// What `deploy/install.yaml` asks for.
const REPLICAS: i32 = 2;

/// Waits until all pods of the operator are ready.
pub async fn ready(client: &Client) -> Result {
    let api: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    until("the controller to be ready", 90, async || {
        let deployment = api.get(NAME).await?;
        let generation = deployment.metadata.generation;
        let status = deployment.status.unwrap_or_default();
        let settled = status.observed_generation == generation
            && status.available_replicas == Some(REPLICAS)
            && status.replicas == Some(REPLICAS);
        Ok(when(settled, || format!("available {:?} of {:?}", status.available_replicas, status.replicas)))
    })
    .await
}

/// The key that the operator publishes.
pub async fn public_key(client: &Client) -> Result<String> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let keys = api.get(KEYS).await?;
    let public = keys.data.and_then(|mut data| data.remove("public"));
    public.ok_or_else(|| format!("ConfigMap {KEYS} has no key public").into())
}

/// The controller's pods and processes, found beforehand so that the kill itself takes no time.
pub struct Victim {
    pods: Vec<String>,
    processes: Vec<String>,
}

/// Waits until a controller runs, and finds it.
pub async fn aim(client: &Client) -> Result<Victim> {
    let api: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    until("a controller to be running", 60, async || {
        let pods = api.list(&ListParams::default().labels(SELECTOR)).await?.items;
        let running: Vec<&Pod> = pods.iter().filter(|pod| runs(pod)).collect();
        if running.is_empty() {
            return Ok(Look::NotYet(format!("{} pods, none of them running", pods.len())));
        }
        let processes = running.iter().flat_map(|pod| processes(&pod.uid().unwrap_or_default())).collect();
        Ok(Look::Done(Victim { pods: running.iter().map(|pod| pod.name_any()).collect(), processes }))
    })
    .await
}

fn runs(pod: &Pod) -> bool {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let running = containers
        .into_iter()
        .flatten()
        .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    running && pod.metadata.deletion_timestamp.is_none()
}

impl Victim {
    /// Kills the controller as kill -9 does; the next one runs in a fresh pod.
    pub async fn kill(self, client: &Client) {
        if !self.processes.is_empty() {
            let _ = std::process::Command::new("kill").arg("-9").args(&self.processes).status();
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
        for pod in &self.pods {
            // The pod may be gone by now: it was on its way.
            let _ = api.delete(pod, &DeleteParams::default().grace_period(0)).await;
        }
    }
}

/// The kubelet names a pod's cgroups by its UID; on a node that is another machine there is nothing to find.
fn processes(uid: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let read = |folder: &std::path::Path, file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    // The kernel cuts a process's name after 15 characters.
    let ours = |folder: &std::path::Path| {
        read(folder, "comm").trim() == "restart-control" && names(&read(folder, "cgroup"), uid)
    };
    let found = entries.filter(|entry| ours(&entry.path()));
    found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn names(cgroup: &str, uid: &str) -> bool {
    !uid.is_empty() && (cgroup.contains(uid) || cgroup.contains(&uid.replace('-', "_")))
}

/// Takes the controller away for good.
pub async fn take_away(client: &Client) -> Result {
    let victim = aim(client).await?;
    scale(client, 0).await?;
    victim.kill(client).await;
    let api: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    until("the controller to be gone", 30, async || {
        let left = api.list(&ListParams::default().labels(SELECTOR)).await?.items.len();
        Ok(when(left == 0, || format!("{left} pods")))
    })
    .await
}

/// Brings it back and waits for it.
pub async fn bring_back(client: &Client) -> Result {
    scale(client, REPLICAS).await?;
    ready(client).await
}

async fn scale(client: &Client, replicas: i32) -> Result {
    let api: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    api.patch_scale(NAME, &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": replicas}}))).await?;
    Ok(())
}

/// Changes its pods in a way that means nothing, so that the kubelet looks at what they mount.
pub async fn nudge(client: &Client) -> Result {
    let api: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let patch = json!({"metadata": {"annotations": {"nudged": format!("{:?}", std::time::SystemTime::now())}}});
    for pod in api.list(&ListParams::default().labels(SELECTOR)).await?.items {
        api.patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
    }
    Ok(())
}

/// The metrics of the replica that leads, by way of the API server.
pub async fn metrics(client: &Client) -> Result<String> {
    let pod = leader(client).await?;
    kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics")], "").await
}

/// The pod that holds the Lease.
async fn leader(client: &Client) -> Result<String> {
    let api: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    let holder = api.get(NAME).await?.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    // What follows the name is drawn anew by each process.
    let (pod, _) = holder.rsplit_once('_').ok_or("no controller leads")?;
    Ok(pod.to_owned())
}

/// The lines of its log with these words.
pub async fn said(words: &str) -> Result<String> {
    let log = kubectl(&["logs", "-n", SYSTEM, "-l", SELECTOR, "--tail=2000", "--prefix=false"], "").await?;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(words)).collect();
    Ok(lines.join("\n"))
}

/// The end of the log of whichever pods there are.
pub async fn log(namespace: &str) -> String {
    let said = kubectl(&["logs", "-n", SYSTEM, "-l", SELECTOR, "--tail=2000", "--prefix=false"], "").await;
    let lines: Vec<String> =
        said.unwrap_or_default().lines().filter(|line| line.contains(namespace)).map(str::to_owned).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
