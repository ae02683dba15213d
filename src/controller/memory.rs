//! What a process remembers of a run between passes, by its own monotonic clock.
//!
//! **Invariant:** losing it all (a crash) makes waits longer, never shorter, and forgets nothing that recovery needs.

use crate::api::Step;
use crate::machine::Refusal;
use crate::wire::InFlightReport;
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
    /// When pods were first seen terminating; kept from step to step.
    terminating: HashMap<String, Instant>,
    /// An effect that the cluster will never allow.
    pub refusal: Option<Refusal>,
    /// What kept the last effects from being carried out; absent once they are.
    pub trouble: Option<String>,
    /// Since when the run's surroundings cannot be read.
    blind_since: Option<Instant>,
    /// Id of the key that commands are signed with.
    key: String,
    waited: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct PodMemory {
    /// When its sidecar was first seen to hold a lease in this drain.
    draining: Option<Instant>,
    /// Since when its sidecar has not answered, or has not obeyed, without a break.
    silent_since: Option<Instant>,
    /// The sidecar that refused a command: its boot id and the keys that it trusted.
    refused_by: Option<(String, Vec<String>)>,
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

    /// Since when the run's surroundings cannot be read: now, unless that is known.
    pub fn blind_since(&self, uid: &str, now: Instant) -> Instant {
        *self.lock().entry(uid.to_owned()).or_default().blind_since.get_or_insert(now)
    }

    /// What kept the last effects of a run from being carried out.
    pub fn trouble(&self, uid: &str) -> Option<String> {
        self.lock().get(uid)?.trouble.clone()
    }

    /// Effects are tried: what kept the last ones is over. A run that has ended is not brought back by it.
    pub fn without_trouble(&self, uid: &str) {
        if let Some(run) = self.lock().get_mut(uid) {
            run.trouble = None;
        }
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
    /// The run's surroundings have been read.
    pub fn sees(&mut self) {
        self.blind_since = None;
    }

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

    /// A pod's drain goes on from Draining to Evicting and back; in any other step, and given back to its Services, it
    /// starts anew: what its sidecar did before the drain is no part of it.
    fn enter(&mut self, step: Step, now: Instant) {
        let goes_on = step.takes_pods_out() && self.step.is_some_and(|(before, _)| before.takes_pods_out());
        self.step = Some((step, now));
        self.trouble = None;
        self.ready_since = None;
        self.ready.clear();
        self.waited = None;
        if !goes_on {
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

    /// How long this pod's drain has been under way: since its sidecar was first seen to hold a lease.
    pub fn draining_for(&mut self, uid: &str, now: Instant) -> Duration {
        let pod = self.pods.entry(uid.to_owned()).or_default();
        now - *pod.draining.get_or_insert(now)
    }

    /// How long this pod's sidecar has not answered or not obeyed, without a break.
    pub fn silent_for(&mut self, uid: &str, now: Instant) -> Duration {
        let pod = self.pods.entry(uid.to_owned()).or_default();
        now - *pod.silent_since.get_or_insert(now)
    }

    /// How long this pod has been seen terminating.
    pub fn terminating_for(&mut self, uid: &str, now: Instant) -> Duration {
        now - *self.terminating.entry(uid.to_owned()).or_insert(now)
    }

    /// This pod's sidecar has answered, and nothing is known against it.
    pub fn answered(&mut self, uid: &str) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.silent_since = None;
        }
    }

    /// The controller signs with the key of this id: a sidecar that refused another key's commands is asked once more.
    pub fn signs_with(&mut self, key: &str) {
        if self.key != key {
            key.clone_into(&mut self.key);
            self.pods.values_mut().for_each(|pod| pod.refused_by = None);
        }
    }

    /// This pod's sidecar refused a command.
    pub fn refused(&mut self, uid: &str, report: &InFlightReport) {
        let by = (report.boot.clone(), report.trusted_keys.clone());
        self.pods.entry(uid.to_owned()).or_default().refused_by = Some(by);
    }

    /// Whether the sidecar that gives this report is the one that refused the last command, with the same keys. One that
    /// has restarted or trusts other keys is commanded once more.
    #[must_use]
    pub fn refuses(&self, uid: &str, report: &InFlightReport) -> bool {
        let by = self.pods.get(uid).and_then(|pod| pod.refused_by.as_ref());
        by.is_some_and(|(boot, keys)| *boot == report.boot && *keys == report.trusted_keys)
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
    fn a_silence_before_the_drain_is_no_part_of_the_drain() {
        let (mut run, start) = (Run::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        run.in_step(Step::Surging, start);
        assert_eq!(run.silent_for("a", start), Duration::ZERO);
        assert_eq!(run.silent_for("a", after(4)), Duration::from_secs(4));
        run.in_step(Step::Draining, after(20));
        assert_eq!(run.draining_for("a", after(20)), Duration::ZERO, "the drain begins when a lease is seen");
        assert_eq!(run.silent_for("a", after(21)), Duration::ZERO);
        run.answered("a");
        assert_eq!(run.silent_for("a", after(30)), Duration::ZERO, "an answer ends a silence");
        assert_eq!(run.draining_for("a", after(30)), Duration::from_secs(10));
    }

    #[test]
    fn a_sidecar_that_refused_is_asked_again_when_it_or_the_key_is_another() {
        let report = |boot: &str, key: &str| -> InFlightReport {
            let report = serde_json::json!({"version": 1, "podUid": "a", "boot": boot, "challenge": "", "trustedKeys": [key],
                "inFlight": 0, "terminating": false});
            serde_json::from_value(report).unwrap()
        };
        let mut run = Run::default();
        run.signs_with("new");
        run.refused("a", &report("1", "old"));
        run.signs_with("new");
        assert!(run.refuses("a", &report("1", "old")));
        assert!(!run.refuses("a", &report("2", "old")) && !run.refuses("a", &report("1", "new")));
        assert!(!run.refuses("b", &report("1", "old")));
        run.signs_with("old");
        assert!(!run.refuses("a", &report("1", "old")));
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
