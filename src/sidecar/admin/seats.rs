//! Who may be connected to the admin port: every newcomer is taken, and when there are too many another one ends.
//!
//! A connection is judged by what it asks, which only its first head tells. So none is refused at the door; the one that
//! ends is the oldest that waits for a head, of the source that has most connections. A flood therefore ends its own
//! connections, and a probe, a command or a hook of another source stays.
//!
//! **Invariant:** never more than so many connections at a time, and the choice is pure ([`victim`]).

use crate::sidecar::descriptors::Room;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// One in so many places is kept free, so that newcomers need not wait for the end of those that have to go.
const FREE_PART: usize = 8;
/// A source with no more than this part of all connections is not crowded.
const FAIR_PART: usize = 16;

/// What a connection is doing, in the order in which it may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing: its next head has not arrived.
    Idle,
    /// It waits for the count to fall.
    Poll,
    /// It is answered soon: a probe, a report, a command.
    Brief,
    /// It holds the app: a preStop hook.
    Hook,
}

struct Seat {
    source: IpAddr,
    stage: Stage,
    /// Since when it has been in this stage.
    since: Instant,
    /// A head has arrived on it.
    known: bool,
    evicted: Arc<Notify>,
}

/// The connections that there are.
pub struct Seats {
    fair: usize,
    /// From so many on, one ends for each newcomer.
    full: usize,
    room: Room,
    taken: Mutex<(u64, HashMap<u64, Seat>)>,
}

/// The place of one connection; given back when it is dropped.
pub struct Taken {
    seats: Arc<Seats>,
    id: u64,
    source: IpAddr,
    evicted: Arc<Notify>,
    _room: OwnedSemaphorePermit,
}

impl Seats {
    /// Places for `most` connections.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (fair, full) = ((most / FAIR_PART).max(2), most - most / FREE_PART);
        Self { fair, full, room: Room::new(most), taken: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, Seat>)> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `source`, for which another connection ends if it must. None if all hold the app.
    pub async fn take(self: &Arc<Self>, source: IpAddr) -> Option<Taken> {
        // A client of IPv4 on a socket of IPv6 is the same client.
        let source = source.to_canonical();
        if !self.make_room() && self.room.is_full() {
            return None;
        }
        let room = self.room.one().await?;
        let evicted = Arc::new(Notify::new());
        let mut taken = self.lock();
        taken.0 += 1;
        let id = taken.0;
        let seat =
            Seat { source, stage: Stage::Idle, since: Instant::now(), known: false, evicted: Arc::clone(&evicted) };
        taken.1.insert(id, seat);
        Some(Taken { seats: Arc::clone(self), id, source, evicted, _room: room })
    }

    /// Ends a connection if there are too many; answers whether there will be room.
    fn make_room(&self) -> bool {
        let mut taken = self.lock();
        if taken.1.len() < self.full {
            return true;
        }
        let victim = victim(&taken.1, self.fair).and_then(|id| taken.1.remove(&id));
        if let Some(seat) = &victim {
            seat.evicted.notify_one();
        }
        victim.is_some()
    }
}

impl Taken {
    /// Where the client is.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// A head has arrived, or its answer is ready.
    pub fn enter(&self, stage: Stage) {
        if let Some(seat) = self.seats.lock().1.get_mut(&self.id) {
            (seat.stage, seat.since, seat.known) = (stage, Instant::now(), true);
        }
    }

    /// Whether a head has arrived.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.seats.lock().1.get(&self.id).is_some_and(|seat| seat.known)
    }

    /// Returns when the place is needed for another.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.lock().1.remove(&self.id);
    }
}

/// Which connection is to end. Those of the source that has most come first, if it has more than `fair`; among them the
/// order of [`Stage`] and then the oldest decide. One that holds the app ends only if its source has more than `fair`.
fn victim(seats: &HashMap<u64, Seat>, fair: usize) -> Option<u64> {
    let mut crowds: HashMap<IpAddr, usize> = HashMap::new();
    for seat in seats.values() {
        *crowds.entry(seat.source).or_default() += 1;
    }
    let crowd = |seat: &Seat| crowds.get(&seat.source).copied().filter(|count| *count > fair).unwrap_or(0);
    let (id, seat) = seats.iter().min_by_key(|(id, seat)| (Reverse(crowd(seat)), seat.stage, seat.since, **id))?;
    (crowd(seat) > 0 || seat.stage != Stage::Hook).then_some(*id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seats(given: &[(u8, Stage)]) -> HashMap<u64, Seat> {
        let start = Instant::now();
        let seat = |(id, (source, stage)): (u64, &(u8, Stage))| {
            let (source, since) = (IpAddr::from([10, 0, 0, *source]), start + Duration::from_secs(id));
            (id, Seat { source, stage: *stage, since, known: true, evicted: Arc::default() })
        };
        (0..).zip(given).map(seat).collect()
    }

    #[test]
    fn the_oldest_that_asks_for_nothing_ends_first_and_a_hook_never() {
        let all = [(1, Stage::Hook), (2, Stage::Brief), (3, Stage::Poll), (4, Stage::Idle), (5, Stage::Idle)];
        assert_eq!(victim(&seats(&all), 2), Some(3));
        assert_eq!(victim(&seats(&all[..3]), 2), Some(2));
        assert_eq!(victim(&seats(&all[..2]), 2), Some(1));
        assert_eq!(victim(&seats(&all[..1]), 2), None);
        assert_eq!(victim(&seats(&[]), 2), None);
    }

    #[test]
    fn a_crowd_of_one_source_ends_its_own_connections_first() {
        let crowd = [(1, Stage::Idle), (9, Stage::Poll), (9, Stage::Poll), (9, Stage::Hook)];
        assert_eq!(victim(&seats(&crowd), 2), Some(1));
        let hooks = [(1, Stage::Idle), (9, Stage::Hook), (9, Stage::Hook), (9, Stage::Hook)];
        assert_eq!(victim(&seats(&hooks), 2), Some(1), "one that holds more hooks than is fair");
    }

    #[tokio::test]
    async fn a_newcomer_waits_until_the_one_that_ends_has_ended() {
        let seats = Arc::new(Seats::new(1));
        let source = IpAddr::from([10, 0, 0, 1]);
        let first = seats.take(source).await.unwrap();
        let (second, ()) = tokio::join!(seats.take(source), async move {
            first.evicted().await;
            drop(first);
        });
        let second = second.unwrap();
        assert!(!second.is_known());
        second.enter(Stage::Hook);
        assert!(second.is_known() && seats.take(source).await.is_none());
    }
}
