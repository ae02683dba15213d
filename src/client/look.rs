//! Looking at restarts: the newest of a workload, its history, and changes as they come.
//!
//! **Invariant:** nothing is written here.

use super::words::{self, phase};
use super::{Error, RestartClient};
use crate::api::{Phase, RestartHistory, RestartRequest, RunRecord, TargetRef};
use futures::{Stream, StreamExt as _};
use k8s_openapi::jiff::{Timestamp, Unit};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::Serialize;

/// Where a workload stands, in the seed's words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RestartStatus {
    /// `idle` before the first request, else the newest one's phase in the seed's words.
    pub status: &'static str,
    /// Whether that has not ended.
    pub is_restarting: bool,
    /// Requests in flight in pods that are being drained.
    pub active_requests_count: i64,
    /// When this was looked at, RFC 3339 in UTC.
    pub timestamp: String,
    /// The request that it is about.
    #[serde(skip)]
    pub request: Option<RestartRequest>,
}

impl RestartStatus {
    /// Of the newest request, as of now.
    #[must_use]
    pub fn of(request: Option<RestartRequest>) -> Self {
        let phase = request.as_ref().map(phase);
        let in_flight = request.as_ref().and_then(|request| request.status.as_ref()?.in_flight);
        let is_restarting = phase.is_some_and(|phase| !phase.is_terminal());
        Self {
            status: phase.map_or(words::IDLE, Phase::seed_word),
            is_restarting,
            active_requests_count: in_flight.filter(|_| is_restarting).unwrap_or(0),
            timestamp: timestamp(Timestamp::now()),
            request,
        }
    }
}

/// One restart that ended, as the seed says it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// When it started, RFC 3339 in UTC.
    pub timestamp: String,
    /// Why it was asked for.
    pub reason: String,
    /// Whether it completed.
    pub success: bool,
    /// Everything that is kept of it.
    #[serde(skip)]
    pub record: RunRecord,
}

impl From<RunRecord> for HistoryEntry {
    fn from(record: RunRecord) -> Self {
        let time = record.started_at.as_ref().or(record.finished_at.as_ref());
        Self {
            timestamp: time.map(|time| timestamp(time.0)).unwrap_or_default(),
            reason: record.reason.clone(),
            success: record.result == Phase::Completed,
            record,
        }
    }
}

/// Whole seconds, UTC: `2024-01-01T12:00:00Z`.
#[must_use]
pub fn timestamp(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}

impl RestartClient {
    /// Where the workload stands: its newest request's status, terminal ones included.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn get_restart_status(&self, target: &TargetRef) -> Result<RestartStatus, Error> {
        self.newest(target).await.map(RestartStatus::of)
    }

    /// Whether a restart of the workload has been asked for and has not ended.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn is_restarting(&self, target: &TargetRef) -> Result<bool, Error> {
        self.get_restart_status(target).await.map(|status| status.is_restarting)
    }

    /// The last restarts of the workload that ended, newest first.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn get_restart_history(&self, target: &TargetRef, limit: usize) -> Result<Vec<HistoryEntry>, Error> {
        let history = self.history_of(target).await?;
        let runs = history.and_then(|history| history.status).map(|status| status.runs).unwrap_or_default();
        Ok(runs.into_iter().take(limit).map(HistoryEntry::from).collect())
    }

    /// The request with this name, if it exists.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn find(&self, name: &str) -> Result<Option<RestartRequest>, Error> {
        let found = self.requests().get_opt(name).await;
        found.map_err(|source| Error::kube(format!("read RestartRequest {}/{name}", self.namespace()), source))
    }

    /// The request of the workload that counts: the one under way, else the newest.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn newest(&self, target: &TargetRef) -> Result<Option<RestartRequest>, Error> {
        let fields = format!("spec.targetRef.kind={},spec.targetRef.name={}", target.kind.word(), target.name);
        let all = self.list(&ListParams::default().fields(&fields)).await?;
        Ok(all.into_iter().max_by_key(rank))
    }

    /// The requests of the namespace that can be read, the one that counts most first.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn all(&self) -> Result<Vec<RestartRequest>, Error> {
        let mut all = self.list(&ListParams::default()).await?;
        all.sort_by_key(|request| std::cmp::Reverse(rank(request)));
        Ok(all)
    }

    async fn list(&self, parameters: &ListParams) -> Result<Vec<RestartRequest>, Error> {
        let api: kube::Api<DeserializeGuard<RestartRequest>> =
            kube::Api::namespaced(self.kube().clone(), self.namespace());
        let all = api.list(parameters).await;
        let what = format!("list RestartRequests in namespace {}", self.namespace());
        let all = all.map_err(|source| Error::kube(what, source))?;
        Ok(all.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
    }

    /// What the controller remembers of the workload, if it remembers anything.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn history_of(&self, target: &TargetRef) -> Result<Option<RestartHistory>, Error> {
        let all = self.histories().list(&ListParams::default()).await;
        let what = format!("list RestartHistories in namespace {}", self.namespace());
        let all = all.map_err(|source| Error::kube(what, source))?;
        let of_it = all.items.into_iter().filter(|history| history.spec.target_ref == *target);
        Ok(of_it.max_by_key(|history| history.metadata.creation_timestamp.clone()))
    }

    /// The request as it is now and after every change, until it is gone. A connection that breaks is made again.
    pub fn follow(&self, name: &str) -> impl Stream<Item = Result<Option<RestartRequest>, Error>> + Send + use<> {
        let what = format!("watch RestartRequest {}/{name}", self.namespace());
        watcher::watch_object(self.requests(), name).default_backoff().map(move |seen| match seen {
            Ok(request) => Ok(request),
            Err(
                watcher::Error::InitialListFailed(source)
                | watcher::Error::WatchStartFailed(source)
                | watcher::Error::WatchFailed(source),
            ) => Err(Error::kube(&what, source)),
            Err(error) => Err(Error::Invalid(format!("{what}: {error}"))),
        })
    }
}

