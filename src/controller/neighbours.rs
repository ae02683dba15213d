//! Runs that share a Service or a PodDisruptionBudget take pods out of it one after the other: of two workloads with one pod
//! each behind one Service, each would take the other's pod for the endpoint that is left (I1).
//!
//! A run claims what its pods share before its status enters Draining, and holds it until the step after Evicting, when its
//! replacements serve. After a restart of the controller the claims come back from the statuses: a run that is draining
//! claims with its first pass, and until then everybody else of its namespace waits, as they do until all runs are listed.
//!
//! **Invariant:** it only makes a run wait; a claim that is lost or kept too long costs time. What a claim is granted on was
//! read after the one before it ended.

use crate::api::{RestartRequest, Step};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A run that waits for its turn asks at least so often, or it loses its place to those behind it.
const ASKS: Duration = Duration::from_secs(15);
/// The end of a claim concerns the passes that were under way then; none takes longer.
const REMEMBERED: Duration = Duration::from_secs(150);

/// What pods of several workloads may stand behind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shared {
    /// A Service, by name.
    Service(String),
    /// A PodDisruptionBudget, by name.
    Budget(String),
}

impl Shared {
    fn is_budget(&self) -> bool {
        match self {
            Self::Budget(_) => true,
            Self::Service(_) => false,
        }
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(formatter, "Service {name}"),
            Self::Budget(name) => write!(formatter, "PodDisruptionBudget {name}"),
        }
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Its namespace.
    pub namespace: String,
    /// UID of its request.
    pub uid: String,
    /// Name of its request.
    pub name: String,
}

#[derive(Debug)]
struct Claim {
    name: String,
    shared: BTreeSet<Shared>,
}

#[derive(Debug)]
struct Waiting {
    uid: String,
    claim: Claim,
    asked: Instant,
}

#[derive(Debug, Default)]
struct Namespace {
    /// Runs that take pods out, as their statuses were last watched: name by UID.
    draining: HashMap<String, String>,
    claims: HashMap<String, Claim>,
    /// First come, first served.
    waiting: Vec<Waiting>,
    freed: HashMap<Shared, Instant>,
}

#[derive(Debug, Default)]
struct All {
    /// The scopes whose requests have all been seen: a namespace, or all of them.
    listed: HashSet<Option<String>>,
    namespaces: BTreeMap<String, Namespace>,
}

/// The claims of all runs; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Neighbours(Arc<Mutex<All>>);

impl Neighbours {
    /// A request as it is watched.
    pub fn seen(&self, request: &RestartRequest) {
        let who = who(request);
        let draining = request.status.as_ref().and_then(|status| status.step).is_some_and(Step::takes_pods_out);
        self.change(&who.namespace, |space| {
            if draining {
                space.draining.insert(who.uid, who.name);
            } else {
                space.draining.remove(&who.uid);
            }
        });
    }

    /// No request of that name is there any more.
    pub fn gone(&self, namespace: &str, name: &str) {
        self.change(namespace, |space| space.draining.retain(|_, known| known != name));
    }

    /// All requests of these namespaces have been seen.
    pub fn listed(&self, scope: Option<&str>) {
        self.lock().listed.insert(scope.map(str::to_owned));
    }

    /// Claims what the pods of a run share with others, for a decision on what was read after `read`.
    ///
    /// # Errors
    /// Who is first, for people.
    pub fn claim(&self, who: &Who, shared: BTreeSet<Shared>, read: Instant, now: Instant) -> Result<(), String> {
        let mut all = self.lock();
        if !all.listed.contains(&None) && !all.listed.contains(&Some(who.namespace.clone())) {
            return Err("the restarts of this namespace are being listed".to_owned());
        }
        let space = all.namespaces.entry(who.namespace.clone()).or_default();
        space.waiting.retain(|waiting| now < waiting.asked + ASKS);
        let refused = space.refusal(who, &shared, read);
        let claim = Claim { name: who.name.clone(), shared };
        match refused {
            None => {
                space.waiting.retain(|waiting| waiting.uid != who.uid);
                space.claims.insert(who.uid.clone(), claim);
                Ok(())
            }
            Some(why) => {
                space.wait(who, claim, now);
                Err(why)
            }
        }
    }

    /// The status says that the run takes pods out: it has its claim, also after a restart of the controller.
    pub fn hold(&self, who: &Who, shared: BTreeSet<Shared>) {
        self.change(&who.namespace, |space| {
            space.claims.insert(who.uid.clone(), Claim { name: who.name.clone(), shared });
        });
    }

