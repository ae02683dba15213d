//! Client connections that are idle: closed when they have been for too long, or when another needs their place.
//!
//! **Invariant:** to begin and to end being idle touches no lock and reads no clock: [`Table::sweep`], four times a second,
//! is the clock. A connection is only told to leave; it closes itself, and only if nothing of a next request has arrived.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The unit in which idle time is measured.
const TICK: Duration = Duration::from_millis(250);
/// Those that have been idle for too long are looked for once in so many ticks.
const EXPIRY: u32 = 4;
/// What a connection that is not idle has in the place of its turn.
const BUSY: u64 = 0;
/// Ticks after which an idle connection may be told to leave even if few others have been used since: a client that is at
/// work uses it again before.
const RESTED: u32 = 2;
/// Of at least so many idle connections the oldest quarter may be told at once: their clients have let that many others go
/// first.
const CROWD: usize = 128;
/// One in so many idle connections is told to leave at a time, so that looking for them costs little each.
const PART: usize = 64;

const STAY: u8 = 0;
const TIMED_OUT: u8 = 1;
const PLACE_NEEDED: u8 = 2;

/// Why an idle connection is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has been idle for too long.
    TimedOut,
    /// Another needs its place: at once.
    PlaceNeeded,
}

/// All client connections.
#[derive(Default)]
pub struct Table {
    now: AtomicU32,
    /// How often a connection has become idle.
    turns: AtomicU64,
    seats: Mutex<Seats>,
    /// As many connections as fit, none of them idle, and another waits.
    full: AtomicBool,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Arc<State>>,
}

struct State {
    /// Which one it was to become idle, or [`BUSY`].
    turn: AtomicU64,
    /// It has had a request.
    is_used: AtomicBool,
    /// The tick at which it did.
    idle_since: AtomicU32,
    told: AtomicU8,
    /// Wakes the connection's task.
    waker: Mutex<Option<Waker>>,
}

impl State {
    fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    fn tell(&self, why: u8) {
        self.told.store(why, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Table {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection, which is busy at first.
    #[must_use]
    pub fn sit(self: &Arc<Self>) -> Seat {
        let waker = Mutex::default();
        let (turn, is_used) = (BUSY.into(), false.into());
        let state = Arc::new(State { turn, is_used, idle_since: 0.into(), told: STAY.into(), waker });
        let mut seats = self.seats();
        let key = seats.next;
        seats.next += 1;
        seats.taken.insert(key, Arc::clone(&state));
        Seat { table: Arc::clone(self), key, state }
    }

    /// Tells those to leave that have had no request yet, and then those that have been idle the longest; whether there are
    /// any, or some are leaving already.
    ///
    /// None is told that came or was used a moment ago, as time goes or as most of its kind have come or been used since:
    /// its client is about to use it. A crowd that comes and asks nothing therefore ends no connection of clients that ask.
    pub fn make_place(&self) -> bool {
        let seats = self.seats();
        let all = seats.taken.values().map(|state| (state.is_used(), state.turn.load(Ordering::Relaxed), &**state));
        let mut idle: Vec<_> = all.filter(|(_, turn, _)| *turn != BUSY).collect();
        idle.sort_unstable_by_key(|(is_used, turn, _)| (*is_used, *turn));
        let (part, fresh) = (idle.len().div_ceil(PART), idle.partition_point(|(is_used, ..)| !is_used));
        let (fresh, used) = idle.split_at(fresh);
        let mut has_told = false;
        for state in self.may_leave(fresh).chain(self.may_leave(used)).take(part) {
            if state.told.load(Ordering::Relaxed) != PLACE_NEEDED {
                state.tell(PLACE_NEEDED);
            }
            has_told = true;
        }
        has_told
    }

    /// Those of one kind, in the order of their turns, that have not come or been used a moment ago.
    fn may_leave<'a>(&'a self, kind: &'a [(bool, u64, &'a State)]) -> impl Iterator<Item = &'a State> {
        let oldest = if kind.len() < CROWD { 0 } else { kind.len() / 4 };
        let states = kind.iter().map(|(.., state)| *state).enumerate();
        states.filter(move |(n, state)| *n < oldest || self.is_rested(state)).map(|(_, state)| state)
    }

    fn is_rested(&self, state: &State) -> bool {
        let since = state.idle_since.load(Ordering::Relaxed);
        self.now.load(Ordering::Relaxed).saturating_sub(since) >= RESTED
    }

    /// Tells those to leave that have been idle for longer than `limit`; runs as long as the process.
    pub async fn sweep(&self, limit: Duration) {
        loop {
            tokio::time::sleep(TICK).await;
            if self.now.fetch_add(1, Ordering::Relaxed).is_multiple_of(EXPIRY) {
                self.expire(u32::try_from(limit.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX));
            }
        }
    }

    /// `limit`: in ticks.
    fn expire(&self, limit: u32) {
        let now = self.now.load(Ordering::Relaxed);
        for state in self.seats().taken.values().filter(|state| state.turn.load(Ordering::Relaxed) != BUSY) {
            let since = state.idle_since.load(Ordering::Relaxed);
            if now.saturating_sub(since) > limit && state.told.load(Ordering::Relaxed) == STAY {
                state.tell(TIMED_OUT);
            }
        }
    }

    /// Whether a client waits for a place that no other can give up.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Says so.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }
}

