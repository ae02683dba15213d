//! HTTP/2 without TLS (h2c by prior knowledge), gRPC included, in `http` mode.
//!
//! A client connection whose first bytes are the preface comes here from [`super::http`]. [`connection`] takes its streams
//! and says GOAWAY when a drain begins; [`stream`] relays one request and its answer, [`pump`] one body; [`app`] is the
//! connection to the app. The protocol engine is the `h2` crate itself, the one beneath hyper: hyper's layer above it keeps
//! the code of a reset and interim answers to itself. [`ledger`] counts by the [`frames`] on the client's socket
//! ([`watched`]), and [`budget`] is what a client may send that asks for nothing.
//!
//! **Invariant:** no body is ever held whole: what one side has not taken fills a window and stops the other.

pub mod app;
pub mod budget;
pub mod connection;
pub mod frames;
pub mod ledger;
mod pump;
mod stream;
pub mod watched;

use super::quota;
use std::time::Duration;

/// Longest list of header fields, in bytes as RFC 9113 6.5.2 counts them: as long as a head of HTTP/1.1 may be.
pub const MAX_HEADER_LIST: u32 = 64 * 1024;

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at a time.
    pub streams: u32,
    /// Bytes of one body, in one direction, that may be on their way through: the window of a stream.
    pub window: u32,
    /// How long a body may wait for its receiver to take any of it.
    pub stall: Duration,
}

/// What a stream is charged, in bytes, for as long as it is in flight: what both sides may send of it before anything is
/// passed on, and what may wait to be written to the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamCosts {
    /// A request without a body.
    pub bodiless: u64,
    /// One with a body.
    pub with_body: u64,
}

impl Limits {
    /// What a stream is charged.
    #[must_use]
    pub fn stream_costs(&self) -> StreamCosts {
        let bodiless = quota::STREAM + u64::from(self.window) + u64::from(self.send_buffer());
        StreamCosts { bodiless, with_body: bodiless + u64::from(self.window) + u64::from(self.send_buffer()) }
    }

    /// Most bytes of one body that wait to be written.
    #[must_use]
    pub fn send_buffer(&self) -> u32 {
        const MOST: u32 = 16 * 1024;
        self.window.min(MOST)
    }

    /// The window of a connection: all its streams may stand still, and the next one still flows.
    #[must_use]
    pub fn connection_window(&self) -> u32 {
        const MOST: u32 = (1 << 31) - 1;
        self.streams.saturating_add(1).saturating_mul(self.window).min(MOST)
    }
}
