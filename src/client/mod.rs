//! Asking for restarts and looking at them, for programs: the plugin, the HTTP API, and whoever embeds this crate.
//!
//! Rights are the caller's own: the kube `Client` is given, and every call is made as whoever it authenticates as.
//! The complete flow is `examples/flow.rs`:
//!
#![doc = concat!("```no_run\n", include_str!("../../examples/flow.rs"), "```")]
//!
//! **Invariant:** nothing of the controller is in here; of the cluster only `RestartRequests` are written.

mod ask;
mod cancel;
mod error;
mod look;
mod target;
pub mod words;

pub use ask::{Ask, Asked, DEFAULT_TIMEOUT_SECONDS, USER_NOTE, generated_name};
pub use error::{Error, sentence};
pub use look::{HistoryEntry, RestartStatus, rank, timestamp};

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
