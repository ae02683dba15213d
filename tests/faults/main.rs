//! The fault matrix: the real controller before a real API server, with a proxy between them that does what goes wrong in the
//! world, and real pods under load behind it.
//!
//! `tests/faults/run` boots a cluster and starts this. `CONTROLLER_BEFORE=FILE` names the program of the version before: the
//! processes of a plan are then of both in turn; `CLOCKS='+1h -1h'` sets the clock of each process wrong, in turn. `PLANS=N` takes an even sample, `PLAN='...'` replays one or, with `;`
//! between them, several; `SKIP=N` leaves out as many of the sample, which an earlier sweep has run; `TIME=N` begins no plan after so many seconds; `UPDATE=1` writes down the undisturbed runs, to which all others are compared; `LANES=N` run beside each other.
//!
//! Before the first plan a control shows that the judge sees every kind of harm ([`control`]).
//!
//! **Invariant:** the last line is the result: `N plans, N violations, N of N requests failed`.

mod control;
mod drive;
mod end;
mod fault;
mod judge;
mod neighbours;
mod path;
mod plan;
mod proxy;
mod result;
mod run;
mod stall;
mod story;
#[path = "../e2e/support/mod.rs"]
#[allow(dead_code, reason = "the end-to-end tests use the rest")]
mod support;
mod sweep;
mod verdict;
mod window;
mod world;

use judge::oracle::{self, Known};
use plan::Plan;
use result::Tally;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::Result;
use tokio::signal::unix::{SignalKind, signal};
use verdict::Verdict;
use world::World;
use world::lane::Lane;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let done = tokio::select! { done = faults() => done, why = asked_to_end() => Err(why.into()) };
    match done {
        Ok(tally) => {
            println!("{}", tally.summary());
            ExitCode::from(u8::from(!tally.is_good()))
        }
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Processes end with what started them, which a signal alone would not end in order.
async fn asked_to_end() -> &'static str {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! { _ = terminate.recv() => "SIGTERM came", _ = tokio::signal::ctrl_c() => "SIGINT came" }
}

async fn faults() -> Result<Tally> {
    let known = oracle::known()?;
    let updates = variable("UPDATE").is_some();
    let plans = plans(&known, updates)?;
    let lanes = number("LANES")?.unwrap_or(3);
    let until = number("TIME")?.map(|seconds| Instant::now() + Duration::from_secs(seconds as u64));
    let world = Arc::new(World::begin().await?);
    let (queue, tally) = (Mutex::new(plans.into_iter().enumerate().collect()), Mutex::new(Tally::begin()));
    let known = if updates { Known::default() } else { known };
    let mut opened = vec![];
    for number in 0..u32::try_from(lanes)? {
        opened.push(Lane::open(world.clone(), number).await?);
    }
    if !updates {
        control::control(opened.first().ok_or("LANES=0 runs no plan")?, &known).await?;
    }
    futures::future::join_all(opened.iter().map(|lane| through(lane, &queue, &known, &tally, until))).await;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    if updates {
        let written = oracle::known()?.into_iter().chain(tally.undisturbed()).collect();
        oracle::write(&written)?;
    }
    Ok(tally)
}

/// The plans that were asked for.
fn plans(known: &Known, updates: bool) -> Result<Vec<Plan>> {
    if let Some(lines) = variable("PLAN") {
        return parsed(&lines);
    }
    let undisturbed = sweep::undisturbed();
    if updates {
        return Ok(undisturbed);
    }
    let all = sweep::all(known);
    let (count, skipped) = (number("PLANS")?, number("SKIP")?.unwrap_or_default());
    let found = regressions()?;
    Ok(match count {
        Some(count) => found.into_iter().chain(sweep::sample(&all, count).into_iter().skip(skipped)).collect(),
        None => found.into_iter().chain(undisturbed).chain(sweep::sample(&all, all.len())).collect(),
    })
}

/// What has been found before, and has to stay mended.
fn regressions() -> Result<Vec<Plan>> {
    parsed(&std::fs::read_to_string(support::cluster::path("tests/faults/regressions"))?)
}

fn parsed(lines: &str) -> Result<Vec<Plan>> {
    let plans = lines.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(';')).map(str::trim);
    Ok(plans.filter(|line| !line.is_empty()).map(str::parse).collect::<std::result::Result<_, String>>()?)
}

/// How often a plan is run at most.
const ATTEMPTS: u32 = 3;

type Queue = Mutex<VecDeque<(usize, Plan)>>;

async fn through(lane: &Lane, queue: &Queue, known: &Known, tally: &Mutex<Tally>, until: Option<Instant>) {
    while until.is_none_or(|until| Instant::now() < until) {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((index, plan)) = next else { return };
        let verdict = judged(lane, index, &plan, known).await;
        tally.lock().unwrap_or_else(PoisonError::into_inner).add(index, &plan, verdict);
    }
}

/// A plan during which the machine stood still is run again: whatever was lost then was lost by the machine.
async fn judged(lane: &Lane, index: usize, plan: &Plan, known: &Known) -> Verdict {
    let mut attempt = 1;
    loop {
        let name = format!("faults-{}-{index}-{attempt}", std::process::id());
        let verdict = drive::drive(lane, plan, name, known).await;
        let Some(excuse) = verdict.excuse.clone().filter(|_| !verdict.wrong.is_empty() && attempt < ATTEMPTS) else {
            return verdict;
        };
        println!("again {plan}: {excuse}");
        verdict.wrong.iter().for_each(|wrong| println!("       {wrong}"));
        attempt += 1;
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Result<Option<usize>> {
    variable(name).map(|value| value.parse().map_err(|error| format!("{name}={value}: {error}").into())).transpose()
}
