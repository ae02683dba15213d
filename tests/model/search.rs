//! The search: every state that can be reached, every path that is calm from there.
//!
//! **Invariant:** breadth first, so that the path which is printed is a shortest one.

use crate::checks::{self, Broken, Promise};
use crate::effects::{apply, apply_later, global, on_pod, record, record_later};
use crate::environment::{Event, calm, disturbed, leases_end, time};
use crate::observe::observe;
use crate::world::{Asleep, Disturbance, Scenario, Sleeper, World};
use restart_controller::api::{Phase, Step};
use restart_controller::machine::{Change, Decision, Effect, Observed};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

pub type Planner = fn(&Observed) -> Decision;
/// A transition of the status: from, to, why.
pub type Transition = (Option<(Phase, Step)>, (Phase, Step), &'static str);

/// What a search has found.
pub struct Report {
    pub scenario: Scenario,
    pub states: usize,
    pub moves: usize,
    /// Most status writes and acts on a calm way to the end.
    pub longest: usize,
    pub transitions: BTreeSet<Transition>,
    /// For each promise the first way in which it was broken.
    pub broken: BTreeMap<Promise, String>,
    /// How runs ended.
    pub ends: BTreeSet<String>,
}

/// What led to a successor.
enum Label {
    Around(Event),
    Record(Phase, Step, &'static str),
    Act(Vec<Effect>),
    InVain(Vec<Effect>),
    Crash(usize),
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
struct Successor {
    label: Label,
    world: World,
    kind: Kind,
    broken: Vec<Broken>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By the controller, undisturbed.
    Ours,
    /// By the environment, undisturbed.
    Calm,
    Disturbed,
}

pub struct Search {
    scenario: Scenario,
    planner: Planner,
    ids: HashMap<u64, u32>,
    /// Where a state was first reached from, and by which of its successors.
    parents: Vec<(u32, u16)>,
    ended: Vec<bool>,
    /// Calm edges; true: by the controller.
    edges: Vec<(u32, u32, bool)>,
    report: Report,
}

fn key(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

impl Search {
    pub fn run(scenario: &Scenario, planner: Planner) -> Report {
        let report = Report {
            scenario: scenario.clone(),
            states: 0,
            moves: 0,
            longest: 0,
            transitions: BTreeSet::new(),
            broken: BTreeMap::new(),
            ends: BTreeSet::new(),
        };
        let mut search = Self {
            scenario: scenario.clone(),
            planner,
            ids: HashMap::new(),
            parents: vec![],
            ended: vec![],
            edges: vec![],
            report,
        };
        search.explore();
        search.every_run_ends();
        search.report.states = search.parents.len();
        search.report
    }

    fn explore(&mut self) {
        let start = World::start(&self.scenario).canonical();
        self.ids.insert(key(&start), 0);
        self.parents.push((0, 0));
        self.ended.push(false);
        let mut frontier = vec![(0u32, start)];
        while !frontier.is_empty() {
            let mut next = vec![];
            for (id, world) in frontier {
                self.expand(id, &world, &mut next);
            }
            frontier = next;
        }
    }

    fn expand(&mut self, id: u32, world: &World, frontier: &mut Vec<(u32, World)>) {
        for broken in checks::state(world, &self.scenario).into_iter().chain(checks::without_us(world, &self.scenario))
        {
            self.note(id, None, broken);
        }
        if world.ended() {
            self.report.ends.insert(end(world));
        }
        let successors = successors(world, &self.scenario, self.planner, &mut self.report.transitions);
        for (nth, successor) in successors.into_iter().enumerate() {
            let nth = u16::try_from(nth).expect("few successors");
            self.report.moves += 1;
            for broken in successor.broken {
                self.note(id, Some((&successor.label, &successor.world)), broken);
            }
            let fresh = u32::try_from(self.parents.len()).expect("fewer states than that");
            let known = *self.ids.entry(key(&successor.world)).or_insert(fresh);
            if successor.kind != Kind::Disturbed && known != id {
                self.edges.push((id, known, successor.kind == Kind::Ours));
            }
            if known == fresh {
                self.parents.push((id, nth));
                self.ended.push(successor.world.ended());
                frontier.push((fresh, successor.world));
            }
        }
    }

    fn note(&mut self, id: u32, last: Option<(&Label, &World)>, (promise, text): Broken) {
        if self.report.broken.contains_key(&promise) {
            return;
        }
        let mut trace = format!("{promise:?} is broken in \"{}\": {text}\n{}", self.scenario.name, self.trace(id));
        if let Some((label, world)) = last {
            let _ = write!(trace, "{label}\n      {}", shown(world));
        }
        self.report.broken.insert(promise, trace);
    }

    /// The way to a state: labels and worlds, found again by going it once more.
    fn trace(&self, id: u32) -> String {
        let mut way = vec![];
        let mut at = id;
        while at != 0 {
            let (parent, nth) = self.parents[at as usize];
            way.push(nth);
            at = parent;
        }
        let mut world = World::start(&self.scenario).canonical();
        let mut text = format!("      {}\n", shown(&world));
        for nth in way.into_iter().rev() {
            let successor =
                successors(&world, &self.scenario, self.planner, &mut BTreeSet::new()).remove(usize::from(nth));
            world = successor.world;
            let mark = if successor.kind == Kind::Disturbed { "!" } else { " " };
            let _ = writeln!(text, "{mark} {}\n      {}", successor.label, shown(&world));
        }
        text
    }

    /// From every state a calm way leads to an end, and no calm way goes round in circles.
    fn every_run_ends(&mut self) {
        let count = self.parents.len();
        let order = self.backwards(count);
        let reached = order.iter().filter(|id| **id != u32::MAX).count();
        if reached < count {
            let stuck = order.iter().position(|id| *id == u32::MAX).unwrap_or_default();
            let stuck = u32::try_from(stuck).unwrap_or_default();
            self.note(stuck, None, (Promise::EveryRunEnds, "no calm way leads from here to an end".into()));
        }
        match self.longest(count) {
            Ok(longest) => self.report.longest = longest,
            Err(circle) => {
                self.note(circle, None, (Promise::EveryRunEnds, "a calm way leads round in a circle".into()))
            }
        }
    }

    /// Distance of each state from an end, over calm edges.
    fn backwards(&self, count: usize) -> Vec<u32> {
        let incoming = Adjacency::new(count, self.edges.iter().map(|(from, to, _)| (*to, *from)));
        let mut distance = vec![u32::MAX; count];
        let mut queue: Vec<u32> = (0u32..).zip(&self.ended).filter(|(_, ended)| **ended).map(|(id, _)| id).collect();
        queue.iter().for_each(|id| distance[*id as usize] = 0);
        let mut at = 0;
        while at < queue.len() {
            let id = queue[at];
            at += 1;
            for from in incoming.of(id) {
                if distance[*from as usize] == u32::MAX {
                    distance[*from as usize] = distance[id as usize] + 1;
                    queue.push(*from);
                }
            }
        }
        distance
    }

    /// Most passes of the controller on a calm way, by taking away states without incoming calm edges (Kahn).
    fn longest(&self, count: usize) -> Result<usize, u32> {
        let outgoing =
            Adjacency::new(count, self.edges.iter().map(|(from, to, ours)| (*from, to << 1 | u32::from(*ours))));
        let mut incoming = vec![0u32; count];
        self.edges.iter().for_each(|(_, to, _)| incoming[*to as usize] += 1);
        let mut passes = vec![0usize; count];
        let mut queue: Vec<u32> = (0u32..).zip(&incoming).filter(|(_, count)| **count == 0).map(|(id, _)| id).collect();
        let mut at = 0;
        while at < queue.len() {
            let id = queue[at] as usize;
            at += 1;
            for edge in outgoing.of(queue[at - 1]) {
                let (to, ours) = ((edge >> 1) as usize, edge & 1 == 1);
                passes[to] = passes[to].max(passes[id] + usize::from(ours));
                incoming[to] -= 1;
                if incoming[to] == 0 {
                    queue.push(edge >> 1);
                }
            }
        }
        if queue.len() == count {
            return Ok(passes.into_iter().max().unwrap_or_default());
        }
        Err(on_circle(&outgoing, &incoming))
    }
}

/// A state on a circle: go forward among the states that are left until one comes again.
fn on_circle(outgoing: &Adjacency, incoming: &[u32]) -> u32 {
    // Backwards would be needed for a true circle; forwards may run out of it, so states without a way on are dropped first.
    let left = |id: &u32| incoming[*id as usize] > 0;
    let mut alive: BTreeSet<u32> = (0u32..).take(incoming.len()).filter(left).collect();
    loop {
        let dead: Vec<u32> = alive
            .iter()
            .copied()
            .filter(|id| !outgoing.of(*id).iter().any(|edge| alive.contains(&(edge >> 1))))
            .collect();
        if dead.is_empty() {
            break;
        }
        dead.iter().for_each(|id| {
            alive.remove(id);
        });
    }
    alive.into_iter().next().unwrap_or_default()
}

struct Adjacency {
    start: Vec<u32>,
    targets: Vec<u32>,
}

impl Adjacency {
    fn new(count: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut start = vec![0u32; count + 1];
        edges.clone().for_each(|(from, _)| start[from as usize + 1] += 1);
        for at in 0..count {
            start[at + 1] += start[at];
        }
        let mut next = start.clone();
        let mut targets = vec![0; start[count] as usize];
        for (from, to) in edges {
            targets[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        Self { start, targets }
    }

    fn of(&self, id: u32) -> &[u32] {
        &self.targets[self.start[id as usize] as usize..self.start[id as usize + 1] as usize]
    }
}

fn successors(
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
        let broken = checks::moved(world, event);
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
fn controller(
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
    broken.extend(checks::recorded(world, &next, scenario));
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
    effects.iter().for_each(|effect| apply(&mut next, scenario, effect));
    let mut twice = next.clone();
    effects.iter().for_each(|effect| apply(&mut twice, scenario, effect));
    if twice != next && next.refused.is_none() {
        broken.push((Promise::EffectsRepeat, format!("twice is not once: {effects:?}")));
    }
    if may(world, scenario, Disturbance::Crash) {
        for (kept, effect) in effects.iter().enumerate() {
            let mut part = world.clone();
            apply(&mut part, scenario, effect);
            part.crash();
            part.budget -= 1;
            all.push(plain(Label::Crash(kept), part, Kind::Disturbed));
        }
    }
    if may(world, scenario, Disturbance::Sleep) && awake(world) {
        let mut later = world.clone();
        effects.iter().for_each(|effect| apply_later(&mut later, effect));
        later.budget -= 1;
        all.push(plain(Label::SleepBeforeAct, later, Kind::Disturbed));
    }
    let next = next.canonical();
    if next != *world {
        all.push(Successor { label: Label::Act(effects), world: next, kind: Kind::Ours, broken });
    } else if !broken.is_empty() {
        all.push(Successor { label: Label::InVain(effects), world: next, kind: Kind::Disturbed, broken });
    }
}

fn may(world: &World, scenario: &Scenario, disturbance: Disturbance) -> bool {
    world.budget > 0 && scenario.disturbances.contains(&disturbance)
}

/// Nothing waits yet: one sleeper per path.
fn awake(world: &World) -> bool {
    world.sleeper == Sleeper::Nothing && !world.pods.iter().any(checks::sleeps)
}

/// What was decided earlier is carried out now, one by one.
fn sleepers(world: &World, scenario: &Scenario, all: &mut Vec<Successor>) {
    if world.sleeper != Sleeper::Nothing && !world.gone {
        let mut next = world.clone();
        global(&mut next, scenario, world.sleeper);
        all.push(plain(Label::Late(world.sleeper), next, Kind::Disturbed));
    }
    for (index, pod) in world.pods.iter().enumerate() {
        if matches!(pod.asleep, Asleep::Nothing | Asleep::Listed | Asleep::Batch(..)) {
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

/// How a run ended, in a few words.
fn end(world: &World) -> String {
    let Some(status) = world.status else { return "gone before it began".into() };
    let code = status.outcome.and_then(|end| end.code).map_or("", |code| code.reason());
    let left =
        status.outcome.and_then(|end| end.not_restored).map_or(String::new(), |why| format!(" not restored: {why}"));
    format!("{:?} {code}{left}", status.phase)
}

/// A world on one line.
pub fn shown(world: &World) -> String {
    let mut text = match world.status {
        None => "no status".to_owned(),
        Some(status) => {
            format!("{:?}/{:?} {:?}", status.phase, status.step, status.outcome.map(|end| (end.code, end.not_restored)))
        }
    };
    let _ = write!(text, " lock {:?} {:?} x{} live {:?}", world.holder, world.workload, world.replicas, world.live);
    for (flag, word) in [
        (world.finalizer, "finalizer"),
        (world.deleting, "deleting"),
        (world.gone, "gone"),
        (world.deadline, "deadline"),
        (world.soaked, "soaked"),
    ] {
        if flag {
            let _ = write!(text, " {word}");
        }
    }
    for (index, pod) in world.pods.iter().enumerate() {
        let _ = write!(text, "\n        {index} {}", one(pod));
    }
    text
}

fn one(pod: &crate::world::Pod) -> String {
    let mut text = format!("{:?} on {:?}", pod.place, pod.runs);
    for (flag, word) in [
        (pod.planned, "planned"),
        (pod.late, "late"),
        (pod.again, "again"),
        (pod.terminating, "TERMINATING"),
        (pod.ready, "ready"),
        (pod.in_slices, "in-slices"),
        (pod.busy, "busy"),
        (pod.stuck, "stuck"),
        (pod.overdue, "overdue"),
        (pod.silent, "silent"),
        (pod.expendable, "expendable"),
        (pod.restarted, "restarted"),
        (pod.broken, "broken"),
    ] {
        if flag {
            let _ = write!(text, " {word}");
        }
    }
    let _ = write!(text, " lease {:?} {:?} {:?}", pod.lease, pod.batch, pod.asleep);
    text
}
