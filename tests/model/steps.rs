//! What can happen next: the controller's pass and what may become of it, Kubernetes, disturbances, sleepers.
//!
//! **Invariant:** the order of successors is a function of the world, so that a path can be gone once more.

use crate::checks::{self, Broken, Promise};
use crate::disturbances::disturbed;
use crate::effects::{apply, apply_later, global, record, record_later};
use crate::effects_on_pods::on_pod;
use crate::environment::{Event, calm, leases_end, time};
use crate::observe::observe;
use crate::pod::Asleep;
use crate::scenario::{Disturbance, Scenario};
use crate::search::{Planner, Transition};
use crate::states;
use crate::world::{Sleeper, World};
use restart_controller::api::{Phase, Step};
use restart_controller::machine::{Change, Decision, Effect};
use std::collections::BTreeSet;

/// What led to a successor.
pub enum Label {
    Around(Event),
    Record(Phase, Step, &'static str),
    Act(Vec<Effect>),
    InVain(Vec<Effect>),
    Crash(usize),
    ReplyLost,
    SleepBeforeRecord,
    SleepBeforeAct,
    Late(Sleeper),
    LateOn(Asleep, usize),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Around(Event::Calm(what, None)) => write!(f, "{what}"),
            Self::Around(Event::Calm(what, Some(pod))) => write!(f, "{what}: {pod}"),
            Self::Around(Event::Disturbed(what, None)) => write!(f, "{what:?}"),
            Self::Around(Event::Disturbed(what, Some(pod))) => write!(f, "{what:?}: {pod}"),
            Self::Record(phase, step, reason) => write!(f, "record {phase:?}/{step:?}: {reason}"),
            Self::Act(effects) => write!(f, "act {}", named(effects)),
            Self::InVain(effects) => write!(f, "act in vain {}", named(effects)),
            Self::Crash(kept) => write!(f, "crash after effect {kept}"),
            Self::ReplyLost => write!(f, "the replies to the effects are lost"),
            Self::SleepBeforeRecord => write!(f, "the leader falls asleep before it writes the status"),
            Self::SleepBeforeAct => write!(f, "the leader falls asleep before it acts"),
            Self::Late(what) => write!(f, "late: {what:?}"),
            Self::LateOn(what, pod) => write!(f, "late: {what:?} {pod}"),
        }
    }
}

fn named(effects: &[Effect]) -> String {
    let names = effects.iter().map(|effect| format!("{effect:?}").replace(", version: \"\" }", " }"));
    names.collect::<Vec<_>>().join(", ")
}

/// One step of the world.
pub struct Successor {
    pub label: Label,
    pub world: World,
    pub kind: Kind,
    pub broken: Vec<Broken>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By the controller, undisturbed.
    Ours,
    /// By the environment, undisturbed.
    Calm,
    Disturbed,
}

pub fn successors(
    world: &World,
    scenario: &Scenario,
    planner: Planner,
    transitions: &mut BTreeSet<Transition>,
) -> Vec<Successor> {
    let mut all = vec![];
    if !world.gone {
        controller(world, scenario, planner, transitions, &mut all);
    }
    for (event, next) in calm(world, scenario) {
        let broken = states::moved(world, event);
        all.push(Successor { label: Label::Around(event), world: next.canonical(), kind: Kind::Calm, broken });
    }
    let quiet = all.iter().all(|successor| successor.kind == Kind::Disturbed);
    let around = |(event, next): (Event, World), kind| plain(Label::Around(event), next, kind);
    if quiet && !world.ended() {
        all.extend(time(world).map(|moved| around(moved, Kind::Calm)));
    }
    all.extend(leases_end(world).map(|moved| around(moved, Kind::Calm)));
    all.extend(disturbed(world, scenario).into_iter().map(|moved| around(moved, Kind::Disturbed)));
    sleepers(world, scenario, &mut all);
    all
}

fn plain(label: Label, world: World, kind: Kind) -> Successor {
    Successor { label, world: world.canonical(), kind, broken: vec![] }
}

/// One pass of the controller, and what may become of it.
pub fn controller(
    world: &World,
    scenario: &Scenario,
    planner: Planner,
    transitions: &mut BTreeSet<Transition>,
    all: &mut Vec<Successor>,
) {
    let decision = planner(&observe(world, scenario));
    let broken = checks::decision(world, scenario, &decision);
    match decision {
        Decision::Wait(_) | Decision::Rest => {}
        Decision::Record(change) => writes(world, scenario, &change, transitions, broken, all),
        Decision::Act(effects) => acts(world, scenario, effects, broken, all),
    }
}

