//! The lease against every way a command can be wrong, and against time.

use super::*;
use ed25519_dalek::SigningKey;

const SECOND: Duration = Duration::from_secs(1);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn drain() -> Drain {
    Drain::new("pod-1".into(), BTreeMap::from([("k1".to_owned(), key().verifying_key())]))
}

fn command(to: &mut Drain, action: DrainAction, ttl_seconds: u32) -> DrainCommand {
    DrainCommand {
        pod_uid: to.pod_uid().into(),
        boot: to.boot().into(),
        challenge: to.challenge(Instant::now()).into(),
        action,
        ttl_seconds,
        new_requests: NewRequests::Serve,
        key_id: "k1".into(),
        signature: String::new(),
    }
}

fn obey(drain: &mut Drain, action: DrainAction, ttl_seconds: u32, now: Instant) -> Result<(), Refused> {
    let command = command(drain, action, ttl_seconds).signed(&key());
    drain.obey(&command, now)
}

#[test]
fn a_lease_cordons_until_it_runs_out() {
    let (mut drain, now) = (drain(), Instant::now());
    obey(&mut drain, DrainAction::Drain, 30, now).unwrap();
    assert!(drain.is_cordoned(now + SECOND * 29) && drain.is_draining(now + SECOND * 29));
    assert!(!drain.is_cordoned(now + SECOND * 30) && !drain.is_draining(now + SECOND * 30));
    assert_eq!(drain.lease_report(now + SECOND * 30), None);
}

#[test]
fn a_renewal_keeps_the_clock_of_the_drain_and_a_lapse_starts_it_anew() {
    let (mut drain, now) = (drain(), Instant::now());
    obey(&mut drain, DrainAction::Drain, 30, now).unwrap();
    obey(&mut drain, DrainAction::Drain, 30, now + SECOND * 10).unwrap();
    let report = drain.lease_report(now + SECOND * 12).unwrap();
    assert_eq!((report.draining_for_millis, report.remaining_millis), (12_000, 28_000));
    obey(&mut drain, DrainAction::Drain, 30, now + SECOND * 50).unwrap();
    assert_eq!(drain.lease_report(now + SECOND * 50).unwrap().draining_for_millis, 0);
}

#[test]
fn a_release_ends_the_lease_at_once() {
    let (mut drain, now) = (drain(), Instant::now());
    obey(&mut drain, DrainAction::Drain, 30, now).unwrap();
    obey(&mut drain, DrainAction::Release, 30, now).unwrap();
    assert!(!drain.is_draining(now));
    assert_eq!(drain.accepted(), 2);
}

#[test]
fn an_accepted_command_cannot_be_sent_again() {
    let (mut drain, now) = (drain(), Instant::now());
    let first = command(&mut drain, DrainAction::Drain, 30).signed(&key());
    drain.obey(&first, now).unwrap();
    obey(&mut drain, DrainAction::Release, 1, now).unwrap();
    assert_eq!(drain.obey(&first, now).unwrap_err().reason, "WrongChallenge");
    assert!(!drain.is_cordoned(now));
}

#[test]
fn every_wrong_command_is_refused_by_its_reason_and_changes_nothing() {
    let (mut drain, now) = (drain(), Instant::now());
    let right = command(&mut drain, DrainAction::Drain, 30);
    let other = SigningKey::from_bytes(&[8; 32]);
    let wrong = [
        (DrainCommand { pod_uid: "pod-2".into(), ..right.clone() }.signed(&key()), "WrongPod", 409),
        (DrainCommand { boot: "0".into(), ..right.clone() }.signed(&key()), "WrongBoot", 409),
        (DrainCommand { challenge: "0".into(), ..right.clone() }.signed(&key()), "WrongChallenge", 409),
        (DrainCommand { key_id: "k2".into(), ..right.clone() }.signed(&key()), "UnknownKey", 403),
        (right.clone().signed(&other), "BadSignature", 403),
        (right.clone(), "BadSignature", 403),
        (DrainCommand { ttl_seconds: 31, ..right.clone().signed(&key()) }, "BadSignature", 403),
        (command(&mut drain, DrainAction::Drain, 0).signed(&key()), "BadRequest", 400),
        (command(&mut drain, DrainAction::Drain, wire::MAX_TTL_SECONDS + 1).signed(&key()), "BadRequest", 400),
    ];
    for (command, reason, status) in &wrong {
        let refused = drain.obey(command, now).unwrap_err();
        assert_eq!((refused.reason, refused.status()), (*reason, *status));
    }
    assert!(!drain.is_draining(now));
    assert_eq!(drain.accepted(), 0);
    assert_eq!(drain.refused().values().sum::<u64>(), wrong.len() as u64);
    assert_eq!(drain.challenge(now), right.challenge);
}

