//! What the controller sees of a world.
//!
//! **Invariant:** follows `src/controller/observe`; what that leaves out here is left out there.

use crate::pod::{Illness, Lease, Place, Pod};
use crate::scenario::{Kind, Scenario};
use crate::status::{recorded, status};
use crate::world::{Data, Holder, HookRuns, Workload, World};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use restart_controller::api::{Code, HookTime, Phase, Step, StrategyType};
use restart_controller::machine::{
    self, Asked, Attachment, Budget, ConfigMapView, Content, Copied, Deadline, Drain, Gate, Handled, Hold, HookRun,
    HookView, List, Lock, Observed, PlanView, Refusal, Replacement, Role, Soak, Target, Verdict,
};

/// The fixed time of all that is written.
pub fn now() -> Time {
    Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH)
}

pub fn uid(index: usize) -> String {
    index.to_string()
}

pub fn observe(world: &World, scenario: &Scenario) -> Observed {
    let gate = gate(world, scenario);
    Observed {
        asked: asks(world, scenario),
        cursor: machine::cursor(&status(world, scenario)),
        finalizer: world.finalizer,
        lock: match world.holder {
            Holder::Free => Lock::Free,
            Holder::Ours => Lock::Ours,
            Holder::Other => Lock::Other("other".into()),
            Holder::Done => Lock::Done,
        },
        target: match world.workload {
            Workload::Same => Target::Same { replicas: usize::from(world.replicas) },
            Workload::RollingOut => Target::RollingOut,
            Workload::Gone => Target::Gone,
        },
        verdict: verdict(world, scenario)
            .filter(|_| matches!(world.step(), None | Some(Step::Queued | Step::Preparing | Step::PreHooks))),
        hold: hold(world, scenario),
        handled: (world.handled && world.status.is_none())
            .then_some(Handled { result: Phase::Failed, code: Some(Code::ReplacementUnhealthy) }),
        hooks: [HookTime::Pre, HookTime::Post].into_iter().filter_map(|time| hook(world, scenario, time)).collect(),
        config: vec![config(world, scenario)],
        plan: PlanView {
            name: "plan".into(),
            list: if world.plan_written { List::Written } else { List::Absent },
            again_name: "again".into(),
            again: if world.again_written { List::Written } else { List::Absent },
            unready: if world.plan_written { usize::from(world.unready) } else { 0 },
        },
        pods: (0..world.pods.len()).map(|index| pod(world, scenario, index)).collect(),
        ordered: scenario.kind != Kind::Deployment,
        replacement: replacement(scenario),
        budget: budget(world, scenario, &gate),
        gate,
        deadline: if world.deadline { Deadline::Passed } else { Deadline::Ahead },
        soak: if world.soaked { Soak::Over } else { Soak::Running },
        refusal: world.refused.map(|effect| Refusal { effect, message: String::new() }),
        trouble: world.trouble.then(String::new),
    }
}

pub fn replacement(scenario: &Scenario) -> Replacement {
    match scenario.kind {
        Kind::Deployment => Replacement::Anywhere,
        Kind::StatefulSet { ordered: true } => Replacement::InOrder,
        Kind::StatefulSet { ordered: false } => Replacement::InPlace,
    }
}

fn asks(world: &World, scenario: &Scenario) -> Asked {
    Asked {
        deleting: world.deleting,
        namespace_terminating: world.namespace_terminating,
        cancel: world.cancel,
        force: scenario.force,
        on_timeout: scenario.on_timeout,
        strategy: scenario.strategy,
        max_parallel: scenario.max_parallel,
        queue: scenario.queue,
        allow_disruption: scenario.allow_disruption,
        reload: scenario.reload,
        triggered: world.triggered,
        expired: world.expired,
        generation_unseen: false,
    }
}

/// A pod too many is about to be deleted: it is on no list.
fn hold(world: &World, scenario: &Scenario) -> Option<Hold> {
    let surplus = world.pods.iter().filter(|pod| pod.own()).count() > usize::from(world.replicas);
    let hold = |bounded| Hold { message: String::new(), bounded };
    if world.held { Some(hold(!scenario.queue)) } else { surplus.then(|| hold(true)) }
}