/// The place of one connection.
pub struct Seat {
    table: Arc<Table>,
    key: u64,
    state: Arc<State>,
}

impl Seat {
    /// Nothing of a request is here, or in flight.
    pub fn become_idle(&self) {
        self.state.told.store(STAY, Ordering::Relaxed);
        self.state.idle_since.store(self.table.now.load(Ordering::Relaxed), Ordering::Relaxed);
        self.state.turn.store(self.table.turns.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Bytes have come.
    pub fn become_busy(&self) {
        self.state.turn.store(BUSY, Ordering::Relaxed);
    }

    /// They are a request.
    pub fn serve(&self) {
        self.state.is_used.store(true, Ordering::Relaxed);
        self.become_busy();
    }

    /// Why it is to leave, if it is idle and is.
    #[must_use]
    pub fn told(&self) -> Option<Why> {
        match self.state.told.load(Ordering::Relaxed) {
            _ if self.state.turn.load(Ordering::Relaxed) == BUSY => None,
            TIMED_OUT => Some(Why::TimedOut),
            PLACE_NEEDED => Some(Why::PlaceNeeded),
            _ => None,
        }
    }

    /// Returns when it is to leave. `listens`: whether this task has been polled here before: it is woken from then on
    /// whatever it polls, since a task is one and the same all its life.
    pub async fn is_told(&self, listens: &mut bool) -> Why {
        poll_fn(|context| {
            if !std::mem::replace(listens, true) {
                let waker = Some(context.waker().clone());
                *self.state.waker.lock().unwrap_or_else(PoisonError::into_inner) = waker;
            }
            self.told().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.seats().taken.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(table: &Table, limit: u32) {
        table.now.fetch_add(1, Ordering::Relaxed);
        table.expire(limit);
    }

    #[test]
    fn the_one_that_has_been_idle_the_longest_is_told_first_and_a_busy_one_never() {
        let table = Arc::new(Table::default());
        let (busy, first, second) = (table.sit(), table.sit(), table.sit());
        second.become_idle();
        first.become_idle();
        assert!(!table.make_place(), "both have come just now");
        tick(&table, 100);
        tick(&table, 100);
        assert!(table.make_place() && table.make_place());
        assert_eq!((busy.told(), first.told(), second.told()), (None, None, Some(Why::PlaceNeeded)));
        second.become_busy();
        assert!(table.make_place());
        assert_eq!((first.told(), second.told()), (Some(Why::PlaceNeeded), None));
        first.become_busy();
        assert!(first.told().is_none() && !table.make_place());
    }

    #[test]
    fn a_crowd_that_asks_nothing_ends_itself_and_no_connection_that_is_used() {
        let table = Arc::new(Table::default());
        let used = table.sit();
        used.serve();
        used.become_idle();
        let crowd: Vec<_> = (0..CROWD).map(|_| table.sit()).collect();
        crowd.iter().for_each(Seat::become_idle);
        for _ in 0..100 {
            assert!(table.make_place());
        }
        let told = crowd.iter().filter(|seat| seat.told().is_some()).count();
        assert_eq!((told, used.told()), (3, None), "a 64th part, and the same until these have left");
        for seat in &crowd {
            seat.become_busy();
            seat.become_idle();
            seat.become_busy();
        }
        assert!(!table.make_place(), "of a crowd at work none is idle, and the other has been used just now");
    }

    #[test]
    fn one_that_is_idle_for_too_long_is_told_and_one_that_is_used_in_between_is_not() {
        let table = Arc::new(Table::default());
        let (idle, used) = (table.sit(), table.sit());
        idle.become_idle();
        for _ in 0..4 {
            used.become_idle();
            assert_eq!((idle.told(), used.told()), (None, None));
            tick(&table, 3);
            used.become_busy();
        }
        used.become_idle();
        assert_eq!((idle.told(), used.told()), (Some(Why::TimedOut), None));
    }
}