    /// The budget says no. If that is because of another run which takes pods out of the same budget, this one has its place
    /// in the line: the other one would be first again and again. If not, it holds up nobody. Returns who has taken what it
    /// shares, for people.
    #[must_use]
    pub fn refused(&self, who: &Who, shared: BTreeSet<Shared>, now: Instant) -> Option<String> {
        let mut all = self.lock();
        let space = all.namespaces.entry(who.namespace.clone()).or_default();
        space.release(&who.uid, now);
        let budgets: BTreeSet<Shared> = shared.iter().filter(|one| one.is_budget()).cloned().collect();
        let taken = space.taken(who, &shared);
        if space.taken(who, &budgets).is_some() {
            space.wait(who, Claim { name: who.name.clone(), shared }, now);
        } else {
            space.waiting.retain(|waiting| waiting.uid != who.uid);
        }
        taken
    }

    /// The run takes no pods out now.
    pub fn release(&self, who: &Who, now: Instant) {
        self.change(&who.namespace, |space| space.release(&who.uid, now));
    }

    /// The run has ended, or its request is gone.
    pub fn forget(&self, uid: &str, now: Instant) {
        let mut all = self.lock();
        for space in all.namespaces.values_mut() {
            space.release(uid, now);
            space.waiting.retain(|waiting| waiting.uid != uid);
            space.draining.remove(uid);
        }
        all.namespaces.retain(|_, space| !space.idle(now));
    }

