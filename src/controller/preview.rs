//! What would a restart find, if it were asked for now? For `kubectl restart plan` and `doctor`: the controller's own reads
//! and checks, with the caller's rights.
//!
//! **Invariant:** nothing is written: both clients refuse every write, as those of a replica that does not lead.

use super::admission::Admission;
use super::config::{self, Restart};
use super::context::Context;
use super::error::Error;
use super::keys::{Keys, Trusted};
use super::leader::Leader;
use super::metrics::Metrics;
use super::observe;
use super::{events, leases, sidecars};
use crate::api::RestartRequest;
use std::sync::Arc;

pub use super::observe::{Check, Exceptions, Preview};

/// Looks at what `request` is about, as the controller would with these limits. Sidecars are asked through the API
/// server; without `keys` nothing is said about whom they trust.
///
/// # Errors
/// When something cannot be read: the sentence names it.
pub async fn preview(
    client: &kube::Client,
    namespace: &str,
    request: RestartRequest,
    limits: Restart,
    keys: Option<&Trusted>,
) -> Result<Preview, Error> {
    let (leader, metrics) = (Leader::default(), Metrics::default());
    // Signs nothing: commands are not sent without leading.
    let keys_of_nobody = Keys::from_seed(&[0; 32]);
    let reader = leader.fenced(client.clone());
    let ctx = Context {
        admission: Admission::default(),
        events: events::Events::new(reader.clone(), None, metrics.clone()),
        sidecars: sidecars::Sidecars::new(leader.clone()).through(reader.clone()),
        writer: reader.clone(),
        reader,
        leader: leader.clone(),
        namespace: namespace.to_owned(),
        config: config::Handle::fixed(limits),
        leases: leases::Leases::new(sidecars::Sidecars::new(leader.clone()), keys_of_nobody.clone(), metrics.clone()),
        keys: keys_of_nobody,
        metrics,
        hooks: Arc::default(),
        memory: super::memory::Memory::default(),
        edges: super::edges::Edges::default(),
        orphans: super::orphans::Orphans::default(),
        traces: super::traces::Traces::default(),
        turns: super::turns::Turns::default(),
        contents: super::contents::Contents::default(),
    };
    observe::preview(&ctx, namespace, request, keys).await
}
