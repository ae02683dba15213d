//! Draining over HTTP/2: GOAWAY, late requests, termination.

use super::drain::{lease, world as trusting_world};
use super::harness::{World, soon};
use super::http2_harness::{
    ACK, App, Client, DATA, END_HEADERS, END_STREAM, GET_BLOCK, GOAWAY, HEADERS, PING, Raw, head, text, whole,
};
use bytes::Bytes;
use restart_controller::wire::NewRequests;
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn world() -> (Arc<World>, App) {
    let world = Arc::new(trusting_world().await);
    let app = App::start(&world);
    (world, app)
}

fn last_stream(payload: &[u8]) -> (u32, u32) {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    (number(&payload[..4]), number(&payload[4..8]))
}

#[tokio::test]
async fn every_connection_gets_goaway_when_the_drain_begins_and_streams_under_way_finish() {
    let (world, mut app) = world().await;
    let idle = Client::connect(&world).await;
    let mut busy = Client::connect(&world).await;
    let (answer, mut body) = busy.ask("/", false);
    let mut asked = app.next().await;
    lease(&world, 30, NewRequests::Serve).await;
    idle.ends().await;
    let mut back = asked.begin();
    let mut heard = head(answer).await.into_body();
    for _ in 0..3 {
        body.send_data(Bytes::from_static(b"up"), false).unwrap();
        assert_eq!(soon("up", asked.body.data()).await.unwrap().unwrap(), "up");
        back.send_data(Bytes::from_static(b"down"), false).unwrap();
        assert_eq!(soon("down", heard.data()).await.unwrap().unwrap(), "down");
    }
    assert_eq!(world.in_flight(), 1);
    assert!(soon("no new stream", busy.send.clone().ready()).await.is_err(), "a client that got GOAWAY begins no more");
    body.send_data(Bytes::new(), true).unwrap();
    back.send_data(Bytes::new(), true).unwrap();
    assert_eq!(whole(heard).await.0, b"");
    drop((body, asked, back));
    busy.ends().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn streams_that_the_client_began_before_it_saw_goaway_are_served() {
    let (world, mut app) = world().await;
    let mut client = Raw::connect(&world, &[]).await;
    client.get(1).await;
    app.next().await.answer("one");
    assert_eq!(client.read_kind(DATA).await.payload, b"one");
    lease(&world, 30, NewRequests::Serve).await;
    let first = client.read_kind(GOAWAY).await;
    assert_eq!(
        last_stream(&first.payload),
        (0x7fff_ffff, 0),
        "the first asks, and promises to serve what is on its way"
    );
    let ping = client.read_kind(PING).await;
    client.get(3).await;
    client.get(5).await;
    client.send(PING, ACK, 0, &ping.payload).await;
    let last = client.read_kind(GOAWAY).await;
    assert_eq!(last_stream(&last.payload), (5, 0));
    client.get(7).await;
    world.in_flight_becomes(2).await;
    for _ in 0..2 {
        app.next().await.answer("late");
        assert_eq!(client.read_kind(DATA).await.payload, b"late");
    }
    assert_eq!(client.ends().await, None);
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 3, "the stream after the last one is none");
}

#[tokio::test]
async fn a_client_that_comes_late_gets_its_answer_and_is_then_sent_away() {
    let (world, mut app) = world().await;
    lease(&world, 30, NewRequests::Serve).await;
    let mut late = Client::connect(&world).await;
    let (answer, _) = late.ask("/", true);
    app.next().await.answer("late");
    assert_eq!(text(answer).await, (200, "late".into()));
    late.ends().await;
}

#[tokio::test]
async fn after_the_lease_connections_are_kept_as_before() {
    let (world, mut app) = world().await;
    lease(&world, 1, NewRequests::Serve).await;
    world.becomes("the lease ran out", || !world.sidecar.shared.is_draining()).await;
    let mut client = Client::connect(&world).await;
    for _ in 0..3 {
        let (answer, _) = client.ask("/", true);
        app.next().await.answer("ok");
        assert_eq!(text(answer).await, (200, "ok".into()));
    }
    // And a second drain is said again.
    lease(&world, 30, NewRequests::Serve).await;
    client.ends().await;
}

