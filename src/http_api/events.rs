//! The live stream: server-sent events `status` (of one workload, as `/api/restart/status` says it) and `run` (a restart
//! in full), `listed` when all that were there have been told, `gone` when a request is deleted.
//!
//! **Invariant:** a stream is one watch with the caller's token and ends with it, after five minutes at most: whoever lost
//! a right loses the stream, and whoever goes on asks again and gets everything anew.

use super::Shared;
use super::answers::{before, status_of};
use super::caller::Caller;
use super::callers::Who;
use super::error::ApiError;
use super::limits::Query;
use super::runs::{Requests, selector};
use super::target::{Named, Target};
use super::views::{Asked as Scope, view};
use super::wire::Word;
use crate::api::{RestartRequest, TargetKind};
use crate::client::words::phase;
use crate::client::{RestartClient, rank};
use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::DeserializeGuard;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

/// Of a watch, in seconds.
const LONGEST: u32 = 290;
/// Between two signs of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// After which a browser asks again.
const AGAIN: Duration = Duration::from_secs(1);

/// Which restarts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    namespace: Option<String>,
    kind: Option<TargetKind>,
    name: Option<String>,
    #[serde(default)]
    scope: Watched,
}

/// How much is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Watched {
    /// The restarts of one workload.
    #[default]
    Workload,
    /// All of `namespace`; without one those of the cluster.
    All,
}

/// What is known of the watched restarts.
struct Known {
    target: Option<Target>,
    runs: BTreeMap<String, RestartRequest>,
    /// Where the workload stands when there is no request for it.
    before: Word,
    told: Option<(Word, bool, i64)>,
}

/// The stream.
pub async fn events(
    State(shared): State<Shared>,
    Extension(who): Extension<Who>,
    Caller { client }: Caller,
    Query(asked): Query<Asked>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let streaming = shared.limits.callers.stream(&who).ok_or_else(ApiError::too_many_streams)?;
    let mut idle = Word::Idle;
    let (api, what, target) = match asked.scope {
        Watched::All if asked.kind.is_some() || asked.name.is_some() => {
            return Err(ApiError::invalid("scope=all goes with a namespace, or alone"));
        }
        Watched::All => {
            let (api, what) = Scope { namespace: asked.namespace }.api(&client)?;
            (api, what, None)
        }
        Watched::Workload => {
            let named = Named { namespace: asked.namespace, kind: asked.kind, name: asked.name };
            let target = named.or(shared.default_target.as_ref())?;
            let api: Requests = Api::namespaced(client.clone(), &target.namespace);
            idle = before(&RestartClient::new(client, &target.namespace), &target.workload).await?;
            (api, format!("watch the RestartRequests of namespace {}", target.namespace), Some(target))
        }
    };
    let known = Known { target, runs: BTreeMap::new(), before: idle, told: None };
    let stream = watch(&api, &what, known).await?;
    let stream = stream.map(move |event| {
        // Its place is taken for as long as the stream lives.
        let _streaming = &streaming;
        Ok(event)
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)))
}

/// Everything that is there, then what changes.
async fn watch(api: &Requests, what: &str, mut known: Known) -> Result<BoxStream<'static, Event>, ApiError> {
    let fields = known.target.as_ref().map(|target| selector(&target.workload)).unwrap_or_default();
    let refused = |error: kube::Error| ApiError::from_kube(what, &error);
    let listed = api.list(&ListParams::default().fields(&fields)).await.map_err(refused)?;
    let version = listed.metadata.resource_version.clone().unwrap_or_default();
    let parameters = WatchParams {
        label_selector: None,
        field_selector: Some(fields),
        timeout: Some(LONGEST),
        bookmarks: false,
        send_initial_events: false,
    };
    let watch = api.watch(&parameters, &version).await.map_err(refused)?.boxed();
    let mut first: Vec<Event> = vec![Event::default().retry(AGAIN).comment("restarts, live")];
    for item in listed.items {
        first.extend(known.changed(item));
    }
    first.push(named("listed", &json!({"count": first.len() - 1})));
    first.extend(known.status());
    let rest = stream::unfold((watch, known), |(mut watch, mut known)| async move {
        // The watch ends, or breaks, and the stream with it: who reads it begins again.
        let event = watch.next().await?.ok()?;
        let events = known.event(event)?;
        Some((stream::iter(events), (watch, known)))
    });
    Ok(stream::iter(first).chain(rest.flatten()).boxed())
}

impl Known {
    fn event(&mut self, event: WatchEvent<DeserializeGuard<RestartRequest>>) -> Option<Vec<Event>> {
        let mut events: Vec<Event> = match event {
            WatchEvent::Added(item) | WatchEvent::Modified(item) => self.changed(item).into_iter().collect(),
            WatchEvent::Deleted(item) => vec![self.gone(&item)],
            WatchEvent::Bookmark(_) => vec![],
            WatchEvent::Error(_) => return None,
        };
        events.extend(self.status());
        Some(events)
    }

    fn changed(&mut self, item: DeserializeGuard<RestartRequest>) -> Option<Event> {
        let run = item.0.ok()?;
        let event = named("run", &view(&run));
        // Of other workloads nothing is told that all of their runs would be needed for.
        if self.target.is_some() {
            self.runs.insert(run.name_any(), run);
        }
        Some(event)
    }

    fn gone(&mut self, item: &DeserializeGuard<RestartRequest>) -> Event {
        if let Some(run) = self.runs.remove(&item.name_any()).filter(|_| self.runs.is_empty()) {
            // One that is deleted under way puts everything back, and is a failure.
            self.before = if phase(&run).is_terminal() { Word::of(phase(&run)) } else { Word::Failed };
        }
        named("gone", &json!({"namespace": item.namespace(), "name": item.name_any()}))
    }

    /// The status of the workload, when it is another than before.
    fn status(&mut self) -> Option<Event> {
        self.target.as_ref()?;
        let newest = self.runs.values().max_by_key(|run| rank(run)).cloned();
        let status = status_of(newest, self.before);
        let now = (status.status, status.is_restarting, status.active_requests_count);
        (self.told.replace(now) != Some(now)).then(|| named("status", &status))
    }
}

fn named(name: &str, data: &impl Serialize) -> Event {
    let text = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(text)
}
