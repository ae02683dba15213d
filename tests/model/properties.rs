//! Random walks with 4 to 50 pods: too many states for a search, the same small Kubernetes, machine and promises.
//!
//! A walk is a function of its scenario and its seed: both are printed when it fails, and kept in
//! `properties.regressions`. `WALKS=1` (with `--nocapture`) tells how each one ended, `PROPTEST_CASES` how many there are.
//!
//! **Invariant:** every move is fair: what can happen happens sooner or later, so that a walk which does not end is a fault.

use crate::checks::Broken;
use crate::disturbances::disturbed;
use crate::environment::{calm_around, leases_end, of_pod, time};
use crate::meanwhile::AT_RANDOM;
use crate::pod::{Illness, Lease, Pod};
use crate::scenario::{HookPlan, Kind, Pdb, Scenario};
use crate::scenarios::SURGE;
use crate::search::Planner;
use crate::shown::{end, shown};
use crate::states;
use crate::steps::{Kind as Move, Successor, awake, controller, sleepers};
use crate::world::{Holder, Workload, World};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use restart_controller::api::{Phase, Step, StrategyType, TimeoutPolicy};
use restart_controller::machine::{Decision, Observed, plan};
use std::collections::BTreeSet;

/// `SplitMix64`: the walk's dice.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((value ^ value >> 31) % sides.max(1) as u64).expect("smaller than sides")
    }

    fn pick<T>(&mut self, mut from: Vec<T>) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let at = self.roll(from.len());
        Some(from.swap_remove(at))
    }
}

