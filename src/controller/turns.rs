//! Whose turn it is to be looked at, among the requests that wait: ten thousand of one namespace cost each other time,
//! and nobody else (I11).
//!
//! **Invariant:** it only decides when a pass happens and who has waited for longest; who gets a workload is decided by the
//! compare-and-swap of its lock. Restarts under way never wait here.

use super::neighbours::Neighbours;
use crate::api::{ConcurrencyPolicy, Phase, RestartRequest, TargetRef};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Of those that wait for one workload, so many are looked at; the next one is woken when one of them leaves.
const FRONT: usize = 10;
/// Passes at one time for waiting requests of one namespace.
const OF_ONE_NAMESPACE: usize = 2;
/// The same for all namespaces: a quarter of the 64 passes is left to restarts under way.
const OF_ALL: usize = 48;
/// Those that find no place come back one after the other, so far apart.
const APART: Duration = Duration::from_millis(10);
/// Those behind the front look for themselves so often, should a wake be lost.
const BEHIND: Duration = Duration::from_secs(60);

/// Age, then name: who comes first.
type Place = (i128, String);
/// Those that queue, and those that are refused where others queue, do not stand in each other's way.
type Line = (TargetRef, bool);

#[derive(Debug, Default)]
struct Namespace {
    lines: BTreeMap<Line, BTreeSet<Place>>,
    of: HashMap<String, (Line, Place)>,
    under_way: HashSet<String>,
    /// Under way by a status that this process has written and the watch has not shown yet.
    admitted: HashSet<String>,
    looking: usize,
    /// When the last of those comes back that found no place.
    booked: Option<Instant>,
}

#[derive(Debug, Default)]
struct All {
    namespaces: BTreeMap<String, Namespace>,
    looking: usize,
}

/// The requests that wait, by namespace; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    all: Arc<Mutex<All>>,
    /// The runs that wait for one another behind a Service or a budget.
    pub neighbours: Neighbours,
}

/// May a request be looked at?
#[derive(Debug)]
pub enum Turn {
    /// Yes; the place is free again when this is dropped.
    Now(Option<Looking>),
    /// No; look again then.
    Later(Duration),
}

/// A waiting request is being looked at.
#[derive(Debug)]
pub struct Looking {
    turns: Turns,
    namespace: String,
}

impl Drop for Looking {
    fn drop(&mut self) {
        let mut all = self.turns.lock();
        all.looking -= 1;
        if let Some(namespace) = all.namespaces.get_mut(&self.namespace) {
            namespace.looking -= 1;
        }
        all.tidy(&self.namespace);
    }
}

impl Turns {
    /// The request as it is now; returns the name of the one that may have come to the front by it.
    #[must_use]
    pub fn seen(&self, request: &RestartRequest) -> Option<String> {
        self.neighbours.seen(request);
        let (namespace, name) = place(request);
        let mut all = self.lock();
        if !waits(request) {
            let next = all.leave(namespace, name);
            if under_way(request) {
                let space = all.namespaces.entry(namespace.to_owned()).or_default();
                space.under_way.insert(name.to_owned());
                space.admitted.remove(name);
            }
            return next;
        }
        let age = request.metadata.creation_timestamp.as_ref().map_or(i128::MAX, |time| time.0.as_nanosecond());
        let (line, place) = (line(request), (age, name.to_owned()));
        let space = all.namespaces.entry(namespace.to_owned()).or_default();
        space.under_way.remove(name);
        if let Some((old, place)) = space.of.insert(name.to_owned(), (line.clone(), place.clone())) {
            space.drop_from(&old, &place);
        }
        space.lines.entry(line).or_default().insert(place);
        None
    }

    /// It no longer exists; returns as [`Turns::seen`].
    #[must_use]
    pub fn gone(&self, namespace: &str, name: &str) -> Option<String> {
        self.neighbours.gone(namespace, name);
        self.lock().leave(namespace, name)
    }