fn verdict(world: &World, scenario: &Scenario) -> Option<Verdict> {
    let entry = world.entry(scenario);
    let missing = world.live == Data::Missing && world.status.is_none_or(|status| status.entry.is_none());
    let code = if world.verdict || missing || world.workload == Workload::Gone {
        Code::TargetInvalid
    } else if !scenario.reload && entry.snapshot != entry.candidate {
        Code::ConfigDrift
    } else {
        return None;
    };
    Some(Verdict { code, message: String::new() })
}

fn hook(world: &World, scenario: &Scenario, time: HookTime) -> Option<HookView> {
    let plan = scenario.hook(time)?;
    let runs = match time {
        HookTime::Pre => world.pre,
        HookTime::Post => world.post,
    };
    let run = match runs {
        HookRuns::Absent => HookRun::Absent,
        HookRuns::Running => HookRun::Running,
        HookRuns::Over if plan.fails => HookRun::Failed(String::new()),
        HookRuns::Over => HookRun::Succeeded,
    };
    Some(HookView { time, name: "hook".into(), ignore: plan.ignore, run })
}

fn config(world: &World, scenario: &Scenario) -> ConfigMapView {
    let entry = world.entry(scenario);
    let content = match world.live {
        Data::Missing => Content::Missing,
        live if live == entry.snapshot => Content::Snapshot,
        live if live == entry.candidate => Content::Candidate,
        Data::Good | Data::New | Data::Other => Content::Other,
    };
    let copied = |data: Data| match world.copies.get(data as usize) {
        Some(true) => Copied::Held,
        Some(false) | None => Copied::Absent,
    };
    ConfigMapView {
        entry: recorded(entry, scenario),
        referred: true,
        snapshot: copied(entry.snapshot),
        candidate: copied(entry.candidate),
        content,
        shared_with: world.shared.then(|| "another".to_owned()),
        applied_by: None,
    }
}

fn pod(world: &World, scenario: &Scenario, index: usize) -> machine::Pod {
    let pod = &world.pods[index];
    let others = |shown: fn(&Pod) -> bool| {
        world.pods.iter().any(|other| !other.terminating && shown(other) && other.batch.is_none())
    };
    let last_endpoint = pod.batch.is_some()
        && (scenario.service && !others(|other| other.in_slices)
            || scenario.second && !others(|other| other.in_second));
    machine::Pod {
        name: uid(index),
        uid: uid(index),
        version: String::new(),
        role: if pod.again && world.again_written {
            Role::Again
        } else if pod.passed && world.plan_written {
            Role::PassedOver
        } else if pod.planned && world.plan_written || pod.late {
            Role::Planned
        } else {
            Role::New
        },
        attachment: match pod.place {
            Place::Attached => Attachment::Attached,
            Place::Detached => Attachment::Detached,
            Place::Foreign => Attachment::Foreign,
        },
        leaving: pod.leaving,
        scheduled: !pod.homeless,
        ready: pod.ready,
        terminating: pod.terminating,
        told_unready: false,
        in_slices: pod.in_any(),
        last_endpoint,
        drain: if asked(world, pod) { drain(pod) } else { Drain::Open },
        expendable: pod.expendable,
        restarts: 0,
        restarted: pod.restarted,
        lapsed: pod.lapsed,
        broken: pod.broken.then(String::new),
        unready_at_start: pod.noted && world.plan_written,
        unreachable: pod.illness == Illness::Lost,
        ailment: None,
    }
}

/// Only the sidecars that the step depends on are asked.
fn asked(world: &World, pod: &Pod) -> bool {
    match world.step() {
        None | Some(Step::Queued | Step::Preparing | Step::PreHooks | Step::Restoring) => true,
        Some(Step::Surging | Step::Reserving | Step::Draining | Step::Evicting) => pod.batch.is_some(),
        Some(Step::Verifying | Step::PostHooks | Step::Finishing | Step::Finished) => false,
    }
}

fn drain(pod: &Pod) -> Drain {
    if pod.silent || pod.terminating {
        return Drain::Unknown { overdue: pod.overdue };
    }
    match pod.lease {
        Lease::None if pod.refused => Drain::Unknown { overdue: pod.overdue },
        Lease::None => Drain::Open,
        Lease::Fresh | Lease::Stale => Drain::Cordoned {
            stale: pod.lease == Lease::Stale,
            in_flight: u64::from(pod.busy),
            quiet: !pod.busy,
            overdue: pod.overdue,
        },
    }
}

