//! The count against a ledger that both ends keep: requests of every kind, well-behaved and not, over both protocols at
//! once, with drains in between. `LEDGER_REQUESTS` says how many; `make soak` makes 10^7 of them.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

mod app;
mod http1;
mod http2;
mod kind;
mod run;
mod truth;

const REQUESTS: u64 = 300_000;

fn main() {
    let requests = std::env::var("LEDGER_REQUESTS").map_or(REQUESTS, |text| text.parse().expect("LEDGER_REQUESTS"));
    let wrong = run::count_against_the_truth(&run::Load { requests, ..run::Load::default() });
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("test result: ok. 1 passed; 0 failed");
}
