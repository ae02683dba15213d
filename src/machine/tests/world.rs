//! A small builder of what is observed, and decisions in a word.
//!
//! **Invariant:** a builder starts where all is well; a row changes only what it is about.

use crate::api::{
    Code, HookProgress, HookState, HookTime, Outcome, Phase, Plan, PodProgress, PodState, Snapshot, SnapshotEntry,
    SnapshotSource, Step, StrategyType, TimeoutPolicy,
};
use crate::machine::{
    Asked, Attachment, Budget, ConfigMapView, Content, Copied, Cursor, Deadline, Decision, Drain, Effect, Gate,
    Handled, Hold, HookRun, HookView, List, Lock, Observed, PlanView, Pod, PodRef, Refusal, RefusedEffect, Replacement,
    Role, Soak, Target, Verdict, plan,
};

/// A row: a sentence, what is seen, what is decided.
pub type Row = (&'static str, Observed, &'static str);

/// Asks the machine about every row and shows all that differ.
pub fn check(rows: Vec<Row>) {
    let wrong: Vec<String> = rows
        .into_iter()
        .map(|(sentence, observed, expected)| (sentence, brief(&plan(&observed)), expected))
        .filter(|(_, decided, expected)| decided != expected)
        .map(|(sentence, decided, expected)| format!("{sentence}:\n  decided  {decided}\n  expected {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A decision in a word.
pub fn brief(decision: &Decision) -> String {
    match decision {
        Decision::Rest => "rest".into(),
        Decision::Wait(_) => "wait".into(),
        Decision::Act(effects) => effects.iter().map(named).collect::<Vec<_>>().join(", "),
        Decision::Record(change) => {
            let pods: Vec<String> =
                change.batch.iter().map(|progress| format!(" {} {:?}", progress.name, progress.state)).collect();
            let hooks = change.hooks.iter().flatten().map(|hook| format!(" {}:{:?}", hook.name, hook.state));
            let rest = pods.into_iter().chain(hooks).collect::<String>();
            format!("record {:?}/{:?} {}{rest}", change.phase, change.step, change.reason)
        }
    }
}

fn named(effect: &Effect) -> String {
    let on = |word: &str, pod: &PodRef| format!("{word} {}", pod.name);
    let list = |word: &str, pods: &[crate::machine::PlannedPod]| {
        format!("{word} {}", pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join("+"))
    };
    match effect {
        Effect::DeleteRequest => "delete request".into(),
        Effect::RunHook(time, name) => format!("run {time:?} hook {name}"),
        Effect::AddFinalizer => "add finalizer".into(),
        Effect::RemoveFinalizer => "remove finalizer".into(),
        Effect::TakeLock => "take lock".into(),
        Effect::ReleaseLock(good) => format!("release lock {}", good.join("+")).trim_end().into(),
        Effect::CopyConfigMaps => "copy".into(),
        Effect::WritePlan(pods) => list("write plan", pods),
        Effect::WritePlanAgain(pods) => list("write plan again", pods),
        Effect::Promote(name) => format!("promote {name}"),
        Effect::Restore(name) => format!("restore {name}"),
        Effect::Detach(pod) => on("detach", pod),
        Effect::Reattach(pod) => on("reattach", pod),
        Effect::Cordon(pod) => on("cordon", pod),
        Effect::Release(pod) => on("release", pod),
        Effect::MarkExpendable(pod) => on("mark", pod),
        Effect::Evict(pod) => on("evict", pod),
        Effect::Delete(pod) => on("delete", pod),
    }
}

/// A pod of the workload that serves.
pub fn pod(name: &str, role: Role) -> Pod {
    Pod {
        name: name.into(),
        uid: name.into(),
        version: format!("{name}-1"),
        role,
        attachment: Attachment::Attached,
        leaving: false,
        scheduled: true,
        ready: true,
        told_unready: false,
        terminating: false,
        in_slices: true,
        last_endpoint: false,
        drain: Drain::Open,
        expendable: false,
        restarts: 0,
        restarted: false,
        lapsed: false,
        broken: None,
        unready_at_start: false,
        unreachable: false,
        ailment: None,
    }
}

impl Pod {
    pub(super) fn detached(self) -> Self {
        Self { attachment: Attachment::Detached, ..self }
    }

    pub(super) fn foreign(self) -> Self {
        Self { attachment: Attachment::Foreign, ..self }
    }

    pub(super) fn unready(self) -> Self {
        Self { ready: false, in_slices: false, ..self }
    }

    pub(super) fn going(self) -> Self {
        Self { terminating: true, ready: false, in_slices: false, ..self }
    }

    /// It has not been Ready since the list was written.
    pub(super) fn ailing(self) -> Self {
        Self { unready_at_start: true, ..self.unready() }
    }

    /// Its node is not Ready.
    pub(super) fn lost(self) -> Self {
        Self { unreachable: true, ailment: Some("its node is not Ready".into()), ..self.unready() }
    }

    pub(super) fn last(self) -> Self {
        Self { last_endpoint: true, ..self }
    }

    pub(super) fn marked(self) -> Self {
        Self { expendable: true, ..self }
    }

    pub(super) fn exited(self) -> Self {
        Self { restarted: true, broken: Some("exit code 1".into()), ..self.unready() }
    }

    /// It holds a lease and is out of its Services, with so many requests; 0 is quiet too.
    pub(super) fn draining(self, in_flight: u64) -> Self {
        let drain = Drain::Cordoned { stale: false, in_flight, quiet: in_flight == 0, overdue: false };
        Self { drain, ..self.unready() }
    }

    pub(super) fn overdue_with(self, in_flight: u64) -> Self {
        let drain = Drain::Cordoned { stale: false, in_flight, quiet: false, overdue: true };
        Self { drain, ..self.unready() }
    }

    pub(super) fn stale(self) -> Self {
        let drain = Drain::Cordoned { stale: true, in_flight: 1, quiet: false, overdue: false };
        Self { drain, ..self.unready() }
    }

    pub(super) fn leaving(self) -> Self {
        Self { leaving: true, ..self }
    }

    pub(super) fn silent(self, overdue: bool) -> Self {
        Self { drain: Drain::Unknown { overdue }, ..self }
    }
}

/// One ConfigMap that the run has promoted.
pub fn config(content: Content) -> ConfigMapView {
    let entry = SnapshotEntry {
        name: "web".into(),
        snapshot: "web-old".into(),
        sha256: "old".into(),
        source: SnapshotSource::LastKnownGood,
        candidate: "web-new".into(),
        candidate_sha256: "new".into(),
        promoted: true,
        restored: false,
    };
    ConfigMapView {
        entry,
        referred: true,
        snapshot: Copied::Held,
        candidate: Copied::Held,
        content,
        shared_with: None,
        applied_by: None,
    }
}

/// What a request sees that nobody has looked at.
pub fn fresh(pods: Vec<Pod>) -> Observed {
    Observed {
        asked: Asked {
            deleting: false,
            namespace_terminating: false,
            cancel: false,
            force: false,
            on_timeout: TimeoutPolicy::Fail,
            strategy: StrategyType::Surge,
            max_parallel: 1,
            queue: false,
            allow_disruption: false,
            reload: true,
            triggered: false,
            expired: false,
            generation_unseen: false,
        },
        cursor: None,
        finalizer: false,
        lock: Lock::Free,
        target: Target::Same { replicas: 2 },
        verdict: None,
        hold: None,
        handled: None,
        hooks: vec![],
        config: vec![],
        plan: PlanView {
            name: "plan".into(),
            list: List::Absent,
            again_name: "again".into(),
            again: List::Absent,
            unready: 0,
        },
        pods,
        ordered: false,
        replacement: Replacement::Anywhere,
        gate: Gate::Open,
        budget: Budget::NotAsked,
        deadline: Deadline::Ahead,
        soak: Soak::Running,
        refusal: None,
        trouble: None,
    }
}

/// What a run sees that has come to `step` with this batch, configuration promoted.
pub fn run(step: Step, batch: &[(&str, PodState)], pods: Vec<Pod>) -> Observed {
    let progress = |(name, state): &(&str, PodState)| PodProgress {
        name: (*name).into(),
        uid: (*name).into(),
        state: *state,
        unready: false,
    };
    let config = config(Content::Candidate);
    let cursor = Cursor {
        step,
        outcome: None,
        batch: batch.iter().map(progress).collect(),
        snapshot: Some(Snapshot { config_maps: vec![config.entry.clone()] }),
        plan: Some(Plan { config_map: "plan".into(), pods: 2, late: vec![], again: None }),
        hooks: vec![],
        again: false,
        cancel_rejected: false,
    };
    let fresh = fresh(pods);
    Observed {
        cursor: Some(cursor),
        finalizer: true,
        lock: Lock::Ours,
        config: vec![config],
        plan: PlanView { list: List::Written, ..fresh.plan.clone() },
        ..fresh
    }
}

/// A failure of pods.
pub fn unhealthy() -> Outcome {
    outcome(Code::ReplacementUnhealthy, true)
}

pub fn outcome(code: Code, suspect_configuration: bool) -> Outcome {
    Outcome {
        result: Phase::Failed,
        code: Some(code),
        message: "it failed".into(),
        suspect_configuration,
        not_restored: None,
        not_restored_reason: None,
    }
}

impl Observed {
    pub(super) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn cursor_but(self, change: impl FnOnce(&mut Cursor)) -> Self {
        self.but(|observed| change(observed.cursor.as_mut().expect("a run")))
    }

    pub(super) fn rolling(self) -> Self {
        self.but(|observed| observed.asked.strategy = StrategyType::Rolling)
    }

    pub(super) fn parallel(self, pods: usize) -> Self {
        self.but(|observed| observed.asked.max_parallel = pods)
    }

    pub(super) fn late(self) -> Self {
        self.but(|observed| observed.deadline = Deadline::Passed)
    }

    pub(super) fn ending(self, outcome: Outcome) -> Self {
        self.cursor_but(|cursor| cursor.outcome = Some(outcome))
    }

    pub(super) fn gate(self, gate: Gate) -> Self {
        self.but(|observed| observed.gate = gate)
    }

    /// The last effects could not be carried out.
    pub(super) fn in_vain(self) -> Self {
        self.but(|observed| observed.trouble = Some("to do it is not possible".into()))
    }

    /// The batch was chosen because it was not Ready when the run began.
    pub(super) fn unready_first(self) -> Self {
        self.cursor_but(|cursor| cursor.batch.iter_mut().for_each(|entry| entry.unready = true))
    }

    /// A StatefulSet, whose pods start in their order.
    pub(super) fn in_order(self) -> Self {
        self.rolling().but(|observed| (observed.ordered, observed.replacement) = (true, Replacement::InOrder))
    }

    pub(super) fn waiting(self) -> Self {
        self.gate(Gate::Waiting("1 of 2".into()))
    }

    pub(super) fn failing(self) -> Self {
        self.gate(Gate::Failing("exit code 1".into()))
    }

    pub(super) fn budget(self, budget: Budget) -> Self {
        self.but(|observed| observed.budget = budget)
    }

    pub(super) fn content(self, content: Content) -> Self {
        self.but(|observed| {
            observed.config[0].content = content;
            observed.config[0].entry.restored = content == Content::Snapshot;
        })
    }

    pub(super) fn target(self, target: Target) -> Self {
        self.but(|observed| observed.target = target)
    }

    pub(super) fn held_by(self, lock: Lock) -> Self {
        self.but(|observed| observed.lock = lock)
    }

    pub(super) fn refused(self, effect: RefusedEffect) -> Self {
        self.but(|observed| observed.refusal = Some(Refusal { effect, message: "forbidden".into() }))
    }

    pub(super) fn on_hold(self, bounded: bool) -> Self {
        self.but(|observed| observed.hold = Some(Hold { message: "a rollout".into(), bounded }))
    }

    /// A run with this key has failed.
    pub(super) fn known(self) -> Self {
        let handled = Handled { result: Phase::Failed, code: Some(Code::ReplacementUnhealthy) };
        self.but(|observed| observed.handled = Some(handled))
    }

    /// A hook named `name`, and what the status says of it.
    pub(super) fn hook(self, time: HookTime, name: &str, run: HookRun, noted: Option<HookState>) -> Self {
        let noted = noted.map(|state| HookProgress { time, name: name.into(), state, message: String::new() });
        self.but(|observed| observed.hooks.push(HookView { time, name: name.into(), ignore: false, run }))
            .cursor_but(|cursor| cursor.hooks.extend(noted))
    }

    pub(super) fn judged(self, code: Code) -> Self {
        self.but(|observed| observed.verdict = Some(Verdict { code, message: "it may not".into() }))
    }
}
