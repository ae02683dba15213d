//! The search: every state that can be reached, every path that is calm from there.
//!
//! **Invariant:** breadth first, so that the path which is printed is a shortest one.

use crate::checks::{Broken, Promise};
use crate::endings::Graph;
use crate::scenario::Scenario;
use crate::shown::{end, shown};
use crate::states;
use crate::steps::{Kind, Label, successors};
use crate::world::World;
use restart_controller::api::{Phase, Step};
use restart_controller::machine::{Decision, Observed};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hash, Hasher};

pub type Planner = fn(&Observed) -> Decision;
/// A transition of the status: from, to, why.
pub type Transition = (Option<(Phase, Step)>, (Phase, Step), &'static str);

/// What a search has found.
pub struct Report {
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

pub struct Search {
    scenario: Scenario,
    planner: Planner,
    ids: HashMap<u64, u32, BuildHasherDefault<Mixer>>,
    /// Where a state was first reached from, and by which of its successors.
    parents: Vec<(u32, u16)>,
    ended: Vec<bool>,
    /// Calm edges; true: by the controller.
    edges: Vec<(u32, u32, bool)>,
    report: Report,
}

/// A third of the search went into the standard library's hasher, which also withstands an attacker.
#[derive(Default)]
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, value: u64) {
        let mixed = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value.unsigned_abs() as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn key(world: &World) -> u64 {
    let mut hasher = Mixer::default();
    world.hash(&mut hasher);
    hasher.finish()
}

impl Search {
    pub fn run(scenario: &Scenario, planner: Planner) -> Report {
        let report = Report {
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
            ids: HashMap::default(),
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
        for broken in states::state(world, &self.scenario).into_iter().chain(states::without_us(world, &self.scenario))
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
        let graph = Graph { ended: &self.ended, edges: &self.edges };
        let (stuck, longest) = (graph.stuck(), graph.longest());
        if let Some(stuck) = stuck {
            self.note(stuck, None, (Promise::EveryRunEnds, "no calm way leads from here to an end".into()));
        }
        match longest {
            Ok(longest) => self.report.longest = longest,
            Err(circle) => {
                self.note(circle, None, (Promise::EveryRunEnds, "a calm way leads round in a circle".into()));
            }
        }
    }
}
