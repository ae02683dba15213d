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

const LOAD: run::Load =
    run::Load { requests: 2_000, http1_clients: 4, http2_connections: 1, patience: Duration::from_millis(500) };

/// Each fault, and what the ledger must say of it.
const FAULTS: [(Fault, &str); 6] = [
    (Fault::EndsWithHead, "counted where"),
    (Fault::ForgetsTunnels, "counted where"),
    (Fault::KeepsBroken, "in flight: "),
    (Fault::CountsTwice, "requests that the sidecar has counted: "),
    (Fault::StreamEndsWithHead, "counted where"),
    (Fault::KeepsResetStreams, "in flight: "),
];

/// One test, since a fault is planted in the whole process.
#[test]
fn each_planted_fault_is_found_and_without_one_nothing_is() {
    assert_eq!(run::count_against_the_truth(&LOAD), Vec::<String>::new());
    for (fault, complaint) in FAULTS {
        plant(fault);
        let wrong = run::count_against_the_truth(&LOAD);
        assert!(wrong.iter().any(|what| what.contains(complaint)), "{fault:?}: {wrong:?}");
        println!("{fault:?}: {} complaints, such as {:?}", wrong.len(), wrong[0]);
    }
}
