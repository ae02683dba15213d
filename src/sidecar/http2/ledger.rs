//! Which streams of one client connection are in flight, by the frames that pass its socket.
//!
//! A stream begins with the header of its HEADERS frame read from the socket, and ends when the frame that ends the answer
//! has been handed to the socket to its last byte, or with a reset of either side. What lies in the protocol engine's
//! queues in between is therefore never forgotten. The task that relays a stream holds it too ([`Ledger::stream`]).
//!
//! **Invariant:** nothing is decided here about a request; a connection that ends takes all its streams out of the count.

use super::StreamCosts;
use super::budget::Budget;
use super::frames::{self, Frame, Moment, Scanner};
use crate::sidecar::count::One;
use crate::sidecar::idle::Seat;
#[cfg(feature = "planted")]
use crate::sidecar::planted::{Fault, is_planted};
use crate::sidecar::quota::{Charge, NoRoom, Wait};
use crate::sidecar::state::Shared;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What a client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a request costs that its client takes back at once, before anything was answered: "rapid reset".
const CANCELLED: u32 = 6;
/// What "at once" is: later a client may well have run out of patience.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The streams of one connection.
pub struct Ledger {
    shared: Arc<Shared>,
    state: Mutex<State>,
    flooded: Notify,
}

struct State {
    inbound: Scanner,
    outbound: Scanner,
    open: HashMap<u32, Open>,
    /// The place of this connection among the others.
    seat: Option<Arc<Seat>>,
    costs: StreamCosts,
    /// The highest stream that has begun.
    newest: u32,
    /// The last stream that is served, as our GOAWAY said.
    last: u32,
    /// A block of header fields has begun to arrive and not ended.
    head_is_open: bool,
    /// The stream that ends with the block of header fields that is being written.
    ends_with_head: Option<u32>,
    budget: Budget,
    is_flooded: bool,
}

/// Memory set apart for a stream, until all of its answer has been handed to the socket.
pub type Room = Result<Arc<Charge>, NoRoom>;

struct Open {
    counted: Arc<One>,
    room: Room,
    since: Instant,
    answered: bool,
}

impl Open {
    fn begin(shared: &Arc<Shared>, bytes: u64) -> Self {
        let room = shared.quota.try_charge(bytes).map(Arc::new);
        Self { counted: Arc::new(One::begin(&shared.in_flight)), room, since: Instant::now(), answered: false }
    }

    fn would_be_rapid_reset(&self) -> bool {
        !self.answered && self.since.elapsed() < AT_ONCE
    }
}

impl Ledger {
    /// That of a connection whose first byte is still to come.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        let state = State {
            inbound: Scanner::new(PREFACE.len()),
            outbound: Scanner::new(0),
            open: HashMap::new(),
            seat: None,
            costs: StreamCosts::default(),
            newest: 0,
            last: u32::MAX,
            head_is_open: false,
            ends_with_head: None,
            budget: Budget::new(Instant::now()),
            is_flooded: false,
        };
        Self { shared, state: Mutex::new(state), flooded: Notify::new() }
    }

    /// The same, which keeps `seat` idle as long as no stream is in flight, and charges each stream its cost.
    #[must_use]
    pub fn with_seat(self, seat: Arc<Seat>, costs: StreamCosts) -> Self {
        let mut state = self.state();
        if state.open.is_empty() {
            seat.become_idle();
        }
        (state.seat, state.costs) = (Some(seat), costs);
        drop(state);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `bytes` were read from the client.
    pub fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        let mut scanner = std::mem::replace(&mut state.inbound, Scanner::new(0));
        scanner.scan(bytes, |moment, frame| match moment {
            Moment::Begin => state.arrives(frame, &self.shared),
            Moment::End => state.has_arrived(frame),
        });
        state.inbound = scanner;
        if state.is_flooded {
            self.flooded.notify_one();
        }
    }

    /// The client's socket has taken `bytes`.
    pub fn written(&self, bytes: &[u8]) {
        let mut state = self.state();
        let mut scanner = std::mem::replace(&mut state.outbound, Scanner::new(0));
        scanner.scan(bytes, |moment, frame| {
            if moment == Moment::End {
                state.has_left(frame);
            }
        });
        state.outbound = scanner;
    }

    /// The count of a stream that is in flight, for another hand to hold, and its memory.
    #[must_use]
    pub fn stream(&self, stream: u32) -> Option<(Arc<One>, Room)> {
        #[cfg(feature = "planted")]
        if is_planted(Fault::StreamEndsWithHead) {
            return None;
        }
        self.state().open.get(&stream).map(|open| (Arc::clone(&open.counted), open.room.clone()))
    }

    /// The client takes nothing of what is to be written: what its streams hold may be given up meanwhile, with it.
    #[must_use]
    pub fn wait_for_client(&self) -> Wait {
        let state = self.state();
        let charges = state.open.values().filter_map(|open| open.room.as_ref().ok());
        self.shared.quota.wait(charges.map(|charge| charge.bytes()).sum())
    }

    /// Whether the header fields of a request have begun to arrive and not ended.
    #[must_use]
    pub fn head_is_open(&self) -> bool {
        self.state().head_is_open
    }

    /// Whether the client has sent more frames without content than anybody needs.
    #[must_use]
    pub fn is_flooded(&self) -> bool {
        self.state().is_flooded
    }

    /// Returns when it has.
    pub async fn flooded(&self) {
        self.flooded.notified().await;
    }

    /// The connection has ended.
    pub fn clear(&self) {
        self.state().open.clear();
    }
}

