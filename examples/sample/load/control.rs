//! The control API: starts, watches and stops runs by name.
//!
//! **Invariant:** a name has one run at a time; only a finished one can be replaced.

use super::ledger::Ledger;
use super::run::{Phase, Run};
use super::spec::Spec;
use crate::http::{Body, json, query, text};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const LARGEST_SPEC_BYTES: usize = 64 * 1024;
/// Runs are large (a few bytes per request), so not all are kept.
const MOST_RUNS: usize = 32;

/// The runs, and the ledger that they share.
pub struct Control {
    ledger: Arc<Ledger>,
    runs: Mutex<BTreeMap<String, Arc<Run>>>,
}

/// Answers one request of the API.
pub async fn route(control: Arc<Control>, request: Request<Incoming>) -> Response<Body> {
    let uri = request.uri().clone();
    match (request.method(), uri.path()) {
        (&Method::GET, "/healthz") => text(StatusCode::OK, "ok"),
        (&Method::POST, "/start") => control.start(request.into_body()).await,
        (&Method::GET, "/status") => control.status(&uri),
        (&Method::POST, "/stop") => control.report(&uri, true).await,
        (&Method::GET, "/report") => control.report(&uri, false).await,
        _ => text(
            StatusCode::NOT_FOUND,
            "POST /start, GET /status[?name=...], POST /stop[?name=...], GET /report[?name=...][&wait=true]",
        ),
    }
}

impl Control {
    /// No runs yet.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, runs: Mutex::default() }
    }

    async fn start(&self, body: Incoming) -> Response<Body> {
        let spec = match read(body).await {
            Ok(spec) => spec,
            Err(message) => return text(StatusCode::BAD_REQUEST, &message),
        };
        let mut runs = self.runs();
        if runs.get(&spec.name).is_some_and(|run| run.phase() != Phase::Finished) {
            return text(StatusCode::CONFLICT, &format!("run {} is under way; POST /stop?name={0} first", spec.name));
        }
        if !runs.contains_key(&spec.name) && runs.len() >= MOST_RUNS {
            let message = format!("{MOST_RUNS} runs are kept; use the name of a finished one again");
            return text(StatusCode::TOO_MANY_REQUESTS, &message);
        }
        match Run::start(spec, &self.ledger) {
            Ok(run) => {
                let status = json(StatusCode::CREATED, &run.status());
                if let Some(replaced) = runs.insert(run.spec.name.clone(), run) {
                    self.ledger.forget(&replaced.prefix);
                }
                status
            }
            Err(message) => text(StatusCode::BAD_REQUEST, &message),
        }
    }

    fn status(&self, uri: &Uri) -> Response<Body> {
        if query(uri, "name").is_none() {
            let runs: BTreeMap<_, _> = self.runs().iter().map(|(name, run)| (name.clone(), run.status())).collect();
            return json(StatusCode::OK, &runs);
        }
        match self.find(uri) {
            Ok(run) => json(StatusCode::OK, &run.status()),
            Err(message) => text(StatusCode::NOT_FOUND, &message),
        }
    }

    async fn report(&self, uri: &Uri, stop: bool) -> Response<Body> {
        let run = match self.find(uri) {
            Ok(run) => run,
            Err(message) => return text(StatusCode::NOT_FOUND, &message),
        };
        if stop {
            run.stop();
        }
        if stop || query(uri, "wait") == Some("true") {
            run.finished().await;
        }
        json(StatusCode::OK, &run.report())
    }

    /// The run that is named, or the only one.
    fn find(&self, uri: &Uri) -> Result<Arc<Run>, String> {
        let runs = self.runs();
        match query(uri, "name") {
            Some(name) => runs.get(name).cloned().ok_or_else(|| format!("there is no run {name}")),
            None if runs.len() == 1 => runs.values().next().cloned().ok_or_else(String::new),
            None => Err(format!("there are {} runs; say ?name=...", runs.len())),
        }
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(body: Incoming) -> Result<Spec, String> {
    let body = Limited::new(body, LARGEST_SPEC_BYTES).collect().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| format!("the body is not a run's specification: {error}"))
}
