//! The sidecar on real sockets: a raw client, the relay, and a raw app, all on loopback.

mod count;
mod drain;
mod framing;
mod harness;
mod process;
mod relay;
mod streaming;
mod termination;
mod tunnel;
