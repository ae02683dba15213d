//! End to end: the operator as users install it, on a real cluster, with real pods and real traffic.
//!
//! `tests/e2e/run` boots the cluster and starts this; arguments are libtest's, a word filters scenarios by name.
//! With `E2E_NODES=3` the cluster has three nodes, and the scenarios are those about nodes.
//! Scenarios that put the machine under full load or kill the controller run alone, the others beside each other.
//!
//! **Invariant:** nothing is simulated, and nothing here reaches into the controller: what is judged is what users see.

mod codes;
mod rights;
mod scenario;
mod scenarios;
mod support;

use libtest_mimic::{Arguments, Trial};
use scenario::{Bench, Scenario};
use std::process::ExitCode;

/// How many scenarios of a group run beside each other: two under load share the machine's cores.
fn groups() -> Vec<(usize, Vec<Scenario>)> {
    vec![
        (1, scenarios::alone()),
        (2, scenarios::under_load()),
        (4, scenarios::meanwhile()),
        (6, scenarios::without_load()),
        (1, scenarios::controller_killed()),
    ]
}

/// Those that need several nodes.
fn groups_of_nodes() -> Vec<(usize, Vec<Scenario>)> {
    vec![(1, scenarios::of_nodes())]
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let unprovoked = codes::unprovoked(groups().iter().flat_map(|(_, scenarios)| scenarios));
    if !unprovoked.is_empty() {
        eprintln!("e2e: no scenario provokes {}: name one in codes.rs", unprovoked.join(", "));
        return ExitCode::FAILURE;
    }
    let bench = match Bench::new() {
        Ok(bench) => bench,
        Err(error) => {
            eprintln!("e2e: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed) = (0, 0);
    let several = support::nodes::are_several();
    for (threads, group) in if several { groups_of_nodes() } else { groups() } {
        let trials: Vec<Trial> = group.into_iter().map(|scenario| scenario.trial(&bench)).collect();
        let arguments = Arguments {
            test_threads: Some(arguments.test_threads.map_or(threads, |most| most.min(threads))),
            ..arguments.clone()
        };
        if trials.iter().all(|trial| arguments.is_filtered_out(trial)) {
            continue;
        }
        let conclusion = libtest_mimic::run(&arguments, trials);
        passed += conclusion.num_passed;
        failed += conclusion.num_failed;
    }
    if let Some(trial) = rights::trial(!several && arguments.filter.is_none() && arguments.skip.is_empty()) {
        let conclusion = libtest_mimic::run(&Arguments { filter: None, ..arguments.clone() }, vec![trial]);
        passed += conclusion.num_passed;
        failed += conclusion.num_failed;
    }
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    println!("\n{}\n{passed} passed, {failed} failed", bench.figures());
    ExitCode::from(u8::from(failed > 0))
}