    /// All that exist in these namespaces (of one, or of all): what a watch that broke off has missed leaves; returns who may
    /// have come to the front by it, as namespace and name.
    #[must_use]
    pub fn listed(&self, scope: Option<&str>, all: &HashSet<(String, String)>) -> Vec<(String, String)> {
        self.neighbours.listed(scope);
        let mut known = self.lock();
        let names = |(namespace, space): (&String, &Namespace)| {
            let names: Vec<_> = space.of.keys().chain(&space.under_way).cloned().collect();
            names.into_iter().map(|name| (namespace.clone(), name)).collect::<Vec<_>>()
        };
        let within = |namespace: &str| scope.is_none_or(|scope| scope == namespace);
        let missed: Vec<_> =
            known.namespaces.iter().filter(|(namespace, _)| within(namespace)).flat_map(names).collect();
        let missed = missed.into_iter().filter(|place| !all.contains(place));
        let leave = |(namespace, name): (String, String)| {
            self.neighbours.gone(&namespace, &name);
            known.leave(&namespace, &name).map(|next| (namespace, next))
        };
        missed.filter_map(leave).collect()
    }

    /// Whether it is this request's turn to be looked at.
    #[must_use]
    pub fn turn(&self, request: &RestartRequest, now: Instant) -> Turn {
        if !waits(request) {
            return Turn::Now(None);
        }
        let (name, own) = place(request);
        let mut all = self.lock();
        let full = all.looking >= OF_ALL;
        let namespace = all.namespaces.entry(name.to_owned()).or_default();
        if !request.spec.cancel && !namespace.in_front(&line(request), own) {
            return Turn::Later(BEHIND);
        }
        if full || namespace.looking >= OF_ONE_NAMESPACE {
            let next = namespace.booked.map_or(now, |booked| booked.max(now)) + APART;
            namespace.booked = Some(next);
            return Turn::Later(next - now);
        }
        namespace.looking += 1;
        all.looking += 1;
        Turn::Now(Some(Looking { turns: self.clone(), namespace: name.to_owned() }))
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().namespaces.values().map(|space| space.of.len()).sum()
    }

    /// Other requests of its namespace that are under way. Not asked of the API server: it would look through all of the
    /// namespace's requests each time.
    #[must_use]
    pub fn others_under_way(&self, request: &RestartRequest) -> usize {
        let (namespace, name) = place(request);
        let all = self.lock();
        all.namespaces.get(namespace).map_or(0, |space| space.others_under_way(name))
    }

    /// Whether the request may begin although so many others of its namespace are under way at most. It counts as under way
    /// from here on: the watch shows it later, and others ask in between.
    #[must_use]
    pub fn admit(&self, request: &RestartRequest, most: usize) -> bool {
        let (namespace, name) = place(request);
        let mut all = self.lock();
        let space = all.namespaces.entry(namespace.to_owned()).or_default();
        let admitted = space.others_under_way(name) < most;
        if admitted {
            space.admitted.insert(name.to_owned());
        }
        all.tidy(namespace);
        admitted
    }

    /// It has not begun, or has gone back to wait.
    pub fn withdraw(&self, request: &RestartRequest) {
        let (namespace, name) = place(request);
        let mut all = self.lock();
        if let Some(space) = all.namespaces.get_mut(namespace) {
            space.admitted.remove(name);
        }
        all.tidy(namespace);
    }

    /// The oldest request before this one that waits for the same workload, among those that queue.
    #[must_use]
    pub fn ahead(&self, request: &RestartRequest) -> Option<String> {
        let (namespace, name) = place(request);
        let all = self.lock();
        let space = all.namespaces.get(namespace)?;
        let line = line(request);
        let first = space.lines.get(&line).filter(|_| line.1)?.first()?;
        (first.1 != name).then(|| first.1.clone())
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn leave(&mut self, namespace: &str, name: &str) -> Option<String> {
        let space = self.namespaces.get_mut(namespace)?;
        space.under_way.remove(name);
        space.admitted.remove(name);
        let next = space.of.remove(name).and_then(|(line, place)| {
            space.drop_from(&line, &place);
            space.lines.get(&line)?.iter().nth(FRONT - 1).map(|at| at.1.clone())
        });
        self.tidy(namespace);
        next
    }

    fn tidy(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(Namespace::idle) {
            self.namespaces.remove(namespace);
        }
    }
}

impl Namespace {
    fn idle(&self) -> bool {
        self.of.is_empty() && self.under_way.is_empty() && self.admitted.is_empty() && self.looking == 0
    }

