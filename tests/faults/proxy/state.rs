//! What the proxy knows: how many writes of each kind there were, which faults are due, which windows are open.
//!
//! **Invariant:** a write is numbered once, in the order in which the calls arrive.

use super::call::Call;
use super::kind::Kind;
use crate::fault::{Fault, ReadFault, Window};
use crate::plan::{Injection, Point};
use hyper::body::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How old a stale answer is.
const BEHIND: Duration = Duration::from_secs(3);
/// How many answers to one read are kept.
const KEPT: usize = 200;

/// A write as the proxy saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The process that made it.
    pub from: usize,
    /// Its kind.
    pub kind: Kind,
    /// Its number, once numbers are given.
    pub nth: Option<u32>,
    /// What it asked for.
    pub call: Call,
    /// What the API server answered; absent while it has not, or never saw it.
    pub answer: Option<u16>,
    /// What was done to it.
    pub fault: Option<Fault>,
    /// When it came.
    pub at: Instant,
}

/// A stored answer.
pub type Answer = (u16, Bytes);

/// The state.
#[derive(Debug, Default)]
pub struct State {
    /// Writes are numbered and disturbed.
    pub armed: bool,
    counts: BTreeMap<Kind, u32>,
    due: Vec<Injection>,
    /// Every write.
    pub seen: Vec<Seen>,
    windows: Vec<(Window, Instant)>,
    answers: HashMap<String, VecDeque<(Instant, Answer)>>,
    /// How many reads there were.
    pub reads: u64,
}

impl State {
    /// With these faults to come.
    pub fn with(injections: &[Injection]) -> Self {
        Self { due: injections.to_vec(), ..Self::default() }
    }

    /// A write has come: its place in `seen`, and what is to be done to it.
    pub fn enter(&mut self, from: usize, call: &Call) -> Option<(usize, Option<Fault>)> {
        let Some(kind) = call.write else {
            self.reads += 1;
            return None;
        };
        let mut seen =
            Seen { from, kind, nth: None, call: call.clone(), answer: None, fault: None, at: Instant::now() };
        if self.armed {
            let count = self.counts.entry(kind).or_default();
            *count += 1;
            seen.nth = Some(*count);
            let point = Point { kind, nth: *count };
            let due = self.due.iter().position(|injection| injection.point == point);
            seen.fault = due.map(|index| self.due.remove(index).fault);
        }
        let fault = seen.fault;
        self.seen.push(seen);
        Some((self.seen.len() - 1, fault))
    }

    /// Faults whose point has not come.
    pub fn left(&self) -> &[Injection] {
        &self.due
    }

    /// Opens a window.
    pub fn open(&mut self, window: Window) {
        self.windows.push((window, Instant::now() + window.lasts()));
    }

    /// Until when a window is open.
    pub fn until(&self, window: Window) -> Option<Instant> {
        let now = Instant::now();
        let mut open = self.windows.iter().filter(|(known, end)| *known == window && *end > now);
        open.next().map(|(_, end)| *end)
    }

    /// What the first open window about reads does to them.
    pub fn read_fault(&self) -> Option<ReadFault> {
        let now = Instant::now();
        let mut open = self.windows.iter().filter(|(_, end)| *end > now);
        open.find_map(|(window, _)| window.read_fault())
    }

    /// Keeps an answer to a read.
    pub fn keep(&mut self, line: &str, answer: Answer) {
        let answers = self.answers.entry(line.to_owned()).or_default();
        answers.push_back((Instant::now(), answer));
        if answers.len() > KEPT {
            answers.pop_front();
        }
    }

    /// The answer of three seconds before, or the oldest that there is.
    pub fn stale(&self, line: &str) -> Option<Answer> {
        let answers = self.answers.get(line)?;
        let limit = Instant::now().checked_sub(BEHIND)?;
        let old = answers.iter().rev().find(|(at, _)| *at <= limit).or_else(|| answers.front());
        old.map(|(_, answer)| answer.clone())
    }
}