/// One walk; what it has done last is shown when a promise breaks.
struct Walk<'a> {
    scenario: &'a Scenario,
    planner: Planner,
    world: World,
    dice: Dice,
    /// Moves between two disturbances, about.
    calmness: usize,
    last: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(scenario: &'a Scenario, planner: Planner, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let calmness = 20 << dice.roll(5);
        Self { scenario, planner, world: World::start(scenario).canonical(), dice, calmness, last: vec![] }
    }

    /// Until the end; far more moves than any run needs are too many.
    fn run(mut self) -> Result<(), String> {
        let most = 4_000 + 600 * usize::from(self.scenario.pods);
        for _ in 0..most {
            self.holds(states::state(&self.world, self.scenario))?;
            self.holds(states::without_us(&self.world, self.scenario))?;
            if self.world.ended() && (self.world.budget == 0 || self.dice.roll(4) > 0) {
                return self.end();
            }
            self.step()?;
        }
        Err(self.report("the run does not end"))
    }

    fn step(&mut self) -> Result<(), String> {
        if self.world.budget > 0 && self.dice.roll(self.calmness) == 0 && self.disturb() {
            return Ok(());
        }
        if !awake(&self.world) && self.dice.roll(20) == 0 {
            let mut late = vec![];
            sleepers(&self.world, self.scenario, &mut late);
            if let Some(successor) = self.dice.pick(late) {
                return self.go(successor);
            }
        }
        let ours_first = self.dice.roll(2) == 0;
        let done = ours_first && self.pass()? || self.calm()? || !ours_first && self.pass()?;
        if done || self.world.ended() {
            return Ok(());
        }
        let Some((event, next)) = time(&self.world) else { return Err(self.report("nothing can happen any more")) };
        self.last.push(format!("{event:?}"));
        self.world = next.canonical();
        Ok(())
    }

    /// One kind of disturbance after the other is as likely, however many pods it may meet.
    fn disturb(&mut self) -> bool {
        let kind = &AT_RANDOM[self.dice.roll(AT_RANDOM.len())];
        let scenario = Scenario { disturbances: std::slice::from_ref(kind), ..self.scenario.clone() };
        let Some((event, next)) = self.dice.pick(disturbed(&self.world, &scenario)) else { return false };
        self.last.push(format!("! {event:?}"));
        self.world = next.canonical();
        true
    }

    /// A pass of the controller, seldom one that crashes or falls asleep; false: nothing to do.
    fn pass(&mut self) -> Result<bool, String> {
        let mut all = vec![];
        controller(&self.world, self.scenario, self.planner, &mut BTreeSet::new(), &mut all);
        let (ours, other): (Vec<Successor>, Vec<Successor>) = all.into_iter().partition(|one| one.kind == Move::Ours);
        let broken = other.iter().position(|one| !one.broken.is_empty());
        let chosen = if broken.is_some() || self.dice.roll(60) == 0 { self.dice.pick(other) } else { None };
        match chosen.or_else(|| ours.into_iter().next()) {
            Some(successor) => self.go(successor).map(|()| true),
            None => Ok(false),
        }
    }

    fn go(&mut self, successor: Successor) -> Result<(), String> {
        self.last.push(successor.label.to_string());
        self.holds(successor.broken)?;
        self.world = successor.world;
        Ok(())
    }

    /// Something that happens by itself, in the workload or to a pod; false: nothing does.
    fn calm(&mut self) -> Result<bool, String> {
        let mut moves = vec![];
        if self.dice.roll(3) == 0 {
            moves = calm_around(&self.world, self.scenario);
        }
        let (count, first) = (self.world.pods.len(), self.dice.roll(self.world.pods.len()));
        for index in (0..count).map(|index| (first + index) % count) {
            if !moves.is_empty() {
                break;
            }
            moves = of_pod(&self.world, self.scenario, index);
        }
        if moves.is_empty() {
            moves = calm_around(&self.world, self.scenario);
        }
        let Some((event, next)) = self.dice.pick(moves) else { return Ok(false) };
        self.last.push(format!("{event:?}"));
        self.holds(states::moved(&self.world, event))?;
        self.world = next.canonical();
        Ok(true)
    }

    /// The promises of the end, once the cluster has come to rest.
    fn end(mut self) -> Result<(), String> {
        if std::env::var_os("WALKS").is_some() {
            println!("{} pods, {} moves: {}", self.scenario.pods, self.last.len(), end(&self.world));
        }
        let status = self.world.status;
        for _ in 0..20_000 {
            if self.calm()? || !self.world.ended() && self.pass()? {
                continue;
            }
            let Some((_, next)) = leases_end(&self.world) else { break };
            self.world = next.canonical();
        }
        let world = &self.world;
        let known = status.is_none_or(|status| status.phase.is_terminal() && status.step == Step::Finished);
        let over = world.gone || world.namespace_terminating || known;
        let free = world.holder != Holder::Ours || world.gone || world.namespace_terminating;
        let leased = world.pods.iter().any(|pod| pod.lease != Lease::None && !pod.terminating);
        let end = status.and_then(|status| status.outcome);
        let whole = end.is_some_and(|end| end.not_restored.is_none()) && world.workload == Workload::Same;
        let detached = whole && world.pods.iter().any(Pod::detached) && !world.excused;
        let left = |pod: &Pod| pod.listed() && !(pod.terminating && pod.illness == Illness::Lost);
        let old = end.is_some_and(|end| end.result == Phase::Completed) && world.pods.iter().any(left);
        let problems = [
            (!over, "it ended in no terminal phase"),
            (!free, "the lock is still held"),
            (world.finalizer && !world.gone, "the finalizer is still there"),
            (leased, "a pod is still cordoned"),
            (detached, "a pod is still detached"),
            (old && world.workload == Workload::Same && !world.triggered, "Completed, and an old pod is left"),
        ];
        match problems.into_iter().find(|(broken, _)| *broken) {
            Some((_, problem)) => Err(self.report(problem)),
            None => Ok(()),
        }
    }

    fn holds(&self, broken: Vec<Broken>) -> Result<(), String> {
        match broken.into_iter().next() {
            Some((promise, text)) => Err(self.report(&format!("{promise:?} is broken: {text}"))),
            None => Ok(()),
        }
    }

    fn report(&self, problem: &str) -> String {
        let from = self.last.len().saturating_sub(60);
        format!("{problem}, after {} moves\n{}\n{}", self.last.len(), self.last[from..].join("\n"), shown(&self.world))
    }
}

