//! A small Kubernetes: one workload, its pods, one ConfigMap, one budget, one Service, one request.
//!
//! **Invariant:** everything is finite and has no clock; pods are kept sorted, so that worlds which differ only by the
//! names of their pods are one.

use crate::pod::{Asleep, Illness, Place, Pod};
use crate::scenario::{HookPlan, Kind, Pdb, Scenario};
use restart_controller::api::{Code, HookState, HookTime, Phase, SnapshotSource, Step};
use restart_controller::machine::RefusedEffect;
use std::cmp::Reverse;

/// What a ConfigMap holds, or a pod runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Data {
    Good,
    New,
    Other,
    Missing,
}

/// How the run ends, without the sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    pub result: Phase,
    pub code: Option<Code>,
    pub suspect: bool,
    pub not_restored: Option<&'static str>,
}

/// What the status records of the ConfigMap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub snapshot: Data,
    pub candidate: Data,
    pub source: SnapshotSource,
    pub restored: bool,
}

/// The request's status, without the sentences; what it says of pods stands in the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    pub phase: Phase,
    pub step: Step,
    pub outcome: Option<End>,
    pub entry: Option<Entry>,
    pub planned: bool,
    pub again: bool,
    pub pre: Option<HookState>,
    pub post: Option<HookState>,
    pub cancel_rejected: bool,
}

/// What has become of a hook, as far as the cluster (a Job) or this process (HTTP) knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookRuns {
    Absent,
    Running,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    Free,
    Ours,
    Other,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Workload {
    Same,
    RollingOut,
    Gone,
}

/// Effects on anything but pods that were decided earlier and are carried out later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sleeper {
    Nothing,
    AddFinalizer,
    RemoveFinalizer,
    DeleteRequest,
    RunHook(HookTime),
    TakeLock,
    /// True: the configuration is good.
    ReleaseLock(bool),
    Copy,
    WritePlan,
    WritePlanAgain,
    Promote,
    Restore,
    /// True: a run begins with it.
    Record(Status, bool),
}

/// One state of everything.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub status: Option<Status>,
    pub finalizer: bool,
    /// The request has vanished.
    pub gone: bool,
    pub deleting: bool,
    pub cancel: bool,
    /// The trigger is another one than the run began with.
    pub triggered: bool,
    pub handled: bool,
    /// Its time to live is over.
    pub expired: bool,
    pub namespace_terminating: bool,
    pub holder: Holder,
    pub workload: Workload,
    pub replicas: u8,
    pub verdict: bool,
    pub held: bool,
    pub live: Data,
    /// What the workload is known to run well with.
    pub good: Option<Data>,
    /// Another workload has been restarted onto the candidate.
    pub shared: bool,
    /// Copies that exist: good, new, other.
    pub copies: [bool; 3],
    pub plan_written: bool,
    /// How many pods the list says were not Ready and are to be replaced.
    pub unready: u8,
    pub again_written: bool,
    pub pre: HookRuns,
    pub post: HookRuns,
    pub pods: Vec<Pod>,
    /// How many healthy pods the budget's status shows, if it lags behind.
    pub lagging: Option<u8>,
    /// What this process knows of time.
    pub deadline: bool,
    pub soaked: bool,
    /// What the cluster refuses, and whether this process has heard so.
    pub refusing: Option<RefusedEffect>,
    pub refused: Option<RefusedEffect>,
    /// The last effects were in vain, as far as this process knows.
    pub trouble: bool,
    /// The API server errs when it is asked whether a pod may be evicted.
    pub erring: bool,
    pub sleeper: Sleeper,
    pub budget: u8,
    /// For the checks: a pod ran the candidate before the run had a list of pods, which nobody can tell from outside.
    pub mixed: bool,
    /// For the checks: how often each was done, and what somebody else did.
    pub promotions: u8,
    pub restores: u8,
    /// Somebody scaled, or a leader that was asleep did what no precondition could refuse.
    pub excused: bool,
}

impl World {
    /// The beginning: all pods serve.
    pub fn start(scenario: &Scenario) -> Self {
        let live = if scenario.from || !scenario.reload { Data::Good } else { Data::New };
        let pod = |ordinal: u8| {
            let ill = scenario.ill.contains(&ordinal);
            Pod {
                ready: !ill,
                in_slices: scenario.service && !ill,
                in_second: scenario.second && !ill,
                ordinal: if scenario.kind == Kind::Deployment { 0 } else { ordinal },
                illness: if ill { scenario.illness } else { Illness::None },
                silent: ill && scenario.illness == Illness::Lost,
                ..Pod::new(Data::Good, Place::Attached)
            }
        };
        Self {
            status: None,
            finalizer: false,
            gone: false,
            deleting: false,
            cancel: false,
            triggered: false,
            handled: scenario.handled,
            expired: false,
            namespace_terminating: false,
            holder: if scenario.queue { Holder::Other } else { Holder::Free },
            workload: Workload::Same,
            replicas: scenario.pods,
            verdict: false,
            held: scenario.queued,
            live,
            good: scenario.known_good.then_some(Data::Good),
            shared: false,
            copies: [scenario.known_good, false, false],
            plan_written: false,
            unready: 0,
            again_written: false,
            pre: HookRuns::Absent,
            post: HookRuns::Absent,
            pods: (0..scenario.pods).map(pod).collect(),
            lagging: None,
            deadline: false,
            soaked: false,
            refusing: None,
            refused: None,
            trouble: false,
            erring: false,
            sleeper: Sleeper::Nothing,
            budget: scenario.budget,
            mixed: false,
            promotions: 0,
            restores: 0,
            excused: false,
        }
    }

