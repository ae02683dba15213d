//! Bugs planted in the count, for the test that shows that the ledger finds each (`tests/planted`).
//!
//! **Invariant:** exists only with the feature `planted`, which no program that ships is built with; without [`plant`] it
//! changes nothing.

use std::sync::atomic::{AtomicU8, Ordering};

/// A way to count wrongly that would be easy to fall into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// None.
    None,
    /// HTTP/1.1: a request counts until the head of its answer, not until the end of its body.
    EndsWithHead,
    /// HTTP/1.1: what became a tunnel is no request any more.
    ForgetsTunnels,
    /// HTTP/1.1: a request whose client or app breaks off is never taken out.
    KeepsBroken,
    /// HTTP/1.1: one that is read behind another counts then, and once more when its turn comes.
    CountsTwice,
    /// HTTP/2: a stream counts until the head of its answer.
    StreamEndsWithHead,
    /// HTTP/2: a stream that its client resets is never taken out.
    KeepsResetStreams,
}

static PLANTED: AtomicU8 = AtomicU8::new(Fault::None as u8);

/// From now on every sidecar of this process has `fault`.
pub fn plant(fault: Fault) {
    PLANTED.store(fault as u8, Ordering::SeqCst);
}

/// Whether it has.
#[must_use]
pub fn is_planted(fault: Fault) -> bool {
    PLANTED.load(Ordering::SeqCst) == fault as u8
}
