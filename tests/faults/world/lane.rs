//! A lane: one plan after the other, with a user of this machine of its own for its controllers, by which the kernel tells their
//! calls to sidecars from everybody else's, and a namespace in which they live.
//!
//! **Invariant:** nothing of a lane is shared with another one.

use super::{World, account};
use crate::proxy::Sidecars;
use crate::support::Result;
use crate::support::cluster::kubectl;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use std::process::Stdio;
use std::sync::Arc;
use tokio::process::Command;

/// The first lane's user.
const FIRST_USER: u32 = 64_001;
/// The first lane's side door: always the same, so that a rule that an earlier sweep has left is the rule of this one.
const FIRST_PORT: u16 = 23_001;
/// The sidecar's port of reports and commands.
const ADMIN_PORT: &str = "8022";

/// A lane.
pub struct Lane {
    /// What it shares.
    pub world: Arc<World>,
    /// Its name.
    pub name: String,
    /// Its user.
    pub user: u32,
    /// Where its controllers' calls to sidecars come in.
    pub sidecars: Sidecars,
}

impl Lane {
    /// Opens lane `number`.
    pub async fn open(world: Arc<World>, number: u32) -> Result<Self> {
        let lane = Self {
            world,
            name: format!("faults-lane-{number}"),
            user: FIRST_USER + number,
            sidecars: Sidecars::open(FIRST_PORT + u16::try_from(number)?).await?,
        };
        let home = json!({"apiVersion": "v1", "kind": "List", "items": account::home(&lane.name)}).to_string();
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &home).await?;
        redirected(lane.user, lane.sidecars.port).await?;
        Ok(lane)
    }

    /// Nobody leads here any more.
    pub async fn vacate(&self) -> Result {
        let leases: Api<Lease> = Api::namespaced(self.world.client.clone(), &self.name);
        match leases.delete("restart-controller", &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }
}

/// The kernel leads what this user sends to sidecars to that port.
async fn redirected(user: u32, port: u16) -> Result {
    let (user, port) = (user.to_string(), port.to_string());
    let iptables = async |verb: &str| {
        let of = [
            "-w",
            "-t",
            "nat",
            verb,
            "OUTPUT",
            "-p",
            "tcp",
            "--dport",
            ADMIN_PORT,
            "-m",
            "owner",
            "--uid-owner",
            &user,
        ];
        let to = ["-j", "REDIRECT", "--to-ports", &port];
        Command::new("iptables").args(of).args(to).stderr(Stdio::null()).status().await
    };
    if iptables("-C").await?.success() || iptables("-A").await?.success() {
        return Ok(());
    }
    Err("iptables does not redirect calls to sidecars: run this as root inside tests/cluster".into())
}
