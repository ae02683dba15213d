//! The ledger that both ends keep, held against the sidecar's count at every entry.
//!
//! A request is in it from the moment in which the app has its head until the moment before whoever ends it does so: the
//! app before its last bytes or its close, the client before its reset or the end of its tunnel. The count must hold it for
//! longer, so with the ledger locked it is never below.

use super::kind::Kind;
use restart_controller::sidecar::state::Shared;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    ToCome,
    Open,
    Ended,
}

pub struct Truth {
    shared: Arc<Shared>,
    state: Mutex<State>,
    next: AtomicU64,
    end: u64,
    done: AtomicU64,
    again: AtomicU64,
}

struct State {
    entries: Vec<Entry>,
    open: u64,
    begun: u64,
    most_open: u64,
    checks: u64,
    waiting: HashMap<u64, oneshot::Sender<()>>,
    wrong: Vec<String>,
}

impl Truth {
    pub fn new(requests: u64, shared: Arc<Shared>) -> Self {
        let entries = vec![Entry::ToCome; usize::try_from(requests).unwrap()];
        let (waiting, wrong) = (HashMap::new(), Vec::new());
        let state = Mutex::new(State { entries, open: 0, begun: 0, most_open: 0, checks: 0, waiting, wrong });
        Self {
            shared,
            state,
            next: AtomicU64::new(0),
            end: requests,
            done: AtomicU64::new(0),
            again: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next request to make.
    pub fn next(&self) -> Option<u64> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (id < self.end).then_some(id)
    }

    /// The client has what it wanted.
    pub fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was told to leave before it took a request; the sidecar may have counted the beginning of it.
    pub fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    pub fn again_count(&self) -> u64 {
        self.again.load(Ordering::Relaxed)
    }

    pub fn done_count(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The app has the head of a request.
    pub fn begin(&self, id: u64) {
        let mut state = self.state();
        match state.entry(id) {
            Some(entry) if *entry == Entry::ToCome => *entry = Entry::Open,
            _ => return state.is_wrong(format!("request {id} reached the app twice, or nobody sent it")),
        }
        state.open += 1;
        state.begun += 1;
        state.most_open = state.most_open.max(state.open);
        state.check(&self.shared);
        if let Some(waiting) = state.waiting.remove(&id) {
            let _ = waiting.send(());
        }
    }

    /// Whoever ends a request is about to do it.
    pub fn end(&self, id: u64) {
        let mut state = self.state();
        state.check(&self.shared);
        match state.entry(id) {
            Some(entry) if *entry == Entry::Open => *entry = Entry::Ended,
            _ => return state.is_wrong(format!("request {id} ended twice, or before it began")),
        }
        state.open -= 1;
    }

    /// Something that must not be.
    pub fn is_wrong(&self, what: String) {
        self.state().is_wrong(what);
    }

    /// What comes when the app has begun `id`; asked before it is sent.
    pub fn beginning(&self, id: u64) -> impl Future<Output = ()> {
        let (tell, told) = oneshot::channel();
        self.state().waiting.insert(id, tell);
        async move { soon(&format!("request {id} reaches the app"), told).await.unwrap() }
    }

    /// What is wrong with all of it.
    pub fn verdict(&self) -> Vec<String> {
        let mut state = self.state();
        let (open, begun) = (state.open, state.begun);
        let mut must = |what: &str, is: u64, expected: u64| {
            if is != expected {
                state.is_wrong(format!("{what}: {is} instead of {expected}"));
            }
        };
        must("requests that the app has begun", begun, self.end);
        must("requests whose client is done", self.done_count(), self.end);
        let (counted, limit) = (self.shared.in_flight.total(), self.end + self.again_count());
        must("requests that the sidecar has counted", counted, counted.clamp(self.end, limit));
        must("open in the ledger", open, 0);
        must("in flight", self.shared.in_flight.now(), 0);
        must("open connections", self.shared.connections.now(), 0);
        std::mem::take(&mut state.wrong)
    }

    /// For people: how often the count was checked, and against how many at most.
    pub fn checks(&self) -> (u64, u64) {
        let state = self.state();
        (state.checks, state.most_open)
    }
}

impl State {
    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(id).ok()?)
    }

    fn check(&mut self, shared: &Shared) {
        self.checks += 1;
        let counted = shared.in_flight.now();
        if counted < self.open {
            self.is_wrong(format!("{counted} counted where {} are open", self.open));
        }
    }

    fn is_wrong(&mut self, what: String) {
        if self.wrong.len() < 20 {
            eprintln!("{what}");
            self.wrong.push(what);
        }
    }
}

/// What the path of a request says.
pub fn parse(path: &str) -> Option<(u64, Kind)> {
    let id = u64::from_str_radix(path.strip_prefix('/')?, 16).ok()?;
    Some((id, Kind::of(id)))
}

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