#[tokio::test]
async fn late_requests_are_refused_if_the_lease_says_so() {
    let (world, mut app) = world().await;
    let mut early = Client::connect(&world).await;
    let (answer, _) = early.ask("/", true);
    let mut asked = app.next().await;
    lease(&world, 30, NewRequests::Reject).await;
    let mut late = Client::connect(&world).await;
    let (refused, mut body) = late.ask("/", false);
    let refused = head(refused).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    assert_eq!(whole(refused.into_body()).await.0, b"restart-sidecar: this pod is being restarted\n");
    let reset = std::future::poll_fn(|context| body.poll_reset(context));
    assert_eq!(soon("nobody reads its body", reset).await.unwrap(), h2::Reason::NO_ERROR);
    drop(body);
    late.ends().await;
    asked.answer("as promised");
    assert_eq!(text(answer).await, (200, "as promised".into()));
    world.in_flight_becomes(0).await;
    assert_eq!(app.connections(), 1, "the app has seen nothing of it");
}

#[tokio::test]
async fn a_stream_on_a_kept_connection_that_comes_while_late_ones_are_refused_is_refused() {
    let (world, mut app) = world().await;
    let mut client = Raw::connect(&world, &[]).await;
    client.get(1).await;
    app.next().await.answer("one");
    client.read_kind(DATA).await;
    lease(&world, 30, NewRequests::Reject).await;
    let ping = client.read_kind(PING).await;
    client.get(3).await;
    assert!(client.read_kind(DATA).await.payload.starts_with(b"restart-sidecar: "));
    client.send(PING, ACK, 0, &ping.payload).await;
    assert_eq!(last_stream(&client.read_kind(GOAWAY).await.payload), (3, 0));
    assert_eq!(client.ends().await, None);
}

#[tokio::test]
async fn a_termination_closes_idle_connections_even_of_clients_that_confirm_nothing() {
    let (world, mut app) = world().await;
    let mut silent = Raw::connect(&world, &[]).await;
    silent.get(1).await;
    app.next().await.answer("ok");
    silent.read_kind(DATA).await;
    let mut busy = Client::connect(&world).await;
    let (answer, _) = busy.ask("/", true);
    let mut asked = app.next().await;
    world.sidecar.shared.terminate();
    assert_eq!(last_stream(&silent.read_kind(GOAWAY).await.payload).0, 0x7fff_ffff);
    let closed = Instant::now();
    world.sidecar.shared.close();
    // The last word names the last stream that was served.
    assert_eq!(silent.ends().await, Some(0));
    assert!(closed.elapsed() > Duration::from_millis(900), "it may have had something to say");
    assert_eq!(world.in_flight(), 1, "a stream under way is never cut");
    asked.answer("ok");
    assert_eq!(text(answer).await, (200, "ok".into()));
    busy.ends().await;
    world.becomes("all is closed", || world.sidecar.shared.connections.now() == 0).await;
}

#[tokio::test]
async fn the_app_is_held_until_a_call_has_ended() {
    let world = Arc::new(World::with(&["--quiet-millis", "100"]).await);
    let mut app = App::start(&world);
    let mut client = Client::connect(&world).await;
    for _ in 0..40 {
        let (answer, _) = client.ask("/", true);
        app.next().await.answer("ok");
        text(answer).await;
    }
    let (answer, _) = client.ask("/", true);
    let mut asked = app.next().await;
    world.sidecar.shared.terminate();
    let waiting = world.get("/wait-drained");
    let answering = async {
        tokio::time::sleep(Duration::from_millis(2_300)).await;
        asked.answer("done");
        assert_eq!(text(answer).await, (200, "done".into()));
        Instant::now()
    };
    let ((_, body), answered) = tokio::join!(waiting, answering);
    assert_eq!(body, "drained\n");
    assert!(answered.elapsed() < Duration::from_secs(2));
    client.ends().await;
}

#[tokio::test]
async fn a_request_that_reaches_the_socket_together_with_the_close_is_served() {
    let (world, mut app) = world().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let client = Raw::connect(&world, &[]).await;
        clients.push(client);
    }
    world.becomes("they are accepted", || world.sidecar.shared.connections.now() == 10).await;
    let bytes = super::http2_harness::frame(HEADERS, END_HEADERS | END_STREAM, 1, GET_BLOCK);
    for client in &clients {
        // The relay runs in this thread: it reads none of it before it is told to close.
        assert_eq!(client.peer.stream.try_write(&bytes).unwrap(), bytes.len());
    }
    world.sidecar.shared.terminate();
    world.sidecar.shared.close();
    for _ in 0..10 {
        app.next().await.answer("ok");
    }
    for client in &mut clients {
        assert_eq!(client.read_kind(DATA).await.payload, b"ok");
    }
}