fn writes(
    world: &World,
    scenario: &Scenario,
    change: &Change,
    transitions: &mut BTreeSet<Transition>,
    mut broken: Vec<Broken>,
    all: &mut Vec<Successor>,
) {
    let from = world.status.map(|status| (status.phase, status.step));
    transitions.insert((from, (change.phase, change.step), change.reason));
    let next = record(world, scenario, change);
    broken.extend(states::recorded(world, &next, scenario));
    if may(world, scenario, Disturbance::Sleep) && awake(world) {
        let mut later = record_later(world, scenario, change);
        later.budget -= 1;
        all.push(plain(Label::SleepBeforeRecord, later, Kind::Disturbed));
    }
    let label = Label::Record(change.phase, change.step, change.reason);
    all.push(Successor { label, world: next.canonical(), kind: Kind::Ours, broken });
}

fn acts(world: &World, scenario: &Scenario, effects: Vec<Effect>, mut broken: Vec<Broken>, all: &mut Vec<Successor>) {
    let mut next = world.clone();
    for effect in &effects {
        apply(&mut next, scenario, effect);
    }
    let mut twice = next.clone();
    for effect in &effects {
        apply(&mut twice, scenario, effect);
    }
    if twice != next && next.refused.is_none() {
        broken.push((Promise::EffectsRepeat, format!("twice is not once: {effects:?}")));
    }
    if may(world, scenario, Disturbance::Crash) {
        for (kept, effect) in effects.iter().enumerate() {
            let mut part = world.clone();
            apply(&mut part, scenario, effect);
            part.crash(scenario);
            part.budget -= 1;
            all.push(plain(Label::Crash(kept), part, Kind::Disturbed));
        }
    }
    if may(world, scenario, Disturbance::Sleep) && awake(world) {
        let mut later = world.clone();
        for effect in &effects {
            apply_later(&mut later, effect);
        }
        later.budget -= 1;
        all.push(plain(Label::SleepBeforeAct, later, Kind::Disturbed));
    }
    if may(world, scenario, Disturbance::ReplyLost) && !next.trouble {
        let mut unheard = World { trouble: true, ..next.clone() };
        unheard.budget -= 1;
        all.push(plain(Label::ReplyLost, unheard, Kind::Disturbed));
    }
    let next = next.canonical();
    if next == *world && !world.trouble {
        let next = World { trouble: true, ..next };
        all.push(Successor { label: Label::InVain(effects), world: next, kind: Kind::Ours, broken });
    } else if next != *world {
        let next = World { trouble: false, ..next };
        all.push(Successor { label: Label::Act(effects), world: next, kind: Kind::Ours, broken });
    } else if !broken.is_empty() {
        all.push(Successor { label: Label::InVain(effects), world: next, kind: Kind::Disturbed, broken });
    }
}

fn may(world: &World, scenario: &Scenario, disturbance: Disturbance) -> bool {
    world.budget > 0 && scenario.disturbances.contains(&disturbance)
}

/// Nothing waits yet: one sleeper per path.
pub fn awake(world: &World) -> bool {
    world.sleeper == Sleeper::Nothing && !world.pods.iter().any(states::sleeps)
}

/// What was decided earlier is carried out now, one by one.
pub fn sleepers(world: &World, scenario: &Scenario, all: &mut Vec<Successor>) {
    if world.sleeper != Sleeper::Nothing && !world.gone {
        let mut next = world.clone();
        global(&mut next, scenario, world.sleeper);
        all.push(plain(Label::Late(world.sleeper), next, Kind::Disturbed));
    }
    for (index, pod) in world.pods.iter().enumerate() {
        if matches!(pod.asleep, Asleep::Nothing | Asleep::Listed(_) | Asleep::Batch(..)) {
            continue;
        }
        let mut next = world.clone();
        // No precondition tells a put-back that comes late of the replacement that has come meanwhile.
        // Nor does one tell a detaching that comes late that the run has ended; the next run takes such a pod.
        let over = matches!(world.step(), Some(Step::Finishing | Step::Finished));
        next.excused |= matches!(pod.asleep, Asleep::Reattach | Asleep::Cordon) || pod.asleep == Asleep::Detach && over;
        on_pod(&mut next, scenario, index, pod.asleep);
        all.push(plain(Label::LateOn(pod.asleep, index), next, Kind::Disturbed));
    }
}
