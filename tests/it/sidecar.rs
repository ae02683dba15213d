//! The sidecar on real sockets: a raw client, the relay, and a raw app, all on loopback.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

mod admin_flood;
mod authentication;
mod count;
mod drain;
mod edge;
mod empty_lines;
mod footprint;
mod forwarded;
mod framing;
mod harness;
mod http2;
mod http2_abuse;
mod http2_count;
mod http2_drain;
mod http2_harness;
mod http2_stream_limit;
mod idle;
mod ignored;
mod last_endpoint;
mod observe;
mod own_hook;
mod process;
mod proxy_protocol;
mod relay;
mod routes;
mod spare_ports;
mod splice;
mod stale;
mod stall;
mod streaming;
mod tcp;
mod termination;
mod threads;
mod tls;
mod tunnel;
mod unix_socket;
mod websocket;
