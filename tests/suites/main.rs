//! The real sidecar before public suites, slow and greedy clients, and beside nginx and haproxy (README.md).

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

mod conformance;
mod descriptors;
mod framing;
mod idle;
mod load;
mod postgres;
mod slow;
mod smuggling;
mod support;