impl State {
    fn arrives(&mut self, frame: &Frame, shared: &Arc<Shared>) {
        let is_new = frame.stream % 2 == 1 && frame.stream > self.newest;
        if frame.kind == frames::HEADERS && is_new {
            self.newest = frame.stream;
            if frame.stream <= self.last {
                self.open.insert(frame.stream, Open::begin(shared, self.cost(frame)));
                self.seat.iter().for_each(|seat| seat.serve());
            }
        }
        if matches!(frame.kind, frames::HEADERS | frames::CONTINUATION) {
            self.head_is_open = true;
        }
        self.judge(frame);
    }

    fn cost(&self, head: &Frame) -> u64 {
        // Header fields are here twice, as they came and as they are to go.
        2 * u64::from(head.length) + if head.ends_stream() { self.costs.bodiless } else { self.costs.with_body }
    }

    /// A stream is in flight no more.
    fn close(&mut self, stream: u32) {
        if self.open.remove(&stream).is_some() {
            self.note_idle();
        }
    }

    fn note_idle(&self) {
        if self.open.is_empty() {
            self.seat.iter().for_each(|seat| seat.become_idle());
        }
    }

    /// Frames with content pay for those without.
    fn judge(&mut self, frame: &Frame) {
        let cost = match frame.kind {
            frames::HEADERS => 0,
            frames::DATA if frame.length > 0 || frame.ends_stream() => 0,
            frames::RST_STREAM if self.open.get(&frame.stream).is_some_and(Open::would_be_rapid_reset) => CANCELLED,
            _ if frame.is_ack() => return,
            _ => 1,
        };
        if cost == 0 {
            self.budget.earn();
        } else if !self.budget.pay(cost, Instant::now) {
            self.is_flooded = true;
        }
    }

    fn has_arrived(&mut self, frame: &Frame) {
        match frame.kind {
            frames::HEADERS | frames::CONTINUATION => self.head_is_open = !frame.ends_headers(),
            #[cfg(feature = "planted")]
            frames::RST_STREAM if is_planted(Fault::KeepsResetStreams) => {
                std::mem::forget(self.open.remove(&frame.stream));
            }
            frames::RST_STREAM => self.close(frame.stream),
            _ => {}
        }
    }

    fn has_left(&mut self, frame: &Frame) {
        match frame.kind {
            frames::DATA => {
                if frame.length > 0 {
                    self.budget.earn();
                }
                if frame.ends_stream() {
                    self.close(frame.stream);
                }
            }
            frames::HEADERS | frames::CONTINUATION => self.head_has_left(frame),
            frames::RST_STREAM => self.close(frame.stream),
            frames::GOAWAY => {
                self.last = frame.first & 0x7fff_ffff;
                self.open.retain(|stream, _| *stream <= self.last);
                self.note_idle();
            }
            _ => {}
        }
    }

    fn head_has_left(&mut self, frame: &Frame) {
        if let Some(open) = self.open.get_mut(&frame.stream) {
            open.answered = true;
        }
        #[cfg(feature = "planted")]
        if is_planted(Fault::StreamEndsWithHead) {
            self.open.remove(&frame.stream);
        }
        if frame.ends_stream() {
            self.ends_with_head = Some(frame.stream);
        }
        if frame.ends_headers()
            && let Some(stream) = self.ends_with_head.take()
        {
            self.close(stream);
        }
    }
}
