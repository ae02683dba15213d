//! Everything of the sidecar that parses bytes, fed with mutated seeds for a bounded time (README of tests/suites).
//!
//! Each target runs for `FUZZ_SECONDS` (1.5 by default) from a seed that it prints; `FUZZ_SEED` repeats a run. What fails is shown
//! with escapes, to be added to the cases that are the corpus.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

#[allow(dead_code, reason = "only the bytes of its cases are used here")]
#[path = "../suites/framing/cases.rs"]
mod cases;
mod frames;
mod http;
mod mutate;
#[path = "../suites/framing/reader.rs"]
mod reader;
mod tls;
mod wire;

use mutate::Source;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Feeds `target` with mutations of `seeds` until its time is over.
fn fuzz(name: &str, seeds: &[Vec<u8>], words: &[&[u8]], target: impl Fn(&[u8], &mut Source)) {
    let seconds = std::env::var("FUZZ_SECONDS").map_or(1.5, |text| text.parse().expect("FUZZ_SECONDS is a number"));
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let default = u64::try_from(clock % u128::from(u64::MAX)).unwrap();
    let seed = std::env::var("FUZZ_SEED").map_or(default, |text| text.parse().expect("FUZZ_SEED is a number"));
    let mut source = Source::new(seed);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut runs = 0_u64;
    while runs < seeds.len() as u64 || Instant::now() < end {
        // Each seed as it is, then mutations.
        let input = match seeds.get(usize::try_from(runs).unwrap_or(usize::MAX)) {
            Some(seed) => seed.clone(),
            None => source.mutation(seeds, words),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input, &mut source)));
        assert!(outcome.is_ok(), "{name}, FUZZ_SEED={seed}, run {runs}: \"{}\"", input.escape_ascii());
        runs += 1;
    }
    println!("fuzz {name}: {runs} inputs, FUZZ_SEED={seed}");
}
