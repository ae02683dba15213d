//! One plan from its namespace to its verdict.
//!
//! **Invariant:** whatever becomes of a plan, its namespace goes and its processes end.

use crate::control;
use crate::judge::oracle::Known;
use crate::plan::Plan;
use crate::proxy::Proxy;
use crate::run::Run;
use crate::stall::Stall;
use crate::verdict::{self, Verdict};
use crate::world::crew::Crew;
use crate::world::lane::Lane;
use crate::world::pods::Pods;
use crate::world::space::Space;
use std::time::Instant;

/// Runs a plan in a namespace of this name.
pub async fn drive(lane: &Lane, plan: &Plan, name: String, known: &Known) -> Verdict {
    judged(lane, plan, name, known, false).await
}

/// The same, and does all kinds of harm before the verdict.
pub async fn spoiled(lane: &Lane, plan: &Plan, name: String, known: &Known) -> Verdict {
    judged(lane, plan, name, known, true).await
}

async fn judged(lane: &Lane, plan: &Plan, name: String, known: &Known, spoil: bool) -> Verdict {
    let space = match Space::create(lane.world.clone(), name.clone(), plan.path).await {
        Ok(space) => space,
        Err(error) => {
            return Verdict {
                wrong: vec![format!("the namespace was not made: {error}")],
                void: true,
                ..Verdict::default()
            };
        }
    };
    let verdict = in_space(lane, plan, &space, known, spoil).await;
    lane.world.hooks.let_go(&name);
    if let Err(error) = space.clear().await {
        eprintln!("faults: namespace {name}: {error}");
    }
    verdict
}

async fn in_space(lane: &Lane, plan: &Plan, space: &Space, known: &Known, spoil: bool) -> Verdict {
    let stall = Stall::begin();
    let (proxy, orders) = Proxy::new(lane.world.upstream.clone(), &plan.injections);
    lane.sidecars.belong_to(&proxy);
    let pods = Pods::watch(space.api());
    let mut run =
        Run { lane, plan, space, begun: Instant::now(), proxy: proxy.clone(), pods, verdict: Verdict::default() };
    let crew = match lane.vacate().await.and_then(|()| Crew::start(lane, &space.name, &proxy, orders)) {
        Ok(crew) => crew,
        Err(error) => return run.void(&error.to_string()),
    };
    let before = match run.ready().await {
        Ok(before) => before,
        Err(error) => {
            run.verdict.excuse = stall.excuse(space).await;
            run.verdict.diagnosis = verdict::diagnosis(space, &proxy, &crew).await;
            // The next plan of the lane has a run of this name.
            run.stop_load().await;
            return run.void(&format!("not ready for the plan: {error}"));
        }
    };
    let mut done = run.through(&before).await;
    if spoil && done.is_ok() {
        done = control::spoil(lane, space, &proxy, &run.pods).await;
    }
    if let Err(error) = done {
        run.verdict.wrong.push(error.to_string());
    }
    run.stop_load().await;
    run.judge(&before, known).await;
    if !run.verdict.wrong.is_empty() {
        run.verdict.excuse = stall.excuse(space).await;
        run.verdict.diagnosis = verdict::diagnosis(space, &proxy, &crew).await;
    }
    run.verdict
}