/// Which of the requests for a workload counts: the greatest. Under way before queued before ended; of those the youngest.
/// Of those that ended the one that ended last: one that was refused beside a restart is younger, and ended before it.
#[must_use]
pub fn rank(request: &RestartRequest) -> (u8, Option<Timestamp>, String) {
    let phase = phase(request);
    let seen = request.phase().is_some_and(|phase| phase != Phase::Pending && !phase.is_terminal());
    let class = match (seen, phase.is_terminal()) {
        (true, _) => 2,
        (false, false) => 1,
        (false, true) => 0,
    };
    let created = request.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let started = request.status.as_ref().and_then(|status| status.started_at.as_ref()).map(|time| time.0);
    let finished = request.status.as_ref().and_then(|status| status.finished_at.as_ref()).map(|time| time.0);
    let ended = finished.filter(|_| phase.is_terminal());
    (class, ended.or(created.max(started)), request.metadata.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(name: &str, created: &str, phase: Option<&str>, in_flight: Option<i64>) -> RestartRequest {
        serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
            "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"},
            "status": {"phase": phase, "inFlight": in_flight}}))
        .unwrap()
    }

    #[test]
    fn before_the_first_request_a_workload_is_idle() {
        let status = RestartStatus::of(None);
        assert_eq!((status.status, status.is_restarting, status.active_requests_count), ("idle", false, 0));
    }

    #[test]
    fn the_status_is_the_seeds_json() {
        let mut status =
            RestartStatus::of(Some(request("a", "2024-01-01T12:00:00Z", Some("WaitingRequests"), Some(3))));
        status.timestamp = "2024-01-01T12:00:00Z".to_owned();
        let expected = json!({"status": "waiting_requests", "is_restarting": true, "active_requests_count": 3,
            "timestamp": "2024-01-01T12:00:00Z"});
        assert_eq!(serde_json::to_value(status).unwrap(), expected);
    }

    #[test]
    fn one_under_way_counts_before_a_newer_one_that_was_refused() {
        let running = request("a", "2024-01-01T12:00:00Z", Some("Restarting"), None);
        let refused = request("b", "2024-01-01T12:00:05Z", Some("Failed"), None);
        assert!(rank(&running) > rank(&refused));
        assert!(rank(&request("c", "2024-01-01T12:00:09Z", None, None)) > rank(&refused));
    }

    #[test]
    fn one_refused_beside_a_restart_does_not_count_after_its_end_either() {
        let ended = |mut request: RestartRequest, at: &str| {
            request.status.as_mut().unwrap().finished_at = Some(serde_json::from_value(json!(at)).unwrap());
            request
        };
        let restarted = ended(request("a", "2024-01-01T12:00:00Z", Some("Completed"), None), "2024-01-01T12:00:30Z");
        let refused = ended(request("b", "2024-01-01T12:00:05Z", Some("Failed"), None), "2024-01-01T12:00:06Z");
        assert!(rank(&restarted) > rank(&refused));
        let later = ended(request("c", "2024-01-01T12:00:31Z", Some("Failed"), None), "2024-01-01T12:00:31Z");
        assert!(rank(&later) > rank(&restarted));
    }

    #[test]
    fn timestamps_have_whole_seconds() {
        let time: Timestamp = "2024-01-01T12:00:00.123Z".parse().unwrap();
        assert_eq!(timestamp(time), "2024-01-01T12:00:00Z");
    }
}