    fn others_under_way(&self, name: &str) -> usize {
        self.under_way.union(&self.admitted).filter(|other| *other != name).count()
    }

    fn in_front(&self, line: &Line, name: &str) -> bool {
        // One that is not known yet has only just come.
        let Some(places) = self.lines.get(line).filter(|_| self.of.contains_key(name)) else { return true };
        places.iter().take(FRONT).any(|at| at.1 == name)
    }

    fn drop_from(&mut self, line: &Line, place: &Place) {
        let Some(places) = self.lines.get_mut(line) else { return };
        places.remove(place);
        if places.is_empty() {
            self.lines.remove(line);
        }
    }
}

fn place(request: &RestartRequest) -> (&str, &str) {
    let metadata = &request.metadata;
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn line(request: &RestartRequest) -> Line {
    (request.spec.target_ref.clone(), request.spec.concurrency_policy == ConcurrencyPolicy::Queue)
}

fn waits(request: &RestartRequest) -> bool {
    request.metadata.deletion_timestamp.is_none() && matches!(request.phase(), None | Some(Phase::Pending))
}

fn under_way(request: &RestartRequest) -> bool {
    request.phase().is_some_and(|phase| phase != Phase::Pending && !phase.is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(namespace: &str, target: &str, name: &str, phase: Option<&str>) -> RestartRequest {
        let status = phase.map(|phase| serde_json::json!({ "phase": phase }));
        let json = serde_json::json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
            "metadata": {"namespace": namespace, "name": name, "creationTimestamp": "2026-11-22T00:00:00Z"},
            "spec": {"targetRef": {"kind": "Deployment", "name": target}, "reason": "test", "concurrencyPolicy": "Queue"},
            "status": status.unwrap_or_default(),
        });
        serde_json::from_value(json).unwrap()
    }

    fn queue(count: usize) -> (Turns, Vec<RestartRequest>) {
        let turns = Turns::default();
        let waiting: Vec<_> = (0..count).map(|at| request("shop", "web", &format!("{at:05}"), None)).collect();
        for request in &waiting {
            assert_eq!(turns.seen(request), None);
        }
        (turns, waiting)
    }

    fn granted(turn: &Turn) -> bool {
        matches!(turn, Turn::Now(_))
    }

    #[test]
    fn of_a_long_queue_the_front_is_looked_at_and_the_next_one_is_woken_when_one_leaves() {
        let (turns, waiting) = queue(10_000);
        let now = Instant::now();
        assert!(waiting[..FRONT].iter().all(|request| granted(&turns.turn(request, now))));
        assert!(waiting[FRONT..].iter().all(|request| matches!(turns.turn(request, now), Turn::Later(BEHIND))));
        assert_eq!(turns.waiting(), 10_000);
        assert_eq!(turns.seen(&request("shop", "web", "00000", Some("Preparing"))).as_deref(), Some("00010"));
        assert_eq!(turns.gone("shop", "00001").as_deref(), Some("00011"));
        assert_eq!(turns.gone("shop", "00001"), None);
    }

    #[test]
    fn each_sees_the_oldest_before_it_and_the_oldest_nobody() {
        let (turns, waiting) = queue(3);
        assert_eq!(turns.ahead(&waiting[0]), None);
        assert_eq!(turns.ahead(&waiting[2]).as_deref(), Some("00000"));
        assert_eq!(turns.ahead(&request("shop", "other", "x", None)), None);
        drop(turns.gone("shop", "00000"));
        assert_eq!(turns.ahead(&waiting[2]).as_deref(), Some("00001"));
    }

    #[test]
    fn a_namespace_full_of_workloads_leaves_places_to_others_and_comes_back_bit_by_bit() {
        let (turns, now) = (Turns::default(), Instant::now());
        let flood: Vec<_> = (0..1000).map(|at| request("flood", &format!("w{at}"), &format!("{at}"), None)).collect();
        for request in &flood {
            drop(turns.seen(request));
        }
        let held: Vec<Turn> = flood.iter().map(|request| turns.turn(request, now)).collect();
        assert_eq!(held.iter().filter(|turn| granted(turn)).count(), OF_ONE_NAMESPACE);
        assert!(matches!(held.last(), Some(Turn::Later(wait)) if *wait == APART * 998));
        assert!(granted(&turns.turn(&request("quiet", "web", "one", None), now)));
        assert!(granted(&turns.turn(&request("flood", "w1", "run", Some("Restarting")), now)), "it is under way");
    }

    #[test]
    fn those_under_way_are_counted_until_they_end_and_nobody_counts_itself() {
        let turns = Turns::default();
        let (one, other) = (request("shop", "a", "one", Some("Restarting")), request("shop", "b", "other", None));
        assert_eq!((turns.seen(&one), turns.seen(&other)), (None, None));
        assert_eq!((turns.others_under_way(&other), turns.others_under_way(&one)), (1, 0));
        drop(turns.seen(&request("shop", "a", "one", Some("Completed"))));
        assert_eq!(turns.others_under_way(&other), 0);
    }

    #[test]
    fn a_request_counts_from_its_admission_on_and_not_only_when_the_watch_shows_it() {
        let turns = Turns::default();
        let (a, b, c) =
            (request("shop", "a", "a", None), request("shop", "b", "b", None), request("shop", "c", "c", None));
        for request in [&a, &b, &c] {
            drop(turns.seen(request));
        }
        assert!(turns.admit(&a, 2) && turns.admit(&b, 2) && !turns.admit(&c, 2));
        assert!(turns.admit(&a, 2), "it does not count itself");
        // What the watch shows may be older than what was written.
        drop(turns.seen(&a));
        assert!(!turns.admit(&c, 2));
        turns.withdraw(&b);
        assert!(turns.admit(&c, 2) && !turns.admit(&b, 2));
        for phase in ["Restarting", "Completed"] {
            drop(turns.seen(&request("shop", "a", "a", Some(phase))));
        }
        assert!(turns.admit(&b, 2));
        for request in [&a, &b, &c] {
            drop(turns.gone("shop", place(request).1));
        }
        assert!(turns.lock().namespaces.is_empty());
    }

    #[test]
    fn who_was_deleted_while_the_watch_was_broken_holds_up_nobody() {
        let (turns, waiting) = queue(12);
        drop(turns.seen(&request("shop", "other", "run", Some("Restarting"))));
        drop(turns.seen(&request("elsewhere", "web", "stays", None)));
        let listed = waiting[1..].iter().map(|request| ("shop".to_owned(), place(request).1.to_owned())).collect();
        assert_eq!(turns.listed(Some("shop"), &listed), [("shop".to_owned(), "00010".to_owned())]);
        assert_eq!((turns.ahead(&waiting[1]), turns.others_under_way(&waiting[1]), turns.waiting()), (None, 0, 12));
        assert_eq!(turns.listed(None, &listed), []);
        assert_eq!(turns.waiting(), 11);
    }

    #[test]
    fn nothing_is_kept_of_those_that_are_gone() {
        let (turns, waiting) = queue(3);
        let held = turns.turn(&waiting[0], Instant::now());
        for request in &waiting {
            drop(turns.gone("shop", request.metadata.name.as_deref().unwrap()));
        }
        drop(held);
        assert!(turns.lock().namespaces.is_empty());
        assert_eq!(turns.lock().looking, 0);
    }
}
