//! The status keeps its word: totals only grow, however often it is written.

use crate::api::{Phase, RestartRequestStatus, Step};
use crate::machine::{Change, fold};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

fn entries(status: &RestartRequestStatus) -> i64 {
    status.history.iter().map(|entry| entry.merged.unwrap_or(1)).sum()
}

fn change(number: usize) -> Change {
    let (phase, step) = match number % 3 {
        0 => (Phase::Restarting, Step::Surging),
        1 => (Phase::WaitingRequests, Step::Draining),
        _ => (Phase::Restarting, Step::Evicting),
    };
    Change::new(phase, step, "Next", "x".repeat(5000))
}

#[test]
fn history_is_merged_and_never_dropped() {
    let mut status = RestartRequestStatus::default();
    for number in 0..500 {
        let now = Time(Timestamp::from_second(i64::try_from(number).unwrap()).unwrap());
        let next = fold(&status, &change(number), Some(1), &now).within_bounds();
        assert_eq!(entries(&next), entries(&status) + 1);
        assert!(next.history.len() <= 64);
        assert_eq!(next.history[0].started_at, Time(Timestamp::UNIX_EPOCH), "the beginning stays");
        assert!(next.history.iter().rev().skip(1).all(|entry| entry.finished_at.is_some()), "only the last is open");
        status = next;
    }
    assert!(
        status.message.chars().count() <= 2048
            && status.history.iter().all(|entry| entry.message.chars().count() <= 512)
    );
    assert!(serde_json::to_vec(&status).unwrap().len() < 64 * 1024);
}