fn gate(world: &World, scenario: &Scenario) -> Gate {
    let own: Vec<&Pod> = world.pods.iter().filter(|pod| pod.own()).collect();
    let recovering = world.status.is_some_and(|status| status.outcome.is_some());
    let listed = |pod: &Pod| world.plan_written && (pod.planned || pod.passed) || pod.late;
    let trusted = |pod: &Pod| pod.again || listed(pod) || recovering && pod.ready;
    if own.iter().any(|pod| pod.broken && !trusted(pod)) {
        return Gate::Failing(String::new());
    }
    let wanted = usize::from(world.replicas);
    let (excused, own): (Vec<&Pod>, Vec<&Pod>) = own.into_iter().partition(|pod| excused(world, pod));
    let stopping = |pod: &&Pod| pod.terminating && pod.passed && world.plan_written;
    let stopping = match replacement(scenario) {
        Replacement::Anywhere => 0,
        Replacement::InPlace | Replacement::InOrder => world.pods.iter().filter(stopping).count(),
    };
    let there = own.len() + excused.len();
    let enough = there <= wanted && there + stopping >= wanted;
    let shown = |pod: &Pod| (pod.in_slices || !scenario.service) && (pod.in_second || !scenario.second);
    let serving = own.iter().all(|pod| pod.ready && shown(pod));
    let beyond = scenario.kind != Kind::Deployment && own.iter().any(|pod| pod.ordinal >= world.replicas);
    if enough && serving && !beyond { Gate::Open } else { Gate::Waiting(String::new()) }
}

fn excused(world: &World, pod: &Pod) -> bool {
    let again = pod.again && world.again_written;
    let planned = pod.planned && world.plan_written;
    let as_before = pod.noted && world.step() == Some(Step::Restoring);
    let goes = planned && (as_before || pod.batch.is_some() && pod.lease == Lease::None);
    !again && !pod.ready && (pod.passed && world.plan_written || goes)
}

fn budget(world: &World, scenario: &Scenario, gate: &Gate) -> Budget {
    let Some(step) = world.step() else { return Budget::NotAsked };
    let batch: Vec<&Pod> = world.pods.iter().filter(|pod| pod.batch.is_some() && !pod.terminating).collect();
    match step {
        Step::Surging | Step::Reserving if *gate == Gate::Open && may_ask(scenario, &batch) => {
            dry_run(world, scenario, &batch)
        }
        Step::Draining | Step::Evicting => match scenario.pdb.map(|pdb| world.healthy(pdb)) {
            Some((current, desired)) if current < desired => Budget::Lost(String::new()),
            Some(_) | None => Budget::NotAsked,
        },
        Step::Surging
        | Step::Reserving
        | Step::Queued
        | Step::Preparing
        | Step::PreHooks
        | Step::Verifying
        | Step::PostHooks
        | Step::Restoring
        | Step::Finishing
        | Step::Finished => Budget::NotAsked,
    }
}

fn may_ask(scenario: &Scenario, batch: &[&Pod]) -> bool {
    let detached = batch.iter().all(|pod| pod.place == Place::Detached);
    let open = batch.iter().all(|pod| pod.silent || pod.lease == Lease::None);
    !batch.is_empty() && open && (scenario.strategy == StrategyType::Rolling || detached)
}

fn dry_run(world: &World, scenario: &Scenario, batch: &[&Pod]) -> Budget {
    if world.erring && batch.iter().any(|pod| pod.ready) {
        return Budget::Refused(String::new());
    }
    if batch.iter().any(|pod| pod.ready && !world.may_evict(scenario, pod)) {
        return Budget::Refused(String::new());
    }
    if scenario.pdb.map(|pdb| world.healthy(pdb)).is_some_and(|(current, desired)| current < desired) {
        return Budget::Refused(String::new());
    }
    let allowed = scenario.pdb.map_or(batch.len(), |pdb| {
        let (current, desired) = world.healthy(pdb);
        current.saturating_sub(desired)
    });
    Budget::Allowed(allowed.clamp(1, batch.len()))
}
