//! An app that listens on a Unix socket: everything is as with a port.

use super::drain::{key, lease};
use super::harness::{GET, OK, World};
use super::http2_harness::{App, Client, text};
use super::relay::closed_while_idle_is_replaced;
use restart_controller::wire::{self, NewRequests};
use std::sync::Arc;

#[tokio::test]
async fn requests_are_relayed_and_counted_over_one_kept_connection() {
    let world = World::with_socket(&[]).await;
    let (mut client, mut app) = world.exchange().await;
    assert_eq!(world.in_flight(), 1);
    for _ in 0..3 {
        app.send(OK).await;
        client.expect(OK).await;
        client.send(GET).await;
        app.expect(GET).await;
    }
    app.send(OK).await;
    client.expect(OK).await;
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 4);
}

#[tokio::test]
async fn a_connection_that_the_app_closes_unannounced_costs_no_request() {
    closed_while_idle_is_replaced(&World::with_socket(&[]).await).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_reset_at_the_client() {
    let world = World::with_socket(&[]).await;
    let (mut client, mut app) = world.exchange().await;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").await;
    drop(app);
    client.is_reset().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn streams_of_http2_are_relayed_and_a_drain_says_goaway() {
    let trusted = wire::format_public_key("k1", &key().verifying_key());
    let world = Arc::new(World::with_socket(&["--trusted-key", &trusted]).await);
    let mut app = App::start(&world);
    let mut client = Client::connect(&world).await;
    let (answer, _) = client.ask("/a", true);
    let mut asked = app.next().await;
    assert_eq!((asked.head.uri.path(), world.in_flight()), ("/a", 1));
    lease(&world, 30, NewRequests::Serve).await;
    asked.answer("yes");
    assert_eq!(text(answer).await, (200, "yes".into()));
    client.ends().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn bytes_pass_in_tcp_mode_with_their_half_closes() {
    let world = World::with_socket(&["--mode", "tcp"]).await;
    let mut client = world.client().await;
    client.send("question").await;
    client.half_close().await;
    let mut app = world.app().await;
    assert_eq!(app.rest().await, b"question");
    app.send("answer").await;
    assert_eq!(world.in_flight(), 1);
    drop(app);
    assert_eq!(client.rest().await, b"answer");
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn the_app_is_told_who_its_client_is() {
    let world = World::with_socket(&["--mode", "tcp", "--proxy-protocol"]).await;
    let mut client = world.client().await;
    client.send("hello").await;
    let mut app = world.app().await;
    app.expect("\r\n\r\n\0\r\nQUIT\n").await;
}

#[tokio::test]
async fn the_pod_is_ready_when_the_socket_takes_connections() {
    let world = World::with_socket(&[]).await;
    assert_eq!(world.get("/readyz").await.0, 200);
    let world = world.without_app().await;
    world.last_look_is_old().await;
    assert_eq!(world.get("/readyz").await.0, 503);
    let mut client = world.client().await;
    client.send(GET).await;
    assert_eq!(client.own_answer().await, 502);
}
