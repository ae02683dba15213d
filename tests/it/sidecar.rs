//! The sidecar on real sockets: a raw client, the relay, and a raw app, all on loopback.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

mod count;
mod drain;
mod framing;
mod harness;
mod process;
mod relay;
mod streaming;
mod termination;
mod tunnel;
