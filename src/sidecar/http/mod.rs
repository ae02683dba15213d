//! HTTP/1.1 in `http` mode: a relay of bytes that parses no more than message boundaries.
//!
//! One task per client connection ([`connection`]) serves its requests in order: [`head`] and [`body`] find where a message
//! ends, [`exchange`] moves both directions at once, [`pool`] keeps connections to the app for at most a second, and
//! [`tunnel`] takes over after an upgrade ([`websocket`]). Bytes pass verbatim; only a draining sidecar edits the head of an
//! answer ([`close_header`]), and an offer to switch to HTTP/2 is taken out of a request ([`h2c_header`]).
//!
//! **Invariant:** no message is ever held whole, no ambiguous framing is ever forwarded, and a request counts from its
//! first byte read to the last byte of its answer written.

pub mod ahead;
pub mod answer;
pub mod body;
pub mod buffer;
pub mod close_header;
pub mod connection;
mod exchange;
pub mod h2c_header;
pub mod head;
pub mod lines;
pub mod pool;
mod response;
pub mod socket;
pub mod splice;
pub mod tunnel;
pub mod websocket;

/// What is wrong with a message; each has an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Syntax, or a framing that two parsers could read in two ways: 400.
    Bad(&'static str),
    /// More or longer header lines than we take: 431.
    TooLarge,
}