    /// What the status records of the ConfigMap, or would.
    pub fn entry(&self, scenario: &Scenario) -> Entry {
        if let Some(entry) = self.status.and_then(|status| status.entry) {
            return entry;
        }
        let candidate = if scenario.from { Data::New } else { self.live };
        if let Some(good) = self.good.filter(|good| !scenario.from || self.live == *good) {
            return Entry { snapshot: good, candidate, source: SnapshotSource::LastKnownGood, restored: false };
        }
        Entry { snapshot: self.live, candidate, source: SnapshotSource::AtRequest, restored: false }
    }

    pub fn step(&self) -> Option<Step> {
        self.status.map(|status| status.step)
    }

    /// Nothing happens to the request any more.
    pub fn ended(&self) -> bool {
        self.gone
            || self.namespace_terminating && !self.finalizer
            || self.step() == Some(Step::Finished)
                && !self.finalizer
                && self.holder != Holder::Ours
                && !(self.triggered || self.expired)
    }

    /// Another run of the same request begins: its lists, hooks and counts are its own.
    pub fn begin(&mut self) {
        (self.plan_written, self.again_written, self.triggered) = (false, false, false);
        self.unready = 0;
        (self.pre, self.post) = (HookRuns::Absent, HookRuns::Absent);
        (self.promotions, self.restores) = (0, 0);
        if self.holder == Holder::Done {
            self.holder = Holder::Free;
        }
        // What a run that lost its lock left behind, the next one takes.
        self.excused |= self.pods.iter().any(Pod::detached);
        for pod in &mut self.pods {
            (pod.planned, pod.noted, pod.passed, pod.late, pod.again) = (false, false, false, false, false);
        }
        if matches!(self.sleeper, Sleeper::WritePlan | Sleeper::WritePlanAgain | Sleeper::RunHook(_)) {
            self.wake();
        }
    }

    pub fn own(&self) -> usize {
        self.pods.iter().filter(|pod| pod.own()).count()
    }

    /// Copies of pods that look alike are one state; old pods stand first.
    pub fn canonical(mut self) -> Self {
        self.pods.sort_unstable_by_key(|pod| (Reverse(pod.ordinal), !pod.planned, !pod.late, *pod));
        self
    }

    pub fn request_changed(&mut self) {
        if matches!(
            self.sleeper,
            Sleeper::AddFinalizer | Sleeper::RemoveFinalizer | Sleeper::DeleteRequest | Sleeper::Record(..)
        ) {
            self.wake();
        }
    }

    pub fn history_changed(&mut self) {
        if matches!(self.sleeper, Sleeper::TakeLock | Sleeper::ReleaseLock(_)) {
            self.wake();
        }
    }

    pub fn config_map_changed(&mut self) {
        if matches!(self.sleeper, Sleeper::Promote | Sleeper::Restore) {
            self.wake();
        }
    }

    /// Forgets what was decided earlier.
    pub fn wake(&mut self) {
        self.sleeper = Sleeper::Nothing;
        for pod in &mut self.pods {
            if matches!(pod.asleep, Asleep::Listed(_) | Asleep::Batch(..)) {
                pod.asleep = Asleep::Nothing;
            }
        }
    }

    /// The process dies with what it knew of time.
    pub fn crash(&mut self, scenario: &Scenario) {
        self.deadline = false;
        self.soaked = false;
        self.refused = None;
        self.trouble = false;
        let http = |plan: Option<HookPlan>| plan.is_some_and(|plan| !plan.job);
        if http(scenario.pre) {
            self.pre = HookRuns::Absent;
        }
        if http(scenario.post) {
            self.post = HookRuns::Absent;
        }
        self.pods.iter_mut().for_each(|pod| (pod.lapsed, pod.refused) = (false, false));
    }

    /// What a hook of this time is, and what has become of it.
    pub fn hook(&mut self, time: HookTime) -> &mut HookRuns {
        match time {
            HookTime::Pre => &mut self.pre,
            HookTime::Post => &mut self.post,
        }
    }

    /// Healthy pods, as the budget's status shows them, and as many as it asks for.
    pub fn healthy(&self, pdb: Pdb) -> (usize, usize) {
        let current = self.pods.iter().filter(|pod| !pod.terminating && pod.ready).count();
        let current = self.lagging.map_or(current, usize::from);
        let managed = self.workload != Workload::Gone;
        let expected = if managed { usize::from(self.replicas) } else { 0 };
        (current, expected.saturating_sub(usize::from(pdb.max_unavailable)))
    }

    /// Whether the API server lets this pod be evicted now (truth table in the notes).
    pub fn may_evict(&self, scenario: &Scenario, pod: &Pod) -> bool {
        let Some(pdb) = scenario.pdb else { return true };
        let (current, desired) = self.healthy(pdb);
        if !pod.ready && (pdb.always_allow || current >= desired && desired > 0) {
            return true;
        }
        current > desired
    }
}
