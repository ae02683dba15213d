//! The load client finds the faults that it is there to find.
//!
//! **Invariant:** every fault is made by a real server on a real socket.

mod server;

use super::ledger::{self, Ledger};
use super::report::Report;
use super::run::Run;
use super::spec::Spec;
use crate::app::{self, App, Config};
use serde_json::Value;
use server::{Act, Seen};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Requests of a test run, at 100 per second.
const COUNT: u64 = 20;

fn spec() -> Spec {
    Spec {
        rate_per_second: 100.0,
        count: Some(COUNT),
        work_millis: Some(0),
        new_connections: 1.0,
        slow_bodies: 0.0,
        timeout_millis: 400,
        ..Spec::default()
    }
}

async fn finish(spec: Spec, address: SocketAddr, ledger: &Arc<Ledger>) -> Report {
    let run = Run::start(Spec { target: address.to_string(), ..spec }, ledger).unwrap();
    run.finished().await;
    let report = run.report();
    assert_eq!(report.sent, report.ok + report.failed, "{report:?}");
    report
}

/// The report of a run against a server that does this to its requests.
async fn against(spec: Spec, act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Report {
    let ledger = Arc::new(Ledger::default());
    let address = server::start(Arc::clone(&ledger), act).await;
    finish(spec, address, &ledger).await
}

fn count(report: &Report, class: &str) -> u64 {
    report.failures.get(class).map_or(0, |failures| failures.count)
}

/// Every fifth request suffers it: the server numbers them from 0.
fn every_fifth(fault: Act) -> impl Fn(&Seen) -> Act {
    move |seen| if seen.number % 5 == 4 { fault } else { Act::Answer }
}

#[tokio::test]
async fn the_real_service_loses_nothing() {
    let ledger = Arc::new(Ledger::default());
    let lines = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reports_to = lines.local_addr().unwrap();
    tokio::spawn(ledger::serve(lines, Arc::clone(&ledger)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app::Ledger::connect(Some(reports_to), "pod-1".into()).await;
    tokio::spawn(app::serve(listener, App::new(Config::default(), service)));

    let mix = Spec {
        rate_per_second: 200.0,
        count: Some(300),
        work_millis: Some(20),
        new_connections: 0.5,
        slow_bodies: 0.2,
        timeout_millis: 10_000,
        ..Spec::default()
    };
    let report = finish(mix, address, &ledger).await;
    assert_eq!((report.ok, report.failed, report.retried_idle), (300, 0, 0), "{report:?}");
    assert!(report.on_kept_connections > 50, "{report:?}");
    let check = serde_json::to_value(report.ledger.unwrap()).unwrap();
    assert_eq!((&check["endedByPod"]["pod-1"], &check["unknown"]), (&Value::from(300), &Value::from(0)));
}

#[tokio::test]
async fn each_fault_on_a_new_connection_is_a_failure_of_its_class() {
    for (fault, class) in [
        (Act::Reset, "reset"),
        (Act::Close, "eof"),
        (Act::Truncate, "eof"),
        (Act::Status500, "status500"),
        (Act::WrongId, "wrongId"),
        (Act::NoJson, "badBody"),
        (Act::NoHttp, "badAnswer"),
        (Act::Silence, "timeout"),
        (Act::AnswerWithoutEnd, "missingAtServer"),
        (Act::AnswerEndedTwice, "duplicate"),
    ] {
        let report = against(spec(), every_fifth(fault)).await;
        assert_eq!((report.failed, count(&report, class), report.retried_idle), (4, 4, 0), "{fault:?}: {report:?}");
        let example = &report.failures[class].examples[0];
        assert!(example.id.starts_with("load."), "{example:?}");
    }
}

#[tokio::test]
async fn a_503_with_retry_after_is_obeyed_and_counted_only_where_the_run_says_so() {
    let report = against(spec(), every_fifth(Act::TurnAway)).await;
    assert_eq!((report.failed, count(&report, "status503"), report.turned_away), (4, 4, 0), "{report:?}");
    let report = against(Spec { retry_after: true, ..spec() }, every_fifth(Act::TurnAway)).await;
    assert_eq!(report.failed, 0, "{report:?}");
    assert!(report.turned_away >= 4, "{report:?}");
    let report = against(Spec { retry_after: true, ..spec() }, |_| Act::TurnAway).await;
    assert_eq!((report.failed, report.turned_away), (COUNT, 0), "whoever never answers has lost them: {report:?}");
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = finish(spec(), address, &Arc::default()).await;
    assert_eq!((report.failed, count(&report, "refused")), (COUNT, COUNT), "{report:?}");
    assert_eq!(report.ledger.unwrap().failed_never_begun, COUNT);
}

/// The second request on every connection suffers it.
fn second_on_connection(fault: Act) -> impl Fn(&Seen) -> Act {
    move |seen| if seen.on_connection == 1 { fault } else { Act::Answer }
}

fn kept(post: f64) -> Spec {
    Spec { new_connections: 0.0, post, ..spec() }
}

#[tokio::test]
async fn an_idle_close_is_tried_again_and_counted_apart() {
    for post in [0.0, 1.0] {
        for fault in [Act::ResetUnread, Act::Reset, Act::Close] {
            let report = against(kept(post), second_on_connection(fault)).await;
            assert_eq!(report.failed, 0, "{fault:?}: {report:?}");
            assert!(report.retried_idle >= COUNT / 4, "{fault:?}: {report:?}");
        }
    }
}

#[tokio::test]
async fn a_kept_connection_closed_while_idle_fails_nothing() {
    let report = against(kept(0.5), |_| Act::AnswerAndClose).await;
    assert_eq!(report.failed, 0, "{report:?}");
}

#[tokio::test]
async fn a_loss_behind_an_idle_close_is_found_in_the_ledger() {
    let report = against(kept(0.5), second_on_connection(Act::BeginAndReset)).await;
    let lost = count(&report, "lostAfterReceipt");
    assert!(lost >= COUNT / 4, "{report:?}");
    assert_eq!((report.failed, report.retried_idle), (lost, lost), "{report:?}");
}

#[tokio::test]
async fn a_kept_connection_that_ends_later_than_a_round_trip_is_a_failure() {
    let report = against(kept(0.0), second_on_connection(Act::ResetLate)).await;
    assert!(count(&report, "reset") >= 2, "{report:?}");
    assert_eq!((report.retried_idle, report.failed), (0, count(&report, "reset")), "{report:?}");
}

#[tokio::test]
async fn a_stalled_service_does_not_slow_the_requests_down() {
    let slow = Spec { rate_per_second: 500.0, count: Some(100), timeout_millis: 5_000, ..spec() };
    let report = against(slow, |_| Act::AnswerLate).await;
    assert_eq!((report.ok, report.failed), (100, 0), "{report:?}");
    // 100 requests of 300 ms each, one after another, would be 30 s.
    assert!(report.duration_seconds < 3.0, "{report:?}");
    let latency = serde_json::to_value(&report.latency_millis).unwrap();
    assert!(latency["p50"].as_f64().unwrap() >= 300.0, "{latency}");
}

#[tokio::test]
async fn stop_waits_for_what_is_outstanding() {
    let ledger = Arc::new(Ledger::default());
    let address = server::start(Arc::clone(&ledger), |_| Act::AnswerLate).await;
    let hour = Spec { target: address.to_string(), count: None, seconds: Some(3_600), timeout_millis: 5_000, ..spec() };
    let run = Run::start(hour, &ledger).unwrap();
    while run.report().sent < 10 {
        tokio::task::yield_now().await;
    }
    run.stop();
    run.finished().await;
    let report = run.report();
    assert!(report.finished && report.sent >= 10 && report.sent < 1_000, "{report:?}");
    assert_eq!((report.ok, report.failed), (report.sent, 0), "{report:?}");
}

#[tokio::test]
async fn without_a_ledger_the_answers_alone_are_judged() {
    let report = against(Spec { ledger: false, ..spec() }, |_| Act::AnswerWithoutEnd).await;
    assert_eq!((report.ok, report.ledger.is_none()), (COUNT, true), "{report:?}");
}
