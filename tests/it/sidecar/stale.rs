//! Kept connections that the app closes without a word, at the worst of moments.

use super::harness::{GET, OK, Peer, World, soon};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

/// A client, and the connection to the app that has served it often enough to be trusted.
async fn kept(world: &World) -> (Peer, Peer) {
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    for _ in 0..2 {
        client.send(GET).await;
        app.expect(GET).await;
        app.send(OK).await;
        client.expect(OK).await;
    }
    (client, app)
}

/// The app closes after the sidecar has last looked at its sockets and before it takes the connection for `request`.
async fn closed_under(request: &str) {
    let world = World::start().await;
    let (mut client, app) = kept(&world).await;
    let (near, far) = UnixStream::pair().unwrap();
    let closes = tokio::spawn(async move {
        far.readable().await.unwrap();
        drop(app);
    });
    near.writable().await.unwrap();
    // Until the other task waits too.
    tokio::time::sleep(Duration::from_millis(20)).await;
    // One look at all sockets shows both, in this order: the sidecar's task runs next after the one that closes.
    near.try_write(b"now").unwrap();
    client.stream.try_write(request.as_bytes()).unwrap();
    let mut fresh = world.app().await;
    fresh.expect(request).await;
    fresh.send(OK).await;
    client.expect(OK).await;
    closes.await.unwrap();
    assert_eq!((world.in_flight(), world.sidecar.shared.in_flight.total()), (0, 4));
}

#[tokio::test]
async fn a_connection_that_the_app_closes_as_it_is_taken_costs_no_request() {
    for request in [GET, POST, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        closed_under(request).await;
    }
}

#[tokio::test]
async fn what_follows_in_the_pipeline_is_served_after_the_second_try() {
    let world = World::start().await;
    let (mut client, mut app) = kept(&world).await;
    let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(&[GET, next].concat()).await;
    app.expect(GET).await;
    world.in_flight_becomes(2).await;
    drop(app);
    let mut fresh = world.app().await;
    for request in [GET, next] {
        fresh.expect(request).await;
        fresh.send(OK).await;
        client.expect(OK).await;
    }
    client.half_close().await;
    client.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_request_that_the_app_has_had_for_a_while_is_not_sent_again() {
    let world = World::start().await;
    let (mut client, mut app) = kept(&world).await;
    client.send(GET).await;
    app.expect(GET).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    drop(app);
    assert_eq!(client.own_answer().await, 502);
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn what_is_not_idempotent_or_has_a_body_is_never_sent_twice() {
    for request in
        [POST, "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"]
    {
        let world = World::start().await;
        let (mut client, mut app) = kept(&world).await;
        client.send(request).await;
        app.expect(request).await;
        drop(app);
        assert_eq!(client.own_answer().await, 502, "{request:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_a_third_time_or_after_a_byte_of_an_answer_or_where_the_connection_was_new() {
    let world = World::start().await;
    let (mut client, mut app) = kept(&world).await;
    client.send(GET).await;
    app.expect(GET).await;
    drop(app);
    let mut fresh = world.app().await;
    fresh.expect(GET).await;
    drop(fresh);
    assert_eq!(client.own_answer().await, 502);
    let (mut client, mut app) = kept(&world).await;
    client.send(GET).await;
    app.expect(GET).await;
    app.send("H").await;
    drop(app);
    assert_eq!(client.own_answer().await, 502);
    let (mut client, mut app) = world.exchange().await;
    app.stream.shutdown().await.unwrap();
    drop(app);
    assert_eq!(client.own_answer().await, 502);
}

/// An app that closes what has been idle for a millisecond, and says nothing about it.
async fn hasty(mut app: Peer) {
    let mut read = [0; 64];
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(1), app.stream.read(&mut read)).await {
        app.send(OK).await;
    }
}

#[tokio::test]
async fn an_app_that_closes_idle_connections_at_once_costs_no_request() {
    const CLIENTS: u64 = 4;
    const REQUESTS: u64 = 250;
    let world = World::start().await;
    let client = |number: u64| {
        let connect = TcpStream::connect(world.sidecar.listen);
        async move {
            let mut client = Peer::new(connect.await.unwrap());
            for request in 0..REQUESTS {
                client.send(GET).await;
                client.expect(OK).await;
                // About as long as the app waits.
                tokio::time::sleep(Duration::from_micros((number * 131 + request * 97) % 2_000)).await;
            }
        }
    };
    let app = async {
        loop {
            tokio::spawn(hasty(world.app_forever().await));
        }
    };
    let clients = futures::future::join_all((0..CLIENTS).map(client));
    tokio::select! {
        _ = soon("every answer", clients) => {}
        () = app => {}
    }
    assert_eq!(world.sidecar.shared.in_flight.total(), CLIENTS * REQUESTS);
}