    fn change(&self, namespace: &str, change: impl FnOnce(&mut Namespace)) {
        let mut all = self.lock();
        let space = all.namespaces.entry(namespace.to_owned()).or_default();
        change(space);
        if space.idle(Instant::now()) {
            all.namespaces.remove(namespace);
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Namespace {
    fn refusal(&self, who: &Who, shared: &BTreeSet<Shared>, read: Instant) -> Option<String> {
        let unknown = self
            .draining
            .iter()
            .find(|(uid, _)| **uid != who.uid && !self.claims.contains_key(*uid))
            .map(|(_, name)| name);
        if let Some(name) = unknown {
            return Some(format!(
                "RestartRequest {name} is taking pods out of its Services; which, its next pass tells"
            ));
        }
        if let Some(taken) = self.taken(who, shared) {
            return Some(taken);
        }
        if self.claims.contains_key(&who.uid) {
            return None;
        }
        if shared.iter().filter_map(|one| self.freed.get(one)).any(|freed| *freed >= read) {
            return Some(
                "another restart has just ended what it did behind the same Service or budget; looking once more"
                    .to_owned(),
            );
        }
        let before = self.waiting.iter().take_while(|waiting| waiting.uid != who.uid);
        let mut before = before.filter_map(|waiting| Some((waiting, common(&waiting.claim.shared, shared)?)));
        let (first, common) = before.next()?;
        Some(format!("RestartRequest {} waits for {common} as well and is first", first.claim.name))
    }

    fn taken(&self, who: &Who, shared: &BTreeSet<Shared>) -> Option<String> {
        let mut others = self.claims.iter().filter(|(uid, _)| **uid != who.uid);
        let (name, common) = others.find_map(|(_, claim)| Some((&claim.name, common(&claim.shared, shared)?)))?;
        Some(format!(
            "RestartRequest {name} is taking pods out of {common}, behind which pods of this workload stand as well; it goes \
             on when their replacements are ready"
        ))
    }

    fn wait(&mut self, who: &Who, claim: Claim, now: Instant) {
        match self.waiting.iter_mut().find(|waiting| waiting.uid == who.uid) {
            Some(waiting) => (waiting.claim, waiting.asked) = (claim, now),
            None => self.waiting.push(Waiting { uid: who.uid.clone(), claim, asked: now }),
        }
    }

    fn release(&mut self, uid: &str, now: Instant) {
        self.freed.retain(|_, freed| now < *freed + REMEMBERED);
        if let Some(claim) = self.claims.remove(uid) {
            self.freed.extend(claim.shared.into_iter().map(|shared| (shared, now)));
        }
    }

    fn idle(&self, now: Instant) -> bool {
        self.draining.is_empty()
            && self.claims.is_empty()
            && self.waiting.is_empty()
            && self.freed.values().all(|freed| now >= *freed + REMEMBERED)
    }
}

fn common(one: &BTreeSet<Shared>, other: &BTreeSet<Shared>) -> Option<Shared> {
    one.intersection(other).next().cloned()
}

/// The run of a request.
#[must_use]
pub fn who(request: &RestartRequest) -> Who {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let metadata = &request.metadata;
    Who { namespace: text(&metadata.namespace), uid: text(&metadata.uid), name: text(&metadata.name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(name: &str) -> Who {
        Who { namespace: "shop".to_owned(), uid: format!("uid-{name}"), name: name.to_owned() }
    }

    fn service(name: &str) -> BTreeSet<Shared> {
        BTreeSet::from([Shared::Service(name.to_owned()), Shared::Budget(format!("of-{name}"))])
    }

    fn listed() -> (Neighbours, Instant) {
        let all = Neighbours::default();
        all.listed(None);
        (all, Instant::now())
    }

    fn watched(name: &str, step: &str) -> RestartRequest {
        let who = run(name);
        serde_json::from_value(json!({"apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
            "metadata": {"namespace": who.namespace, "name": who.name, "uid": who.uid},
            "spec": {"targetRef": {"kind": "StatefulSet", "name": name}, "reason": "test"}, "status": {"step": step}}))
        .unwrap()
    }

    #[test]
    fn two_runs_behind_one_service_take_their_pods_out_one_after_the_other() {
        let (all, start) = listed();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(all.claim(&run("a"), service("web"), start, start), Ok(()));
        let told = all.claim(&run("b"), service("web"), start, start).unwrap_err();
        assert!(told.contains("RestartRequest a is taking pods out of Service web"), "{told}");
        assert_eq!(all.claim(&run("c"), service("other"), start, start), Ok(()), "it shares nothing");
        assert_eq!(all.claim(&run("a"), service("web"), start, after(1)), Ok(()), "it has it");
        all.release(&run("a"), after(2));
        let stale = all.claim(&run("b"), service("web"), after(1), after(3)).unwrap_err();
        assert!(stale.contains("looking once more"), "{stale}");
        let first = all.claim(&run("a"), service("web"), after(3), after(3)).unwrap_err();
        assert!(first.contains("RestartRequest b waits for Service web"), "{first}");
        assert_eq!(all.claim(&run("b"), service("web"), after(3), after(4)), Ok(()));
    }

    #[test]
    fn a_budget_is_shared_as_a_service_is_and_one_that_asks_no_more_loses_its_place() {
        let (all, start) = listed();
        let after = |seconds| start + Duration::from_secs(seconds);
        let budget = BTreeSet::from([Shared::Budget("of-web".to_owned())]);
        assert_eq!(all.claim(&run("a"), budget.clone(), start, start), Ok(()));
        let told = all.claim(&run("b"), service("web"), start, start).unwrap_err();
        assert!(told.contains("PodDisruptionBudget of-web"), "{told}");
        all.release(&run("a"), after(1));
        assert_eq!(all.claim(&run("c"), budget, after(30), after(30)), Ok(()));
    }

    #[test]
    fn who_is_refused_by_a_budget_that_another_run_uses_up_is_next_and_any_other_refusal_holds_up_nobody() {
        let (all, start) = listed();
        let after = |seconds| start + Duration::from_secs(seconds);
        all.hold(&run("a"), service("web"));
        assert!(all.refused(&run("b"), service("web"), after(1)).is_some_and(|why| why.contains("RestartRequest a")));
        all.release(&run("a"), after(2));
        assert!(
            all.claim(&run("a"), service("web"), after(3), after(3)).unwrap_err().contains("RestartRequest b waits")
        );
        // Its budget says no without the other one as well.
        assert_eq!(all.refused(&run("b"), service("web"), after(4)), None);
        assert_eq!(all.claim(&run("a"), service("web"), after(5), after(5)), Ok(()));
    }

    #[test]
    fn after_a_restart_of_the_controller_nobody_begins_before_it_is_known_what_is_under_way() {
        let (all, start) = (Neighbours::default(), Instant::now());
        let claim = |name: &str| all.claim(&run(name), service("web"), start, start);
        assert!(claim("b").unwrap_err().contains("being listed"));
        all.seen(&watched("a", "Evicting"));
        all.listed(Some("shop"));
        assert!(claim("b").unwrap_err().contains("RestartRequest a is taking pods out"), "its pods are not known yet");
        all.hold(&run("a"), service("elsewhere"));
        assert_eq!(claim("b"), Ok(()), "it shares nothing");
        all.forget("uid-b", start);
        all.hold(&run("a"), service("web"));
        assert!(claim("b").is_err());
        all.seen(&watched("a", "Verifying"));
        assert!(claim("b").is_err(), "until a pass of it says so");
        all.release(&run("a"), start);
        assert_eq!(all.claim(&run("b"), service("web"), start + Duration::from_secs(1), start), Ok(()));
    }

    #[test]
    fn a_run_whose_request_is_gone_holds_up_nobody_for_good() {
        let (all, start) = listed();
        all.seen(&watched("a", "Draining"));
        assert!(all.claim(&run("b"), service("web"), start, start).is_err());
        all.gone("shop", "a");
        assert_eq!(all.claim(&run("b"), service("web"), start, start), Ok(()));
        all.forget("uid-b", start);
        let later = start + REMEMBERED;
        all.forget("uid-b", later);
        assert!(all.lock().namespaces.is_empty());
    }
}
