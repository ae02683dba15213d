//! The judge: what holds whatever the fault, and what differs from the undisturbed run.
//!
//! **Invariant:** it looks past the proxy at the cluster, and at what the proxy has seen; never at what the controller says of
//! itself.

pub mod oracle;
mod rest;
mod writes;

use crate::proxy::Seen;
use crate::support::Result;
use crate::world::pods::Pods;
use crate::world::space::Space;
use serde_json::Value;
use std::collections::BTreeSet;

/// What is known of the run beside that.
#[derive(Clone, Copy)]
pub struct Known {
    /// It completed.
    pub completed: bool,
    /// The API server has refused one of its writes for good.
    pub refused: bool,
}

/// What was noted before the request.
pub struct Before {
    /// The workload.
    pub workload: Value,
    /// The pods, by UID.
    pub pods: BTreeSet<String>,
}

impl Before {
    /// As it is now.
    pub async fn look(space: &Space, pods: &Pods) -> Result<Self> {
        Ok(Self { workload: space.workload().await?, pods: pods.present().into_keys().collect() })
    }
}

/// The sentences of what does not hold.
pub async fn invariants(space: &Space, before: &Before, pods: &Pods, seen: &[Seen], run: Known) -> Vec<String> {
    let mut wrong = writes::wrong(seen, pods, before, run.completed);
    match rest::wrong(space, before, pods, run.refused).await {
        Ok(more) => wrong.extend(more),
        Err(error) => wrong.push(format!("the end could not be looked at: {error}")),
    }
    wrong
}

/// The same where the namespace is gone.
pub fn of_writes(before: &Before, pods: &Pods, seen: &[Seen]) -> Vec<String> {
    writes::wrong(seen, pods, before, false)
}
