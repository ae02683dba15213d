//! The operator's own pod: awaited, killed, taken away and brought back.
//!
//! **Invariant:** a kill is a SIGKILL wherever the process can be seen from here, and always brings a fresh pod, so that
//! no container's restart back-off is measured in place of the controller.

use super::cluster::{SYSTEM, kubectl};
use super::wait::{Look, until, when};
use super::{Result, processes};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use std::time::{Duration, Instant};

const NAME: &str = "restart-controller";
const SELECTOR: &str = "app.kubernetes.io/name=restart-controller";
const KEYS: &str = "restart-controller-keys";
/// What `deploy/install.yaml` asks for.
const REPLICAS: i32 = 2;

/// How long the Lease of the replicas lasts.
#[derive(Clone, Copy)]
pub enum Election {
    /// As `deploy/install.yaml` has it.
    Default,
    /// As short as a busy machine bears, so that a kill costs a scenario little.
    Short,
}

impl Election {
    /// Longest until a standby acts after a crash: the lease, and a second.
    pub const TAKEN_OVER: Duration = Duration::from_secs(15 + 1);

    /// The arguments, and what they are worth.
    const fn arguments(self) -> [(&'static str, &'static str); 3] {
        let values = match self {
            Self::Default => ["15s", "10s", "2s"],
            Self::Short => ["4s", "2500ms", "500ms"],
        };
        [
            ("--leader-elect-lease-duration", values[0]),
            ("--leader-elect-renew-deadline", values[1]),
            ("--leader-elect-retry-period", values[2]),
        ]
    }
}

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

/// The kernel cuts a process's name after 15 characters.
const PROGRAM: &str = "restart-control";

/// The controller's pods and processes, found beforehand so that the kill itself takes no time.
pub struct Victim {
    pods: Vec<String>,
    processes: Vec<String>,
    /// Whoever holds the Lease, when it alone is to go.
    leader: Option<String>,
}

/// Waits until two run of which one leads, and finds that one.
pub async fn aim_at_leader(client: &Client) -> Result<Victim> {
    ready(client).await?;
    let holder = until("a controller to lead", 60, async || {
        let holder = holder(client).await?;
        Ok(if holder.is_empty() { Look::NotYet("nobody".into()) } else { Look::Done(holder) })
    })
    .await?;
    let pod = leader(client).await?;
    let api: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let processes = processes::of(&api.get(&pod).await?.uid().unwrap_or_default(), PROGRAM);
    Ok(Victim { pods: vec![pod], processes, leader: Some(holder) })
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
        let processes = running.iter().flat_map(|pod| processes::of(&pod.uid().unwrap_or_default(), PROGRAM)).collect();
        let pods = running.iter().map(|pod| pod.name_any()).collect();
        Ok(Look::Done(Victim { pods, processes, leader: None }))
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
    /// Kills the leader; returns how long it took until another one led.
    pub async fn taken_over(self, client: &Client) -> Result<Duration> {
        let old = self.leader.clone().ok_or("aim at the leader first")?;
        let killed = Instant::now();
        self.kill(client).await;
        until("another controller to lead", 60, async || {
            let now = holder(client).await?;
            Ok(when(now != old && !now.is_empty(), || format!("{now} does")))
        })
        .await?;
        Ok(killed.elapsed())
    }

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

/// Brings it back, with such a Lease, and waits for it.
pub async fn bring_back(client: &Client, election: Election) -> Result {
    elect(client, election).await?;
    scale(client, REPLICAS).await?;
    ready(client).await
}

/// Other pods, if these have another Lease.
async fn elect(client: &Client, election: Election) -> Result {
    let api: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    let deployment = serde_json::to_value(api.get(NAME).await?)?;
    let old = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let mut args: Vec<String> = serde_json::from_value(old.clone())?;
    for (argument, value) in election.arguments() {
        let at = args.iter().position(|one| one == argument).ok_or_else(|| format!("no {argument} in {args:?}"))?;
        value.clone_into(&mut args[at + 1]);
    }
    if json!(args) != *old {
        let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": args}]);
        let patch: Patch<()> = Patch::Json(serde_json::from_value(patch)?);
        api.patch(NAME, &PatchParams::default(), &patch).await?;
    }
    Ok(())
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

/// Who holds the Lease; empty: nobody.
async fn holder(client: &Client) -> Result<String> {
    let api: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    Ok(api.get(NAME).await?.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
}

/// The pod that holds the Lease.
async fn leader(client: &Client) -> Result<String> {
    let holder = holder(client).await?;
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
