//! Idle clients: closed when they have been idle for too long, or when another needs their place; never one that asks.

use super::harness::{GET, OK, Peer, World};
use super::http2_harness::{App, Client, DATA, END_STREAM, GOAWAY, Raw, text};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// A client whose first request has been answered.
async fn used(world: &World) -> Peer {
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    client
}

#[tokio::test]
async fn an_idle_client_is_closed_after_its_time_and_one_that_is_used_is_not() {
    let world = World::with(&["--idle-timeout-seconds", "2", "--upstream-idle-millis", "0"]).await;
    let began = Instant::now();
    let (mut idle, mut silent, mut busy) = (used(&world).await, world.client().await, used(&world).await);
    let (mut slow, mut slow_app) = world.exchange().await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        busy.send(GET).await;
        let mut app = world.app().await;
        app.expect(GET).await;
        app.send(OK).await;
        busy.expect(OK).await;
    }
    idle.closes().await;
    silent.closes().await;
    assert!(began.elapsed() >= Duration::from_secs(2));
    slow_app.send(OK).await;
    slow.expect(OK).await;
}

#[tokio::test]
async fn an_idle_client_of_http2_is_told_by_goaway() {
    let world = Arc::new(World::with(&["--idle-timeout-seconds", "1"]).await);
    let mut app = App::start(&world);
    let (mut idle, mut busy) = (Client::connect(&world).await, Client::connect(&world).await);
    for client in [&mut idle, &mut busy] {
        let (answer, _) = client.ask("/", true);
        app.next().await.answer("ok");
        assert_eq!(text(answer).await, (200, "ok".into()));
    }
    let (answer, _) = busy.ask("/slow", true);
    let mut asked = app.next().await;
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut idle.connection).await.unwrap().unwrap();
    ended.unwrap();
    asked.answer("ok");
    assert_eq!(text(answer).await, (200, "ok".into()));
}

#[tokio::test]
async fn where_all_places_are_taken_the_oldest_idle_client_makes_room() {
    let world = World::with(&["--max-connections", "4"]).await;
    let (mut first, mut second) = (used(&world).await, used(&world).await);
    let (mut slow, mut slow_app) = world.exchange().await;
    let (mut fourth, mut fifth) = (used(&world).await, used(&world).await);
    first.closes().await;
    for client in [&mut fourth, &mut fifth, &mut second] {
        client.send(GET).await;
    }
    slow_app.send(OK).await;
    slow.expect(OK).await;
    assert_eq!(world.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn where_nobody_is_idle_it_is_not_ready_until_somebody_leaves() {
    let world = World::with(&["--max-connections", "2"]).await;
    let (first, mut second) = (world.exchange().await, world.exchange().await);
    let mut third = Peer::new(TcpStream::connect(world.sidecar.listen).await.unwrap());
    third.send(GET).await;
    world.becomes("it is full", || world.sidecar.shared.idle.is_full()).await;
    let (status, why) = world.get("/readyz").await;
    assert!(status == 503 && why.contains("none of them is idle"), "{status} {why}");
    drop(first);
    let mut app = world.app().await;
    app.expect(GET).await;
    app.send(OK).await;
    third.expect(OK).await;
    assert_eq!(world.get("/readyz").await.0, 200);
    second.1.send(OK).await;
    second.0.expect(OK).await;
}

/// Its client never confirms, so a request of its may be on the way in the moment of the close: it is told which was the last
/// one that is served.
#[tokio::test]
async fn a_client_of_http2_that_makes_room_is_told_its_last_stream_before_the_close() {
    let world = Arc::new(World::with(&["--max-connections", "1"]).await);
    let mut app = App::start(&world);
    let mut idle = Raw::connect(&world, &[]).await;
    idle.get(1).await;
    app.next().await.answer("ok");
    while idle.read_kind(DATA).await.flags & END_STREAM == 0 {}
    let mut newcomer = world.client().await;
    newcomer.send(GET).await;
    let mut last = Vec::new();
    while let Some(frame) = idle.read().await {
        if frame.kind == GOAWAY {
            last.push(u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
        }
    }
    assert_eq!(last, [0x7fff_ffff, 1]);
}
