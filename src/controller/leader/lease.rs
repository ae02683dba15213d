//! The Lease object: read, written by compare-and-swap, watched.
//!
//! **Invariant:** its times are for people; nothing here reads them back, and no write goes without the resourceVersion seen.

use super::decide::{Record, Settings};
use crate::api::names::FIELD_MANAGER;
use crate::controller::context::timed;
use crate::controller::error::Error;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use std::time::Duration;

/// The Lease of all replicas, in the controller's namespace.
pub const NAME: &str = "restart-controller";

/// The Lease at the API server.
#[derive(Clone)]
pub struct Leases {
    reader: Api<Lease>,
    writer: Api<Lease>,
    what: String,
}

impl Leases {
    pub fn new(reader: kube::Client, writer: kube::Client, namespace: &str) -> Self {
        let what = format!("Lease {namespace}/{NAME}");
        Self { reader: Api::namespaced(reader, namespace), writer: Api::namespaced(writer, namespace), what }
    }

    /// `Lease namespace/name`, for people.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// As it is now: not from a cache.
    pub async fn read(&self, limit: Duration) -> Result<Option<Lease>, Error> {
        // Over the writer's connection: the reader's may be dead, and nothing else shows it in time.
        timed(format!("read {}", self.what), limit, self.writer.get_opt(NAME)).await
    }

    /// Writes `lease`, which was read with its resourceVersion or never was.
    pub async fn write(&self, lease: &Lease, limit: Duration) -> Result<Lease, Error> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        if lease.metadata.resource_version.is_some() {
            timed(format!("write {}", self.what), limit, self.writer.replace(NAME, &params, lease)).await
        } else {
            timed(format!("create {}", self.what), limit, self.writer.create(&params, lease)).await
        }
    }

    /// The resourceVersion after each change; None when it is gone.
    pub fn changes(&self) -> BoxStream<'static, watcher::Result<Option<String>>> {
        let changes = watcher::watch_object(self.reader.clone(), NAME).default_backoff();
        changes.map_ok(|lease| lease.and_then(|lease| lease.metadata.resource_version)).boxed()
    }
}

/// What a Lease says, for the decision.
pub fn record(lease: &Lease, settings: &Settings) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|one| *one > 0);
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        lasts: seconds.map_or(settings.lease, Duration::from_secs),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The Lease after `me` has taken or renewed it.
pub fn held(seen: Option<&Lease>, me: &str, settings: &Settings) -> Lease {
    let now = Some(MicroTime(Timestamp::now()));
    let mut lease = seen.cloned().unwrap_or_else(empty);
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(me) {
        // As client-go counts: the first holder is no transition.
        spec.lease_transitions = Some(seen.map_or(0, |_| spec.lease_transitions.unwrap_or(0).saturating_add(1)));
        spec.holder_identity = Some(me.to_owned());
        spec.acquire_time.clone_from(&now);
    }
    spec.renew_time = now;
    // Never shorter than what we rely on.
    let seconds = settings.lease.as_secs() + u64::from(settings.lease.subsec_nanos() > 0);
    spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    lease
}

/// The Lease after its holder has given it back.
pub fn released(seen: &Lease) -> Lease {
    let mut lease = seen.clone();
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    lease
}

fn empty() -> Lease {
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    Lease { metadata, spec: Some(LeaseSpec::default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_is_counted_when_the_holder_changes_and_at_no_renewal() {
        let settings = Settings::default();
        let count = |lease: &Lease| lease.spec.as_ref().unwrap().lease_transitions;
        let first = held(None, "a", &settings);
        assert_eq!(count(&first), Some(0));
        let renewed = held(Some(&first), "a", &settings);
        assert_eq!(count(&renewed), Some(0));
        assert_eq!(renewed.spec.as_ref().unwrap().acquire_time, first.spec.as_ref().unwrap().acquire_time);
        let taken = held(Some(&released(&renewed)), "b", &settings);
        assert_eq!(count(&taken), Some(1));
    }

    #[test]
    fn a_released_lease_names_nobody_and_a_broken_one_lasts_as_long_as_ours() {
        let settings = Settings { lease: Duration::from_millis(2_500), ..Settings::default() };
        let lease = held(None, "a", &settings);
        assert_eq!(record(&lease, &settings).lasts, Duration::from_secs(3));
        assert_eq!(record(&released(&lease), &settings).holder, "");
        let mut broken = lease;
        broken.spec.as_mut().unwrap().lease_duration_seconds = Some(-5);
        assert_eq!(record(&broken, &settings).lasts, settings.lease);
    }
}
