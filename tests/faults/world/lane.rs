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
use std::sync::Arc;
use tokio::process::Command;

/// The first lane's user.
const FIRST_USER: u32 = 64_001;
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
            sidecars: Sidecars::open().await?,
        };
        let home = json!({"apiVersion": "v1", "kind": "List", "items": account::home(&lane.name)}).to_string();
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &home).await?;
        let (user, port) = (lane.user.to_string(), lane.sidecars.port.to_string());
        let rule = [
            "-w",
            "-t",
            "nat",
            "-A",
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
        let redirect = ["-j", "REDIRECT", "--to-ports", &port];
        let status = Command::new("iptables").args(rule).args(redirect).status().await?;
        if !status.success() {
            return Err("iptables does not redirect calls to sidecars: run this as root inside tests/cluster".into());
        }
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