fn hooks() -> impl proptest::strategy::Strategy<Value = Option<HookPlan>> {
    let plan = |(job, ignore, fails)| HookPlan { job, ignore, fails };
    prop_oneof![3 => Just(None), 2 => (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3)).prop_map(plan).prop_map(Some)]
}

fn kinds() -> impl proptest::strategy::Strategy<Value = (Kind, StrategyType)> {
    prop_oneof![
        4 => Just((Kind::Deployment, StrategyType::Surge)),
        2 => Just((Kind::Deployment, StrategyType::Rolling)),
        2 => Just((Kind::StatefulSet { ordered: true }, StrategyType::Rolling)),
        1 => Just((Kind::StatefulSet { ordered: false }, StrategyType::Rolling)),
    ]
}

fn budgets() -> impl proptest::strategy::Strategy<Value = Option<Pdb>> {
    let pdb = |(max_unavailable, always_allow)| Pdb { max_unavailable, always_allow };
    prop_oneof![1 => Just(None), 2 => (0u8..4, any::<bool>()).prop_map(pdb).prop_map(Some)]
}

fn scenarios() -> impl proptest::strategy::Strategy<Value = Scenario> {
    let workload = (4u8..=50, kinds(), prop_oneof![3 => 1usize..=4, 1 => 5usize..=50], budgets());
    let often = || prop::bool::weighted(0.9);
    let seldom = || prop::bool::weighted(0.2);
    let request = (hooks(), hooks(), seldom(), seldom(), seldom(), seldom(), seldom());
    let around = (often(), seldom(), any::<bool>(), often(), prop::bool::weighted(0.15), seldom(), often(), 0u8..10);
    (workload, request, around).prop_map(|(workload, request, around)| {
        let (pods, (kind, strategy), max_parallel, pdb) = workload;
        let (pre, post, force, proceed, allow_disruption, queue, ttl) = request;
        let (service, second, from, known_good, bad, incurable, reload, budget) = around;
        Scenario {
            name: "a random walk",
            kind,
            strategy,
            max_parallel,
            pods,
            queued: queue,
            queue,
            ttl,
            pre,
            post,
            force,
            allow_disruption,
            reload,
            on_timeout: if proceed { TimeoutPolicy::Proceed } else { TimeoutPolicy::Fail },
            pdb,
            service,
            second: second && service,
            from: from && reload,
            known_good,
            bad,
            incurable,
            budget,
            disturbances: AT_RANDOM,
            ..SURGE
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        max_shrink_iters: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/model/properties.regressions"))),
        ..ProptestConfig::default()
    })]

    /// Whatever happens meanwhile: every promise holds in every state, and every run ends as it should.
    #[test]
    fn with_many_pods_every_promise_holds_and_every_run_ends(scenario in scenarios(), seed in any::<u64>()) {
        let ended = Walk::new(&scenario, plan, seed).run();
        prop_assert!(ended.is_ok(), "{}", ended.expect_err("a problem"));
    }
}

/// Walks that find nothing prove nothing unless they find this.
#[test]
fn walks_with_many_pods_catch_a_planted_bug() {
    fn blind(observed: &Observed) -> Decision {
        let mut seen = observed.clone();
        seen.pods.iter_mut().for_each(|pod| pod.last_endpoint = false);
        plan(&seen)
    }
    let scenario = Scenario {
        name: "a planted bug and many pods",
        strategy: StrategyType::Rolling,
        pods: 20,
        max_parallel: 20,
        budget: 0,
        ..SURGE
    };
    let found: Vec<String> = (0..5).filter_map(|seed| Walk::new(&scenario, blind, seed).run().err()).collect();
    assert!(found.iter().any(|problem| problem.contains("LastEndpointAndBudget")), "not caught: {found:?}");
    let clean: Vec<String> = (0..5).filter_map(|seed| Walk::new(&scenario, plan, seed).run().err()).collect();
    assert!(clean.is_empty(), "{}", clean.join("\n"));
}
