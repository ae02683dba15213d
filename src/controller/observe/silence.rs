//! Sidecars that do not answer before the restart has touched a pod.
//!
//! **Invariant:** one silence refuses no restart: a sidecar is waited for as long as a stalled machine or a broken network
//! takes to come back.

use crate::controller::facts::{Facts, PodFacts};
use crate::controller::memory::Run;
use crate::controller::observe::pods;
use crate::machine::Hold;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a sidecar may be silent before the restart is refused because of it. The fault matrix (`tests/faults`) keeps
/// every sidecar silent for 15 s, as a network partition or a stalled node does.
const PATIENCE: Duration = Duration::from_secs(20);

/// The Ready pods whose sidecars have not answered yet and are waited for.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    uids: BTreeSet<String>,
    message: Option<String>,
}

impl Awaited {
    /// By what is remembered of each sidecar's silence.
    pub fn new(facts: &Facts, run: &mut Run, now: Instant) -> Self {
        let mut awaited = Self::default();
        if facts.request.spec.force {
            return awaited;
        }
        for pod in facts.pods.iter().filter(|pod| is_silent(facts, pod)) {
            if run.silent_for(pod.uid(), now) < PATIENCE {
                awaited.uids.insert(pod.uid().to_owned());
                awaited.message.get_or_insert_with(|| message(pod));
            }
        }
        awaited
    }

    /// Why the restart does not begin yet; absent when every sidecar has answered or has been waited for long enough.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        self.message.clone().map(|message| Hold { message, bounded: true })
    }

    /// Whether this pod's sidecar is waited for.
    #[must_use]
    pub fn has(&self, pod: &PodFacts) -> bool {
        self.uids.contains(pod.uid())
    }
}

fn is_silent(facts: &Facts, pod: &PodFacts) -> bool {
    let serves = !pod.terminating() && !pods::foreign(facts, pod) && pods::is_ready(&pod.pod);
    serves && pod.asked && pod.sidecar().is_some() && pod.report.is_none()
}

fn message(pod: &PodFacts) -> String {
    format!("waiting for the sidecar of Pod {}, which does not answer: {}", pod.name(), pod.silence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{RestartRequest, names};
    use crate::controller::config::Restart;
    use crate::controller::facts::Surroundings;
    use crate::controller::observe::resolve::resolve;
    use crate::controller::workload::Workload;
    use serde_json::json;

    /// A StatefulSet of one pod, whose sidecar was asked and has not answered.
    fn facts(ready: &str, force: bool) -> Facts {
        let request: RestartRequest = serde_json::from_value(json!({"metadata": {"name": "one"},
            "spec": {"targetRef": {"kind": "StatefulSet", "name": "db"}, "reason": "test", "force": force}}))
        .unwrap();
        let set = json!({"metadata": {"name": "db", "uid": "set"}, "spec": {"selector": {}, "template": {}}});
        let workload = Workload::StatefulSet(Box::new(serde_json::from_value(set).unwrap()));
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "db-0", "uid": "0", "ownerReferences":
                [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "set", "controller": true}]},
            "spec": {"containers": [{"name": names::SIDECAR_CONTAINER}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap();
        let resolved = resolve(&request.spec, &Restart::default(), Some(&workload), &Surroundings::default());
        let pods = vec![PodFacts { pod, asked: true, report: None, silence: "timed out".to_owned() }];
        Facts { pods, ..Facts::new("shop", request, Some(workload), resolved) }
    }

    #[test]
    fn a_silent_sidecar_is_waited_for_and_after_20_seconds_no_longer() {
        let (facts, mut run, start) = (facts("True", false), Run::default(), Instant::now());
        let awaited = Awaited::new(&facts, &mut run, start);
        assert_eq!(
            awaited.message.as_deref(),
            Some("waiting for the sidecar of Pod db-0, which does not answer: timed out")
        );
        assert!(awaited.has(&facts.pods[0]));
        assert!(Awaited::new(&facts, &mut run, start + Duration::from_secs(19)).has(&facts.pods[0]));
        assert!(!Awaited::new(&facts, &mut run, start + Duration::from_secs(20)).has(&facts.pods[0]));
    }

    #[test]
    fn neither_a_pod_that_serves_nobody_nor_a_forced_restart_waits_for_it() {
        for facts in [facts("False", false), facts("True", true)] {
            assert_eq!(Awaited::new(&facts, &mut Run::default(), Instant::now()).message, None);
        }
    }
}
