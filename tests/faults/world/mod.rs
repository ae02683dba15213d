//! What all plans share: the cluster with the operator's definitions, rights and policies, the controller's own account, the
//! load client and the receiver of hooks.
//!
//! **Invariant:** everything of `deploy/install.yaml` is in force but the controller's own pods, in whose place the lanes run the
//! program.

pub mod account;
pub mod crew;
pub mod hooks;
pub mod lane;
pub mod load;
pub mod pods;
pub mod space;

use crate::neighbours::Neighbours;
use crate::proxy::Upstream;
use crate::support::Result;
use crate::support::cluster::{kubectl, path, with_images};
use hooks::Receiver;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::config::AuthInfo;
use kube::{Client, Config};
use load::LoadClient;
use std::path::PathBuf;

/// The seed of every lane's key: what signs is not what is tested here.
pub const SEED: [u8; 32] = [13; 32];

/// What all plans share.
pub struct World {
    /// With the rights of an administrator, past the proxy.
    pub client: Client,
    /// The proxies' way.
    pub upstream: Upstream,
    /// A token of the controller's own account.
    pub token: String,
    /// The load client.
    pub load: LoadClient,
    /// The receiver of hooks.
    pub hooks: Receiver,
    /// Addresses of pods that did not answer.
    pub neighbours: Neighbours,
    /// The programs under test, where every account may run them: the first process of a plan runs the first, and so on in turn.
    pub programs: Vec<PathBuf>,
    /// How wrong the clocks of the processes are, in turn, as libfaketime reads it; empty: they are right.
    pub clocks: Vec<String>,
    /// Files of the processes; they go with this value.
    pub directory: tempfile::TempDir,
}

impl World {
    /// Installs the operator and starts what is shared.
    pub async fn begin() -> Result<Self> {
        let config = Config::infer().await?;
        let client = Client::try_from(config.clone())?;
        let mut bare = config;
        bare.auth_info = AuthInfo::default();
        bare.default_retry = false;
        bare.read_timeout = None;
        bare.write_timeout = None;
        install().await?;
        let node = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items.into_iter().next();
        let addresses = node.and_then(|node| node.status?.addresses).unwrap_or_default();
        let address =
            addresses.into_iter().find(|address| address.type_ == "InternalIP").ok_or("no node has an address")?;
        let directory = account::open_directory()?;
        Ok(Self {
            upstream: Upstream(Client::try_from(bare)?),
            token: account::token(&client).await?,
            load: LoadClient::start(&address.address).await?,
            hooks: Receiver::start(&address.address).await?,
            neighbours: Neighbours::follow()?,
            programs: account::programs(directory.path())?,
            clocks: std::env::var("CLOCKS").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            directory,
            client,
        })
    }
}

/// Everything but the controller's own pods.
async fn install() -> Result {
    let manifest = with_images(&std::fs::read_to_string(path("deploy/install.yaml"))?);
    let mut documents = crate::support::app::documents(&manifest)?;
    documents
        .retain(|document| !matches!(document["kind"].as_str(), Some("Deployment" | "PodDisruptionBudget") | None));
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string();
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &list).await?;
    let established = ["wait", "--for=condition=Established", "crd/restartrequests.restart-controller.dev"];
    kubectl(&[&established[..], &["crd/restarthistories.restart-controller.dev"]].concat(), "").await?;
    Ok(())
}
