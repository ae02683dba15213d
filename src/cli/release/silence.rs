//! Whether a controller leads: its Lease is looked at for as long as it lasts, by this machine's clock alone.
//!
//! **Invariant:** the times that a Lease holds are not read. A leader that has not renewed it for its whole duration refuses its
//! own writes (`controller::leader::fence`), so no controller writes once a Lease has not changed for that long.

use crate::client::{Error, RestartClient};
use crate::controller::leader::NAME;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;
use std::time::Duration;

/// Between two looks; a leader renews every two seconds unless it is configured otherwise.
const LOOK: Duration = Duration::from_secs(1);
/// Where a Lease does not say how long it lasts.
const USUAL: Duration = Duration::from_secs(15);

/// Proof that no controller led when it was made, and the Leases by which a controller that leads since is noticed.
pub struct Silence {
    leases: Option<Api<Lease>>,
    seen: Vec<Seen>,
}

/// A Lease as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    place: String,
    holder: String,
    version: String,
    lasts: Duration,
}

impl Seen {
    fn of(lease: Lease) -> Self {
        let spec = lease.spec.unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let (namespace, name) = (lease.metadata.namespace.unwrap_or_default(), lease.metadata.name.unwrap_or_default());
        Self {
            place: format!("{namespace}/{name}"),
            holder: spec.holder_identity.unwrap_or_default(),
            version: lease.metadata.resource_version.unwrap_or_default(),
            lasts: seconds.filter(|seconds| *seconds > 0).map_or(USUAL, Duration::from_secs),
        }
    }
}

impl Silence {
    /// Whether a controller leads is not asked.
    pub fn not_asked_for() -> Self {
        Self { leases: None, seen: vec![] }
    }

    /// Watches each Lease that somebody holds for as long as it lasts.
    ///
    /// # Errors
    /// When it is renewed meanwhile, or cannot be read.
    pub async fn established(client: &RestartClient, namespace: Option<&str>) -> Result<Self, Error> {
        let leases = match namespace {
            Some(namespace) => Api::namespaced(client.kube().clone(), namespace),
            None => Api::all(client.kube().clone()),
        };
        let seen = look(&leases).await?;
        let silence = Self { leases: Some(leases), seen };
        let held: Vec<&Seen> = silence.seen.iter().filter(|lease| !lease.holder.is_empty()).collect();
        let Some(longest) = held.iter().map(|lease| lease.lasts).max() else { return Ok(silence) };
        for lease in held {
            eprintln!("Looking for {longest:?} whether {} renews Lease {} ...", lease.holder, lease.place);
        }
        let begun = tokio::time::Instant::now();
        while begun.elapsed() <= longest {
            tokio::time::sleep(LOOK).await;
            silence.still().await?;
        }
        Ok(silence)
    }

    /// Nobody has touched a Lease since.
    ///
    /// # Errors
    /// When somebody has, or it cannot be read.
    pub async fn still(&self) -> Result<(), Error> {
        let Some(leases) = &self.leases else { return Ok(()) };
        match leads(&self.seen, &look(leases).await?) {
            None => Ok(()),
            Some(lease) => Err(Error::Invalid(format!(
                "{} renews Lease {}: a controller leads, and puts back by itself what is under way. Wait for it, or delete the request (kubectl delete restartrequest NAME), or uninstall the controller first",
                lease.holder, lease.place
            ))),
        }
    }
}

/// A Lease that somebody has taken or renewed since.
fn leads<'a>(before: &[Seen], now: &'a [Seen]) -> Option<&'a Seen> {
    now.iter().find(|lease| !lease.holder.is_empty() && !before.contains(lease))
}

async fn look(leases: &Api<Lease>) -> Result<Vec<Seen>, Error> {
    let params = ListParams::default().fields(&format!("metadata.name={NAME}"));
    let found = leases.list(&params).await.map_err(|source| {
        Error::kube(format!("list Leases {NAME} (--controller-namespace NAMESPACE asks for one alone)"), source)
    })?;
    Ok(found.items.into_iter().map(Seen::of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str) -> Seen {
        Seen { place: "system/restart-controller".into(), holder: holder.into(), version: version.into(), lasts: USUAL }
    }

    #[test]
    fn a_lease_that_is_renewed_taken_or_made_says_that_a_controller_leads() {
        assert!(leads(&[lease("a", "1")], &[lease("a", "2")]).is_some());
        assert!(leads(&[lease("", "1")], &[lease("b", "2")]).is_some());
        assert!(leads(&[], &[lease("b", "1")]).is_some());
    }

    #[test]
    fn a_lease_that_stands_still_is_given_back_or_gone_says_that_none_does() {
        assert!(leads(&[lease("a", "1")], &[lease("a", "1")]).is_none());
        assert!(leads(&[lease("a", "1")], &[lease("", "2")]).is_none());
        assert!(leads(&[lease("a", "1")], &[]).is_none());
    }
}
