//! What disturbs all calls for a while.
//!
//! **Invariant:** a window is about reads, watches or sidecars, or about everything; writes are disturbed one by one.

use std::time::Duration;

/// What disturbs more than one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// No call to the API server is answered.
    BlackHole,
    /// Every read is answered with this status.
    Reads(u16),
    /// Every read ends with a reset.
    ReadsReset,
    /// Every read is answered with bytes that are no JSON.
    ReadsGarbage,
    /// Every read is answered as the API server did three seconds before.
    Stale,
    /// Events of watches come five seconds late.
    WatchLate,
    /// Events of watches do not come.
    WatchDrop,
    /// Events of watches come twice.
    WatchTwice,
    /// Every open watch ends with 410 Gone.
    WatchGone,
    /// Every open watch breaks off.
    WatchCut,
    /// Every open watch has a line that is no JSON.
    WatchGarbage,
    /// No sidecar answers.
    SidecarsHole,
    /// Every call to a sidecar ends with a reset.
    SidecarsReset,
    /// Every sidecar answers 500.
    SidecarsStatus,
    /// Every sidecar answers with bytes that are no JSON.
    SidecarsGarbage,
}

/// What is done to every read while a window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// It is answered with this status.
    Status(u16),
    /// It ends with a reset.
    Reset,
    /// It is answered with bytes that are no JSON.
    Garbage,
    /// It is answered as the API server did before.
    Stale,
}

impl Window {
    /// What it does to reads; nothing if it is about something else.
    pub fn read_fault(self) -> Option<ReadFault> {
        match self {
            Self::Reads(status) => Some(ReadFault::Status(status)),
            Self::ReadsReset => Some(ReadFault::Reset),
            Self::ReadsGarbage => Some(ReadFault::Garbage),
            Self::Stale => Some(ReadFault::Stale),
            Self::BlackHole
            | Self::WatchLate
            | Self::WatchDrop
            | Self::WatchTwice
            | Self::WatchGone
            | Self::WatchCut
            | Self::WatchGarbage
            | Self::SidecarsHole
            | Self::SidecarsReset
            | Self::SidecarsStatus
            | Self::SidecarsGarbage => None,
        }
    }

    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::BlackHole,
        Self::Reads(429),
        Self::Reads(500),
        Self::Reads(503),
        Self::Reads(504),
        Self::ReadsReset,
        Self::ReadsGarbage,
        Self::Stale,
        Self::WatchLate,
        Self::WatchDrop,
        Self::WatchTwice,
        Self::WatchGone,
        Self::WatchCut,
        Self::WatchGarbage,
        Self::SidecarsHole,
        Self::SidecarsReset,
        Self::SidecarsStatus,
        Self::SidecarsGarbage,
    ];

    /// How long it lasts.
    pub fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Self::BlackHole | Self::SidecarsHole | Self::WatchDrop => 15,
            Self::WatchLate | Self::WatchTwice => 30,
            Self::Stale => 8,
            Self::Reads(_)
            | Self::ReadsReset
            | Self::ReadsGarbage
            | Self::SidecarsReset
            | Self::SidecarsStatus
            | Self::SidecarsGarbage => 4,
            Self::WatchGone | Self::WatchCut | Self::WatchGarbage => 0,
        })
    }

    /// Its name in a plan.
    pub fn name(self) -> String {
        match self {
            Self::BlackHole => "black-hole",
            Self::Reads(status) => return format!("reads-{status}"),
            Self::ReadsReset => "reads-reset",
            Self::ReadsGarbage => "reads-garbage",
            Self::Stale => "stale",
            Self::WatchLate => "watch-late",
            Self::WatchDrop => "watch-drop",
            Self::WatchTwice => "watch-twice",
            Self::WatchGone => "watch-410",
            Self::WatchCut => "watch-cut",
            Self::WatchGarbage => "watch-garbage",
            Self::SidecarsHole => "sidecars-black-hole",
            Self::SidecarsReset => "sidecars-reset",
            Self::SidecarsStatus => "sidecars-500",
            Self::SidecarsGarbage => "sidecars-garbage",
        }
        .to_owned()
    }
}