#[test]
fn a_challenge_is_good_for_a_minute_and_another_is_shown_after_half_of_it() {
    let (mut drain, now) = (drain(), Instant::now());
    drain.challenge(now);
    let held_up = command(&mut drain, DrainAction::Drain, 30).signed(&key());
    assert_eq!(drain.obey(&held_up, now + SECOND * 60).unwrap_err().reason, "Expired", "nobody asked meanwhile");
    assert_eq!(drain.challenge(now + SECOND * 29), held_up.challenge);
    let second = drain.challenge(now + SECOND * 30).to_owned();
    assert_ne!(second, held_up.challenge);
    assert_eq!(drain.obey(&held_up, now + SECOND * 60).unwrap_err().reason, "Expired");
    assert_ne!(drain.challenge(now + SECOND * 61), second);
    let forgotten = drain.obey(&held_up, now + SECOND * 61).unwrap_err();
    assert_eq!((forgotten.reason, forgotten.status()), ("WrongChallenge", 409));
    assert!(!drain.is_cordoned(now + SECOND * 61) && drain.refused()["Expired"] == 2);
}

#[test]
fn an_earlier_challenge_is_obeyed_in_its_time_and_only_if_no_command_came_since() {
    let (mut drain, now) = (drain(), Instant::now());
    drain.challenge(now);
    let early = command(&mut drain, DrainAction::Drain, 30).signed(&key());
    let later = drain.challenge(now + SECOND * 40).to_owned();
    assert_ne!(later, early.challenge);
    drain.obey(&early, now + SECOND * 50).unwrap();
    let crossing = DrainCommand { challenge: later, ..command(&mut drain, DrainAction::Release, 1) }.signed(&key());
    assert_eq!(drain.obey(&crossing, now + SECOND * 50).unwrap_err().reason, "WrongChallenge");
}

#[test]
fn a_sidecar_that_does_not_know_its_pod_obeys_nobody() {
    let mut drain = Drain::new(String::new(), BTreeMap::from([("k1".to_owned(), key().verifying_key())]));
    let refused = obey(&mut drain, DrainAction::Drain, 30, Instant::now()).unwrap_err();
    assert_eq!(refused.reason, "WrongPod");
}

#[test]
fn a_termination_outlives_the_lease_and_counts_an_old_one() {
    let (mut drain, now) = (drain(), Instant::now());
    obey(&mut drain, DrainAction::Drain, 30, now).unwrap();
    drain.terminate(now + SECOND * 10);
    drain.terminate(now + SECOND * 20);
    assert_eq!(drain.terminating_since(), Some(now + SECOND * 10));
    assert_eq!(drain.leaving_since(), Some(now + SECOND * 2));
    assert!(drain.is_draining(now + SECOND * 60) && !drain.is_cordoned(now + SECOND * 60));
}

#[test]
fn a_termination_right_after_the_lease_began_counts_from_itself() {
    let (mut drain, now) = (drain(), Instant::now());
    obey(&mut drain, DrainAction::Drain, 30, now).unwrap();
    drain.terminate(now + SECOND);
    assert_eq!(drain.leaving_since(), Some(now + SECOND));
}

#[test]
fn two_processes_share_no_boot_id_and_no_challenge() {
    let (mut one, mut two, now) = (drain(), drain(), Instant::now());
    assert_ne!(one.boot(), two.boot());
    assert_ne!(one.challenge(now), two.challenge(now));
}
