//! Asking for restarts and looking at them, for programs: the plugin, the HTTP API, and whoever embeds this crate.
//!
//! Rights are the caller's own: the kube `Client` is given, and every call is made as whoever it authenticates as.
//! The complete flow: ask, look every two seconds until it has ended, then read the history.
//!
//! ```no_run
//! use restart_controller::client::{Ask, RestartClient};
//! use std::time::Duration;
//!
//! # async fn flow() -> Result<(), Box<dyn std::error::Error>> {
//! let restarts = RestartClient::new(kube::Client::try_default().await?, "shop");
//! let web = "deployment/web".parse()?;
//!
//! let ask = Ask::new(web, "new price table").force(false).config_reload(true).timeout(30);
//! let asked = restarts.request_restart(&ask).await?;
//! println!("{}: about {} s", asked.request_id(), asked.estimated_time);
//!
//! let web = &ask.spec.target_ref;
//! loop {
//!     let status = restarts.get_restart_status(web).await?;
//!     println!("{}: {} requests in flight", status.status, status.active_requests_count);
//!     if matches!(status.status, "completed" | "failed") {
//!         break;
//!     }
//!     // Only while it is preparing: restarts.cancel_restart(web).await?;
//!     tokio::time::sleep(Duration::from_secs(2)).await;
//! }
//! assert!(!restarts.is_restarting(web).await?);
//!
//! for run in restarts.get_restart_history(web, 10).await? {
//!     println!("{} {} {}", run.timestamp, if run.success { "ok" } else { "failed" }, run.reason);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Invariant:** nothing of the controller is in here; of the cluster only `RestartRequests` are written.

mod ask;
mod cancel;
mod error;
mod look;
mod target;
pub mod words;

pub use ask::{Ask, Asked, DEFAULT_TIMEOUT_SECONDS, USER_NOTE, generated_name};
pub use error::Error;
pub use look::{HistoryEntry, RestartStatus, timestamp};

use crate::api::{RestartHistory, RestartRequest};
use kube::{Api, Client};

/// Field manager of what people and programs write; does not begin with `kubectl`, whose fields Flux strips (DESIGN 5).
pub const FIELD_MANAGER: &str = "restart-cli";

/// Restarts in one namespace.
#[derive(Clone)]
pub struct RestartClient {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for RestartClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RestartClient").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl RestartClient {
    /// Acts as whoever `client` authenticates as.
    #[must_use]
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self { client, namespace: namespace.into() }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The client underneath.
    #[must_use]
    pub fn kube(&self) -> &Client {
        &self.client
    }

    /// The requests of the namespace.
    #[must_use]
    pub fn requests(&self) -> Api<RestartRequest> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The histories of the namespace.
    #[must_use]
    pub fn histories(&self) -> Api<RestartHistory> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

impl Asked {
    /// The seed's `request_id`.
    #[must_use]
    pub fn request_id(&self) -> String {
        words::request_id(self.request.metadata.name.as_deref().unwrap_or_default())
    }
}
