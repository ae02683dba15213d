//! The request's status as it stands in the cluster, and what the world keeps of it.
//!
//! **Invariant:** one gives the other: only sentences are lost.

use crate::observe::{now, uid};
use crate::scenario::Scenario;
use crate::world::{Data, End, Entry, Status, World};
use restart_controller::api::{
    Condition, ConditionStatus, HookProgress, HookTime, Outcome, Plan, PodProgress, RestartRequestStatus, Snapshot,
    SnapshotEntry,
};
use restart_controller::machine;

/// The status as it stands in the cluster, as far as the machine reads it.
pub fn status(world: &World, scenario: &Scenario) -> RestartRequestStatus {
    let Some(status) = world.status else { return RestartRequestStatus::default() };
    let batch = world.pods.iter().enumerate().filter_map(|(index, pod)| {
        pod.batch.map(|state| PodProgress { name: uid(index), uid: uid(index), state, unready: pod.unready })
    });
    let late = world.pods.iter().enumerate().filter(|(_, pod)| pod.late).map(|(index, _)| uid(index)).collect();
    RestartRequestStatus {
        phase: Some(status.phase),
        step: Some(status.step),
        outcome: status.outcome.map(outcome),
        pods: batch.collect(),
        snapshot: status.entry.map(|entry| Snapshot { config_maps: vec![recorded(entry, scenario)] }),
        plan: status.planned.then(|| Plan {
            config_map: "plan".into(),
            pods: i64::from(scenario.pods),
            late,
            again: status.again.then(|| "again".into()),
        }),
        hooks: [(HookTime::Pre, status.pre), (HookTime::Post, status.post)]
            .into_iter()
            .filter_map(|(time, state)| {
                Some(HookProgress { time, name: "hook".into(), state: state?, message: String::new() })
            })
            .collect(),
        conditions: if status.cancel_rejected { vec![cancel_rejected()] } else { vec![] },
        ..RestartRequestStatus::default()
    }
}

fn outcome(end: End) -> Outcome {
    Outcome {
        result: end.result,
        code: end.code,
        message: String::new(),
        suspect_configuration: end.suspect,
        not_restored: end.not_restored.map(str::to_owned),
        not_restored_reason: end.not_restored.map(str::to_owned),
    }
}

fn cancel_rejected() -> Condition {
    Condition {
        condition_type: "CancelRejected".into(),
        status: ConditionStatus::True,
        reason: String::new(),
        message: String::new(),
        last_transition_time: now(),
        observed_generation: None,
    }
}

/// What a status says, without the sentences, and the pods that it is working on.
pub fn compressed(status: &RestartRequestStatus) -> Status {
    let cursor = machine::cursor(status).expect("a status that was written has a step");
    let hook = |time| cursor.hooks.iter().find(|hook| hook.time == time).map(|hook| hook.state);
    let (pre, post) = (hook(HookTime::Pre), hook(HookTime::Post));
    let entry = cursor.snapshot.map(|snapshot| {
        let entry = &snapshot.config_maps[0];
        Entry {
            snapshot: data(&entry.sha256),
            candidate: data(&entry.candidate_sha256),
            source: entry.source,
            restored: entry.restored,
        }
    });
    Status {
        phase: status.phase.expect("a status that was written has a phase"),
        step: cursor.step,
        outcome: cursor.outcome.map(|outcome| End {
            result: outcome.result,
            code: outcome.code,
            suspect: outcome.suspect_configuration,
            not_restored: outcome.not_restored_reason.as_deref().map(interned),
        }),
        entry,
        planned: cursor.plan.is_some(),
        again: cursor.again,
        pre,
        post,
        cancel_rejected: cursor.cancel_rejected,
    }
}

const REASONS: [&str; 11] = [
    "CopyLost",
    "PutBackFailed",
    "NoBaseline",
    "PlanLost",
    "RestoreConflict",
    "PodsNotReady",
    "PodsNotReplaced",
    "PodsNotEvicted",
    "RestoreRefused",
    "PutBackRefused",
    "LockLost",
];

fn interned(reason: &str) -> &'static str {
    REASONS.iter().find(|known| **known == reason).copied().unwrap_or_else(|| panic!("a new reason: {reason}"))
}

pub fn recorded(entry: Entry, scenario: &Scenario) -> SnapshotEntry {
    let digest = |data: Data| match data {
        Data::Good => "good".to_owned(),
        Data::New => "new".to_owned(),
        Data::Other => "other".to_owned(),
        Data::Missing => "missing".to_owned(),
    };
    SnapshotEntry {
        name: "config".into(),
        snapshot: digest(entry.snapshot),
        sha256: digest(entry.snapshot),
        source: entry.source,
        candidate: digest(entry.candidate),
        candidate_sha256: digest(entry.candidate),
        promoted: scenario.from,
        restored: entry.restored,
    }
}

pub fn data(digest: &str) -> Data {
    match digest {
        "good" => Data::Good,
        "new" => Data::New,
        "other" => Data::Other,
        "missing" => Data::Missing,
        _ => panic!("no such content: {digest}"),
    }
}
