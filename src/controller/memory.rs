//! What a process remembers of a run between passes, by its own monotonic clock.
//!
//! **Invariant:** losing it all (a crash) makes waits longer, never shorter, and forgets nothing that recovery needs.

use crate::api::Step;
use crate::machine::Refusal;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All runs that this process has seen and that have not ended.
#[derive(Default, Debug)]
pub struct Memory {
    runs: Mutex<HashMap<String, Run>>,
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    step: Option<(Step, Instant)>,
    /// When all of the workload's pods were first seen Ready, without a break since.
    ready_since: Option<Instant>,
    /// Pods that have been Ready in this step.
    ready: HashSet<String>,
    pods: HashMap<String, PodMemory>,
    /// An effect that the cluster will never allow.
    pub refusal: Option<Refusal>,
    waited: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct PodMemory {
    /// When its drain was first seen under way.
    draining: Option<Instant>,
    /// Since when no slice shows it ready, without a break.
    gone_since: Option<Instant>,
}

impl Memory {
    /// A copy of what is remembered of a run.
    pub fn run(&self, uid: &str) -> Run {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Remembers it.
    pub fn keep(&self, uid: &str, run: Run) {
        self.lock().insert(uid.to_owned(), run);
    }

    /// Changes it in place.
    pub fn change(&self, uid: &str, change: impl FnOnce(&mut Run)) {
        change(self.lock().entry(uid.to_owned()).or_default());
    }

    /// The run has ended, or its request is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        // A panic while it was held is contained per request; the map itself is always whole.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// How long the run has been in `step`, as far as this process knows.
    pub fn in_step(&mut self, step: Step, now: Instant) -> Duration {
        match self.step {
            Some((known, since)) if known == step => now - since,
            _ => {
                self.enter(step, now);
                Duration::ZERO
            }
        }
    }

    /// A pod's drain goes on from Draining to Evicting and back; given back to its Services, it starts anew.
    fn enter(&mut self, step: Step, now: Instant) {
        self.step = Some((step, now));
        self.ready_since = None;
        self.ready.clear();
        self.waited = None;
        if !matches!(step, Step::Draining | Step::Evicting) {
            self.pods.clear();
        }
    }

    /// How long all pods have been Ready without a break.
    pub fn ready_for(&mut self, ready: bool, now: Instant) -> Duration {
        if !ready {
            self.ready_since = None;
            return Duration::ZERO;
        }
        now - *self.ready_since.get_or_insert(now)
    }

    /// Whether this pod was Ready earlier in the step and is not any more.
    pub fn lapsed(&mut self, uid: &str, ready: bool) -> bool {
        if ready {
            self.ready.insert(uid.to_owned());
        }
        !ready && self.ready.contains(uid)
    }

    /// How long this pod's drain has been under way.
    pub fn draining_for(&mut self, uid: &str, now: Instant) -> Duration {
        let pod = self.pods.entry(uid.to_owned()).or_default();
        now - *pod.draining.get_or_insert(now)
    }

    /// How long no slice has shown this pod ready, without a break.
    pub fn gone_for(&mut self, uid: &str, in_slices: bool, now: Instant) -> Duration {
        let pod = self.pods.entry(uid.to_owned()).or_default();
        if in_slices {
            pod.gone_since = None;
            return Duration::ZERO;
        }
        now - *pod.gone_since.get_or_insert(now)
    }

    /// Whether a waiting message may be written: at most one every `gap`.
    pub fn may_write(&mut self, gap: Duration, now: Instant) -> bool {
        if self.waited.is_some_and(|last| now - last < gap) {
            return false;
        }
        self.waited = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_step_starts_its_own_clock() {
        let (mut run, start) = (Run::default(), Instant::now());
        assert_eq!(run.in_step(Step::Surging, start), Duration::ZERO);
        assert_eq!(run.in_step(Step::Surging, start + Duration::from_secs(3)), Duration::from_secs(3));
        assert_eq!(run.in_step(Step::Draining, start + Duration::from_secs(4)), Duration::ZERO);
    }

    #[test]
    fn the_clock_of_a_drain_goes_on_until_the_pod_is_given_back() {
        let (mut run, start) = (Run::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        run.in_step(Step::Draining, start);
        run.draining_for("a", start);
        run.in_step(Step::Evicting, after(1));
        run.in_step(Step::Draining, after(2));
        assert_eq!(run.draining_for("a", after(3)), Duration::from_secs(3));
        run.in_step(Step::Surging, after(4));
        assert_eq!(run.draining_for("a", after(5)), Duration::ZERO);
    }

    #[test]
    fn one_pod_that_is_not_ready_starts_the_soak_again() {
        let (mut run, start) = (Run::default(), Instant::now());
        run.ready_for(true, start);
        assert_eq!(run.ready_for(true, start + Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(run.ready_for(false, start + Duration::from_secs(6)), Duration::ZERO);
        assert_eq!(run.ready_for(true, start + Duration::from_secs(7)), Duration::ZERO);
    }

    #[test]
    fn a_pod_that_was_ready_in_this_step_lapses_and_one_that_never_was_does_not() {
        let (mut run, start) = (Run::default(), Instant::now());
        run.in_step(Step::Verifying, start);
        assert!(!run.lapsed("a", false));
        assert!(!run.lapsed("a", true));
        assert!(run.lapsed("a", false));
        run.in_step(Step::Restoring, start);
        assert!(!run.lapsed("a", false));
    }

    #[test]
    fn a_pod_that_comes_back_into_a_slice_is_not_gone() {
        let (mut run, start) = (Run::default(), Instant::now());
        run.gone_for("a", false, start);
        assert_eq!(run.gone_for("a", false, start + Duration::from_secs(2)), Duration::from_secs(2));
        run.gone_for("a", true, start + Duration::from_secs(3));
        assert_eq!(run.gone_for("a", false, start + Duration::from_secs(4)), Duration::ZERO);
    }
}
