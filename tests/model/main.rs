//! The exhaustive search over the machine: every state of a small Kubernetes, every promise in each of them.
//!
//! `cargo test --profile model --test model` (optimised; without that it takes minutes). A broken promise prints the
//! shortest path that breaks it, disturbances marked with `!`. `UPDATE=1` rewrites the two golden files.
//!
//! **Invariant:** the machine, `fold` and `cursor` are the real ones; only Kubernetes is small.

mod checks;
mod disturbances;
mod effects;
mod effects_on_pods;
mod endings;
mod environment;
mod failures;
mod ill;
mod meanwhile;
mod observe;
mod planted;
mod pod;
mod properties;
mod scenario;
mod scenarios;
mod search;
mod shown;
mod states;
mod status;
mod steps;
mod transitions;
mod world;

use checks::Promise;
use restart_controller::machine;
use search::{Report, Search};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

/// All scenarios, searched once for all tests.
static REPORTS: LazyLock<Vec<Report>> = LazyLock::new(|| {
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let chosen: Vec<_> = scenarios::all().into_iter().filter(|scenario| scenario.name.contains(&wanted)).collect();
    let (next, reports) = (AtomicUsize::new(0), Mutex::new(vec![]));
    let work = || {
        while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = searched(scenario);
            reports.lock().expect("no search panics").push(report);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    reports.into_inner().expect("no search panics")
});

fn searched(scenario: &scenario::Scenario) -> Report {
    let started = std::time::Instant::now();
    let report = Search::run(scenario, machine::plan);
    println!(
        "{}, {} disturbances: {} states, {} moves, at most {} passes, {:.1} s",
        scenario.name,
        scenario.budget,
        report.states,
        report.moves,
        report.longest,
        started.elapsed().as_secs_f64()
    );
    report
}

fn kept(promise: Promise) {
    let broken: Vec<&String> = REPORTS.iter().filter_map(|report| report.broken.get(&promise)).collect();
    if let Some(first) = broken.first() {
        let scenarios: Vec<&str> = broken.iter().map(|path| path.lines().next().unwrap_or_default()).collect();
        panic!("{first}\nbroken in:\n{}", scenarios.join("\n"));
    }
}

macro_rules! promises {
    ($($test:ident: $promise:ident;)*) => {
        $(#[test]
        fn $test() {
            kept(Promise::$promise);
        })*
    };
}

promises! {
    i1_no_cordon_takes_the_last_endpoint_or_the_budget: LastEndpointAndBudget;
    i2_only_drained_overdue_forced_or_terminating_pods_go: OnlyDrainedPodsGo;
    i3_without_the_controller_every_pod_comes_back: WithoutUsPodsComeBack;
    i4_every_effect_is_recorded_before: RecordedFirst;
    i5_one_promotion_one_restore_one_eviction: OncePerRun;
    i6_only_legal_moves_and_the_end_is_the_end: LegalMoves;
    i7_from_every_state_a_calm_way_ends: EveryRunEnds;
    i8_restored_means_restored: RestoredMeansRestored;
    i9_what_others_wrote_stays: OthersEditsStay;
    i10_a_finalizer_stays_while_something_is_outstanding: FinalizerWhileOutstanding;
    i13_only_recorded_pods_are_touched: OnlyRecordedPods;
    completed_means_that_every_planned_pod_was_replaced: CompletedMeansReplaced;
    putting_back_costs_no_old_pod: OldPodsSurvivePuttingBack;
    no_old_pod_stops_when_the_first_replacement_fails_in_surge: OldPodsStay;
    every_effect_may_repeat: EffectsRepeat;
    every_hook_runs_once: HooksOnce;
    one_run_at_a_time: OneRun;
    the_highest_ordinal_goes_first: HighestFirst;
}

/// Whatever fails, and whatever crashes meanwhile: everything is put back, as long as the cluster lets it.
#[test]
fn every_failure_unwinds() {
    for scenario in failures::failing() {
        let report = Search::run(&scenario, machine::plan);
        assert!(report.broken.is_empty(), "{}", report.broken.values().next().expect("one is broken"));
        let left: Vec<&String> = report.ends.iter().filter(|end| end.contains("not restored")).collect();
        assert!(left.is_empty(), "{}: {left:?}", scenario.name);
    }
}

/// Recovery that is broken off and begun again ends as it ends in one go.
#[test]
fn unwind_may_repeat() {
    for scenario in failures::unwinding() {
        let once = Search::run(&scenario::Scenario { budget: 0, ..scenario.clone() }, machine::plan);
        let again = Search::run(&scenario, machine::plan);
        assert!(again.broken.is_empty(), "{}", again.broken.values().next().expect("one is broken"));
        assert_eq!(once.ends, again.ends, "{}", scenario.name);
    }
}

/// All searches together see every transition that the golden file lists, and no other.
#[test]
fn the_transitions_are_those_of_the_golden_file() {
    let seen: BTreeSet<_> = REPORTS.iter().flat_map(|report| report.transitions.iter().copied()).collect();
    transitions::golden("tests/model/transitions.golden", &transitions::list(&seen));
    transitions::golden("docs/states.md", &transitions::diagram(&seen));
}
