//! The ledger finds what it is there for: each bug that is planted in the count makes it complain, and of the right thing.
//!
//! Few clients, as the requests of others that the count holds a moment longer can hide one that it has lost.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

#[path = "../ledger/app.rs"]
mod app;
#[path = "../ledger/http1.rs"]
mod http1;
#[path = "../ledger/http2.rs"]
mod http2;
#[path = "../ledger/kind.rs"]
mod kind;
#[path = "../ledger/run.rs"]
mod run;
#[path = "../ledger/truth.rs"]
mod truth;

use restart_controller::sidecar::planted::{Fault, plant};
use std::time::Duration;

/// Enough for each fault to show, in the protocol that it is in.
const REQUESTS: u64 = 2_000;
const HTTP1: run::Load = load(4, 0);
const HTTP2: run::Load = load(0, 1);

/// Each fault, where it shows, and what the ledger must say of it.
const FAULTS: [(Fault, run::Load, &str); 6] = [
    (Fault::EndsWithHead, HTTP1, "counted where"),
    (Fault::ForgetsTunnels, HTTP1, "counted where"),
    (Fault::KeepsBroken, HTTP1, "in flight: "),
    (Fault::CountsTwice, HTTP1, "requests that the sidecar has counted: "),
    (Fault::StreamEndsWithHead, HTTP2, "counted where"),
    (Fault::KeepsResetStreams, HTTP2, "in flight: "),
];

const fn load(http1_clients: usize, http2_connections: usize) -> run::Load {
    run::Load { requests: REQUESTS, http1_clients, http2_connections, patience: Duration::from_millis(500) }
}

/// One test, since a fault is planted in the whole process.
#[test]
fn each_planted_fault_is_found_and_without_one_nothing_is() {
    for load in [HTTP1, HTTP2] {
        assert_eq!(run::count_against_the_truth(&load), Vec::<String>::new());
    }
    for (fault, load, complaint) in FAULTS {
        plant(fault);
        let wrong = run::count_against_the_truth(&load);
        assert!(wrong.iter().any(|what| what.contains(complaint)), "{fault:?}: {wrong:?}");
        println!("{fault:?}: {} complaints, such as {:?}", wrong.len(), wrong[0]);
    }
}
