//! The machines of a local cluster of several nodes: stalled and going on again, closed to new pods and open.
//!
//! **Invariant:** what a scenario stalls or closes goes on and opens at its end, whatever becomes of the scenario.

use super::cluster::{kubectl, path};
use super::space::Space;
use super::wait::{until, when};
use super::{Result, load};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use std::process::{Command, Stdio};

/// How many nodes there are, when it is more than one.
const VARIABLE: &str = "E2E_NODES";
/// The node that no scenario loses: the control plane, the operator and the load client are there.
pub const FIRST: &str = "node0";
/// The others.
pub const OTHERS: [&str; 2] = ["node1", "node2"];

/// Whether the cluster has the nodes that these scenarios are about.
pub fn are_several() -> bool {
    std::env::var(VARIABLE).is_ok_and(|nodes| nodes == "3")
}

/// Does something while the first node alone takes new pods.
pub async fn on_the_first<T>(act: impl Future<Output = Result<T>>) -> Result<T> {
    let closed = Closed::to_new_pods(&OTHERS).await?;
    let done = act.await;
    closed.open().await?;
    done
}

/// The load client, on the first node, whose kube-proxy is the one that it uses.
pub async fn load_on_the_first(space: &Space) -> Result {
    on_the_first(load::deploy(space)).await
}

/// Cordoned nodes.
pub struct Closed(Vec<&'static str>);

impl Closed {
    /// Cordons them.
    pub async fn to_new_pods(nodes: &[&'static str]) -> Result<Self> {
        let closed = Self(nodes.to_vec());
        kubectl(&[&["cordon"], nodes].concat(), "").await?;
        Ok(closed)
    }

    /// Uncordons them.
    pub async fn open(mut self) -> Result {
        kubectl(&[&["uncordon"], self.0.as_slice()].concat(), "").await?;
        self.0.clear();
        Ok(())
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            // The scenario has failed, and says why.
            let _ = Command::new("kubectl").arg("uncordon").args(&self.0).stdout(Stdio::null()).status();
        }
    }
}

/// A component of a node that stands still, or the whole machine.
pub struct Stalled {
    program: &'static str,
    node: &'static str,
    over: bool,
}

impl Stalled {
    /// Stops it where it is.
    pub fn stop(program: &'static str, node: &'static str) -> Result<Self> {
        cluster("stop", program, node)?;
        Ok(Self { program, node, over: false })
    }

    /// Stalls a whole machine and waits until the cluster knows: no request of the first node goes there any more.
    pub async fn lose(space: &Space, node: &'static str) -> Result<Self> {
        let lost = Self::stop("all", node)?;
        ready(space, node, false).await?;
        let addresses = addresses(space, node).await?;
        until(&format!("the first node to send nothing to {node}"), 60, async || {
            let rules = String::from_utf8(Command::new("iptables-save").args(["-t", "nat"]).output()?.stdout)?;
            let left: Vec<&str> = addresses.iter().filter(|one| rules.contains(*one)).map(String::as_str).collect();
            Ok(when(left.is_empty(), || left.join(", ")))
        })
        .await?;
        Ok(lost)
    }

    /// Lets it go on.
    pub fn go_on(mut self) -> Result {
        cluster("continue", self.program, self.node)?;
        self.over = true;
        Ok(())
    }

    /// Lets a machine go on, and waits until its node is Ready.
    pub async fn come_back(self, space: &Space) -> Result {
        let node = self.node;
        self.go_on()?;
        ready(space, node, true).await
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        if !self.over {
            // The scenario has failed, and says why.
            let _ = cluster("continue", self.program, self.node);
        }
    }
}

/// What the first node's kube-proxy would send to: destinations of its rules, up to the port.
async fn addresses(space: &Space, node: &str) -> Result<Vec<String>> {
    let on = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let pods = space.api::<Pod>().list(&on).await?.items;
    let addresses = pods.into_iter().filter_map(|pod| pod.status?.pod_ip);
    Ok(addresses.map(|address| format!("--to-destination {address}:")).collect())
}

async fn ready(space: &Space, name: &str, wanted: bool) -> Result {
    let api: Api<Node> = Api::all(space.cluster.client.clone());
    let state = if wanted { "Ready" } else { "NotReady" };
    until(&format!("{name} to be {state}"), 60, async || {
        let conditions = api.get(name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True");
        Ok(when(ready == wanted, || format!("Ready is {ready}")))
    })
    .await
}

/// `CLUSTER_RUN` says which cluster.
fn cluster(verb: &str, program: &str, node: &str) -> Result {
    let output = Command::new(path("tests/cluster/cluster")).args([verb, program, node]).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("cluster {verb} {program} {node}: {}", said.trim()).into())
}
