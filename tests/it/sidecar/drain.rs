//! The drain lease over the admin port, and what it does to traffic.

use super::harness::{GET, OK, World};
use ed25519_dalek::SigningKey;
use restart_controller::wire::{self, DrainAction, DrainCommand, NewRequests, Refusal};
use std::time::Duration;

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

pub async fn world() -> World {
    let trusted = wire::format_public_key("k1", &key().verifying_key());
    World::with(&["--trusted-key", &trusted]).await
}

async fn command(world: &World, action: DrainAction, ttl_seconds: u32, new_requests: NewRequests) -> DrainCommand {
    let report = world.report().await;
    let (pod_uid, boot, challenge) = (report.pod_uid, report.boot, report.challenge);
    DrainCommand {
        pod_uid,
        boot,
        challenge,
        action,
        ttl_seconds,
        new_requests,
        key_id: "k1".into(),
        signature: String::new(),
    }
}

async fn post(world: &World, command: &DrainCommand) -> (u16, String) {
    world.admin("POST", wire::DRAIN_PATH, &serde_json::to_vec(command).unwrap()).await
}

pub async fn lease(world: &World, ttl_seconds: u32, new_requests: NewRequests) {
    let command = command(world, DrainAction::Drain, ttl_seconds, new_requests).await.signed(&key());
    let (status, body) = post(world, &command).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_lease_makes_the_pod_unready_until_it_runs_out() {
    let world = world().await;
    assert_eq!(world.get("/readyz").await.0, 200);
    lease(&world, 1, NewRequests::Serve).await;
    let report = world.report().await;
    let in_force = report.lease.expect("a lease");
    assert!(in_force.remaining_millis <= 1_000 && in_force.new_requests == NewRequests::Serve);
    assert_eq!(world.get("/readyz").await.0, 503);
    world.becomes("the lease ran out", || !world.sidecar.shared.is_draining()).await;
    assert_eq!(world.get("/readyz").await.0, 200);
    assert_eq!(world.report().await.lease, None);
}

#[tokio::test]
async fn a_release_brings_the_pod_back_at_once() {
    let world = world().await;
    lease(&world, 300, NewRequests::Serve).await;
    let release = command(&world, DrainAction::Release, 1, NewRequests::Serve).await.signed(&key());
    assert_eq!(post(&world, &release).await.0, 200);
    assert_eq!(world.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn every_refusal_names_its_reason_and_changes_nothing() {
    let world = world().await;
    let right = command(&world, DrainAction::Drain, 30, NewRequests::Serve).await;
    let stranger = SigningKey::from_bytes(&[1; 32]);
    let wrong = [
        (DrainCommand { pod_uid: "pod-2".into(), ..right.clone() }.signed(&key()), 409, "WrongPod"),
        (DrainCommand { boot: "b".into(), ..right.clone() }.signed(&key()), 409, "WrongBoot"),
        (DrainCommand { challenge: "c".into(), ..right.clone() }.signed(&key()), 409, "WrongChallenge"),
        (DrainCommand { key_id: "k2".into(), ..right.clone() }.signed(&key()), 403, "UnknownKey"),
        (right.clone().signed(&stranger), 403, "BadSignature"),
        (DrainCommand { ttl_seconds: 301, ..right.clone() }.signed(&key()), 400, "BadRequest"),
    ];
    for (command, status, reason) in wrong {
        let (answered, body) = post(&world, &command).await;
        let refusal: Refusal = serde_json::from_str(&body).unwrap();
        assert_eq!((answered, refusal.reason.as_str()), (status, reason));
    }
    for (body, reason) in
        [(b"{}".to_vec(), "BadRequest"), (b"[".to_vec(), "BadRequest"), (vec![b' '; wire::MAX_BODY + 1], "TooLarge")]
    {
        let (status, body) = world.admin("POST", wire::DRAIN_PATH, &body).await;
        assert_eq!((status, serde_json::from_str::<Refusal>(&body).unwrap().reason.as_str()), (400, reason));
    }
    assert_eq!(world.get("/readyz").await.0, 200);
    assert_eq!(world.report().await.challenge, right.challenge);
    let metrics = world.get("/metrics").await.1;
    assert!(
        metrics.contains("refused_total{reason=\"BadRequest\"} 3")
            && metrics.contains("refused_total{reason=\"WrongPod\"} 1")
    );
    assert_eq!(post(&world, &right.clone().signed(&key())).await.0, 200);
    assert_eq!(post(&world, &right.signed(&key())).await.0, 409, "sent a second time");
}

#[tokio::test]
async fn a_draining_pod_serves_and_asks_each_kept_connection_to_close_with_its_next_answer() {
    let world = world().await;
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    lease(&world, 30, NewRequests::Serve).await;
    client.send(GET).await;
    app.expect(GET).await;
    app.send("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok").await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    client.closes().await;
    // The app's own connection is not concerned.
    let mut late = world.client().await;
    late.send(GET).await;
    app.expect(GET).await;
    app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    late.expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n").await;
    late.closes().await;
}

#[tokio::test]
async fn a_request_under_way_when_the_drain_begins_is_asked_to_close_too() {
    let world = world().await;
    let (mut client, mut app) = world.exchange().await;
    lease(&world, 30, NewRequests::Serve).await;
    app.send(OK).await;
    assert!(client.head().await.contains("Connection: close"));
    client.expect("ok").await;
    client.closes().await;
}

#[tokio::test]
async fn requests_that_were_read_already_are_answered_before_the_close() {
    let world = world().await;
    lease(&world, 30, NewRequests::Serve).await;
    let mut client = world.client().await;
    client.send(&format!("{GET}{GET}")).await;
    let mut app = world.app().await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
    app.expect(GET).await;
    app.send(OK).await;
    assert!(client.head().await.contains("Connection: close"));
    client.expect("ok").await;
    client.closes().await;
}

#[tokio::test]
async fn a_drain_closes_no_idle_connection_and_a_lapse_forgets_it() {
    let trusted = wire::format_public_key("k1", &key().verifying_key());
    let world = World::with(&["--trusted-key", &trusted, "--upstream-idle-millis", "60000"]).await;
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    lease(&world, 1, NewRequests::Serve).await;
    world.becomes("the lease ran out", || !world.sidecar.shared.is_draining()).await;
    client.send(GET).await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn late_requests_are_refused_if_the_lease_says_so() {
    let world = world().await;
    lease(&world, 30, NewRequests::Reject).await;
    let mut client = world.client().await;
    client.send(GET).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: 1\r\n"), "{head}");
    assert!(String::from_utf8(client.rest().await).unwrap().starts_with("restart-sidecar: "));
    world.in_flight_becomes(0).await;
    assert!(world.report().await.last_arrival_ago_millis.is_some());
}

#[tokio::test]
async fn refused_requests_count_until_they_are_answered_and_never_reach_the_app() {
    let world = world().await;
    let (mut early, mut app) = world.exchange().await;
    let mut kept = world.client().await;
    kept.send(GET).await;
    let mut second = world.app().await;
    second.expect(GET).await;
    second.send(OK).await;
    kept.expect(OK).await;
    lease(&world, 30, NewRequests::Reject).await;
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let waits = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    for late in
        [upload, waits, &format!("{GET}{GET}"), "GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"]
    {
        let mut client = world.client().await;
        client.send(&late[..1]).await;
        world.in_flight_becomes(2).await;
        client.send(&late[1..]).await;
        assert_eq!(client.own_answer().await, 503, "{late:?}");
        drop(client);
        world.in_flight_becomes(1).await;
    }
    let mut client = world.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("Connection: close\r\n\r\n"), "{answer}");
    // A connection that was kept from before.
    kept.send(GET).await;
    assert_eq!(kept.own_answer().await, 503);
    // What was under way is not refused.
    app.send(OK).await;
    assert!(early.head().await.contains("Connection: close"));
    early.expect("ok").await;
    world.in_flight_becomes(0).await;
    assert!(world.get("/metrics").await.1.contains("own_answers_total{status=\"503\"} 6"));
    // The app has seen nothing of it: the next connection to it is that of the next request.
    let release = command(&world, DrainAction::Release, 1, NewRequests::Serve).await.signed(&key());
    assert_eq!(post(&world, &release).await.0, 200);
    drop((app, second));
    world.one_request().await;
}

#[tokio::test]
async fn a_long_poll_answers_at_the_edge() {
    let world = world().await;
    let (mut client, mut app) = world.exchange().await;
    let poll = world.get("/v1/in-flight?below=1&waitSeconds=60");
    let ending = async {
        app.send(OK).await;
        client.expect(OK).await;
    };
    let started = std::time::Instant::now();
    let ((status, body), ()) = tokio::join!(poll, ending);
    assert_eq!(status, 200);
    assert!(body.contains("\"inFlight\":0"), "{body}");
    assert!(started.elapsed() < Duration::from_secs(10), "polled, not pushed");
}

#[tokio::test]
async fn a_long_poll_gives_up_after_its_time() {
    let world = world().await;
    let (_client, _app) = world.exchange().await;
    let (status, body) = world.get("/v1/in-flight?below=1&waitSeconds=1").await;
    assert_eq!(status, 200);
    assert!(body.contains("\"inFlight\":1"), "{body}");
    assert_eq!(world.get("/v1/in-flight?below=x").await.0, 400);
}

#[tokio::test]
async fn the_mean_gap_stays_as_it_was_before_the_drain() {
    let world = world().await;
    for _ in 0..5 {
        world.one_request().await;
    }
    lease(&world, 30, NewRequests::Serve).await;
    let before = world.report().await.mean_gap_millis.expect("a gap");
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.head().await;
    let after = world.report().await;
    assert_eq!(after.mean_gap_millis, Some(before));
    assert!(after.last_arrival_ago_millis.expect("an arrival") < 5_000);
}

#[tokio::test]
async fn readiness_follows_the_app() {
    let world = world().await;
    assert_eq!(world.get("/readyz").await.0, 200);
    let world = world.without_app().await;
    world.last_look_is_old().await;
    assert_eq!(world.get("/readyz").await.0, 503);
    assert_eq!(world.get("/livez").await.0, 200);
}

#[tokio::test]
async fn readiness_follows_the_apps_own_url_if_there_is_one() {
    let own = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ready", own.local_addr().unwrap());
    let world = World::with(&["--readiness-url", &url]).await;
    for (answer, status) in [("HTTP/1.1 204 Fine\r\n\r\n", 200), ("HTTP/1.1 500 Bad\r\n\r\n", 503), ("", 503)] {
        let answering = async {
            let mut peer = super::harness::Peer::new(own.accept().await.unwrap().0);
            assert!(peer.head().await.starts_with("GET /ready HTTP/1.1\r\n"));
            peer.send(answer).await;
        };
        let ((answered, _), ()) = tokio::join!(world.get("/readyz"), answering);
        assert_eq!(answered, status);
        world.last_look_is_old().await;
    }
}
