//! Clients of HTTP/1.1 that stand still in the midst of a message are given up; whoever only waits for the app never is.

use super::harness::{GET, OK, Peer, World};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
/// Far longer than the limit of these tests.
const LONG: Duration = Duration::from_millis(2_500);

async fn world() -> World {
    World::with(&["--stall-timeout-seconds", "1"]).await
}

/// An app that goes on sending, as far as it is taken.
fn pour(mut app: Peer) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { while app.stream.write_all(&[b'x'; 8_192]).await.is_ok() {} })
}

#[tokio::test]
async fn a_client_that_stops_reading_its_answer_is_reset() {
    let world = world().await;
    let (mut client, mut app) = world.exchange().await;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    let pouring = pour(app);
    world.in_flight_becomes(0).await;
    client.is_reset().await;
    pouring.await.unwrap();
}

#[tokio::test]
async fn an_app_that_has_answered_and_reads_no_more_of_the_body_is_not_waited_for() {
    const BIG: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    let world = world().await;
    let mut client = world.client().await;
    client.send(BIG).await;
    let mut app = world.app().await;
    app.expect(BIG).await;
    app.send(OK).await;
    client.expect(OK).await;
    let pouring = pour(client);
    world.in_flight_becomes(0).await;
    pouring.await.unwrap();
    drop(app);
}

#[tokio::test]
async fn an_app_that_has_answered_and_goes_on_reading_gets_the_whole_body() {
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n";
    let world = world().await;
    let mut client = world.client().await;
    client.send(HEAD).await;
    let mut app = world.app().await;
    app.expect(HEAD).await;
    app.send(OK).await;
    client.expect(OK).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        client.send("ten bytes.").await;
        app.expect("ten bytes.").await;
    }
    world.in_flight_becomes(0).await;
    client.send(GET).await;
    app.expect(GET).await;
}

#[tokio::test]
async fn a_tunnels_client_that_stops_reading_is_reset() {
    let world = world().await;
    let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let mut client = world.client().await;
    client.send(asked).await;
    let mut app = world.app().await;
    app.expect(asked).await;
    app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    client.head().await;
    let pouring = pour(app);
    world.in_flight_becomes(0).await;
    client.is_reset().await;
    pouring.await.unwrap();
}

#[tokio::test]
async fn a_client_that_stops_sending_its_body_is_answered_408() {
    let world = world().await;
    for head in [POST, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"] {
        let mut client = world.client().await;
        client.send(head).await;
        let mut app = world.app().await;
        app.expect(head).await;
        client.send("5\r\nhe").await;
        app.expect("5\r\nhe").await;
        assert_eq!(client.own_answer().await, 408);
        assert_eq!(app.rest().await, b"", "the app learns that no more will come");
        world.in_flight_becomes(0).await;
    }
}

#[tokio::test]
async fn a_body_that_stops_after_the_whole_answer_only_ends_the_connection() {
    let world = world().await;
    let mut client = world.client().await;
    client.send(POST).await;
    let mut app = world.app().await;
    app.expect(POST).await;
    app.send(OK).await;
    client.expect(OK).await;
    client.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_body_that_goes_on_before_the_limit_takes_as_long_as_it_likes() {
    let world = world().await;
    let mut client = world.client().await;
    client.send(POST).await;
    let mut app = world.app().await;
    app.expect(POST).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.send("ab").await;
        app.expect("ab").await;
    }
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn silence_of_the_app_is_never_cut() {
    let world = world().await;
    // A long poll, events, a client that waits for 100, one that streams both ways, and an app that does not read.
    let (mut poll, mut poll_app) = world.exchange().await;
    let (mut events, mut events_app) = world.exchange().await;
    events_app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    events.head().await;
    let expecting = POST.replace("Host", "Expect: 100-continue\r\nHost");
    let mut patient = world.client().await;
    patient.send(&expecting).await;
    let mut patient_app = world.app().await;
    patient_app.expect(&expecting).await;
    let mut both = world.client().await;
    both.send(POST).await;
    let mut both_app = world.app().await;
    both_app.expect(POST).await;
    both_app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await;
    both.head().await;
    let mut sending = world.client().await;
    let length = 64 * 1024 * 1024;
    sending.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
    let mut lazy_app = world.app().await;
    lazy_app.head().await;
    let pouring = tokio::spawn(async move {
        sending.stream.write_all(&vec![b'x'; length]).await.unwrap();
        sending
    });
    tokio::time::sleep(LONG).await;
    poll_app.send(OK).await;
    poll.expect(OK).await;
    events_app.send("2\r\nok\r\n0\r\n\r\n").await;
    events.expect("2\r\nok\r\n0\r\n\r\n").await;
    patient_app.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    patient.head().await;
    patient.send("0123456789").await;
    patient_app.expect("0123456789").await;
    patient_app.send(OK).await;
    patient.expect(OK).await;
    both.send("0123456789").await;
    both_app.expect("0123456789").await;
    both_app.send("done").await;
    both.expect("done").await;
    let mut taken = vec![0; length];
    tokio::io::AsyncReadExt::read_exact(&mut lazy_app.stream, &mut taken).await.unwrap();
    lazy_app.send(OK).await;
    pouring.await.unwrap().expect(OK).await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn an_idle_connection_is_no_stalled_one() {
    let world = world().await;
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    tokio::time::sleep(LONG).await;
    client.send(GET).await;
    let mut app = world.app().await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
}

/// A receiver that reads a little at a time: small buffers, so that its acknowledgements come as steadily as it reads.
async fn slow_reader(world: &World) -> Peer {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    Peer::new(socket.connect(world.sidecar.listen).await.unwrap())
}

#[tokio::test]
async fn a_slow_but_steady_reader_is_no_stalled_one() {
    let world = world().await;
    let mut client = slow_reader(&world).await;
    client.send(GET).await;
    let mut app = world.app().await;
    app.expect(GET).await;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    let pouring = pour(app);
    client.head().await;
    // 100 KB a second, for eight times as long as a client may stand still.
    let (mut piece, mut had) = ([0; 5_000], 0);
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        had += tokio::io::AsyncReadExt::read(&mut client.stream, &mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(had > 200_000, "{had}");
    assert_eq!(world.in_flight(), 1);
    drop(client);
    world.in_flight_becomes(0).await;
    pouring.await.unwrap();
}
