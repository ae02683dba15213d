//! Long bodies and tunnels, which the kernel moves from socket to socket.

use super::harness::{GET, OK, Peer, World, soon};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// More than a pipe, a buffer and both sockets hold.
const LONG: usize = 3 << 20;

/// Bytes of which no two parts are alike.
fn bytes(seed: u32) -> Vec<u8> {
    (0..u32::try_from(LONG / 4).unwrap())
        .flat_map(|n| n.wrapping_mul(2_654_435_761).wrapping_add(seed).to_le_bytes())
        .collect()
}

async fn expect(peer: &mut Peer, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    soon("a long body", peer.stream.read_exact(&mut got)).await.unwrap();
    assert!(got == expected, "the bytes differ");
}

/// A request with a long body and its long answer, both on their way at once, and then another request.
async fn long_both_ways(world: &World, seed: u32) {
    let (up, down) = (bytes(seed), bytes(seed + 1));
    let ask = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LONG}\r\n\r\n");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n");
    let mut client = world.client().await;
    client.send(&ask).await;
    let mut app = world.app().await;
    app.expect(&ask).await;
    app.send(&answer).await;
    client.expect(&answer).await;
    {
        let (mut from_client, mut to_client) = client.stream.split();
        let (mut from_app, mut to_app) = app.stream.split();
        let (mut asked, mut answered) = (vec![0; LONG], vec![0; LONG]);
        let sending = to_client.write_all(&up);
        let answering = to_app.write_all(&down);
        let all = async {
            tokio::try_join!(sending, answering, from_app.read_exact(&mut asked), from_client.read_exact(&mut answered))
        };
        soon("both bodies", all).await.unwrap();
        assert!(asked == up && answered == down, "the bytes differ");
    }
    client.send(GET).await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn long_bodies_pass_both_ways_at_once_and_the_connections_are_used_again() {
    let world = World::start().await;
    long_both_ways(&world, 1).await;
    long_both_ways(&World::with_socket(&[]).await, 3).await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn more_long_answers_at_once_than_there_are_pipes_arrive_whole() {
    let world = World::start().await;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n");
    let mut pairs = vec![];
    for _ in 0..20 {
        pairs.push(world.exchange().await);
    }
    let one = async |number: usize, (client, app): &mut (Peer, Peer)| {
        let body = bytes(u32::try_from(number).unwrap());
        app.send(&answer).await;
        tokio::join!(app.send_bytes(&body), async {
            client.expect(&answer).await;
            expect(client, &body).await;
        });
    };
    futures::future::join_all(pairs.iter_mut().enumerate().map(|(number, pair)| one(number, pair))).await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn chunks_answers_until_the_close_and_tunnels_are_moved_too() {
    let world = World::start().await;
    let body = bytes(7);
    let (mut client, mut app) = world.exchange().await;
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{LONG:x}\r\n");
    app.send(&head).await;
    tokio::join!(app.send_bytes(&body), async {
        client.expect(&head).await;
        expect(&mut client, &body).await;
    });
    app.send("\r\n0\r\n\r\n").await;
    client.expect("\r\n0\r\n\r\n").await;
    client.send(GET).await;
    app.expect(GET).await;
    app.send("HTTP/1.1 200 OK\r\n\r\n").await;
    client.expect("HTTP/1.1 200 OK\r\n\r\n").await;
    tokio::join!(app.send_bytes(&body), expect(&mut client, &body));
    drop(app);
    client.closes().await;
    let (mut client, mut app) =
        world.tunnel("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n").await;
    tokio::join!(app.send_bytes(&body), expect(&mut client, &body));
    tokio::join!(client.send_bytes(&body), expect(&mut app, &body));
    client.half_close().await;
    app.closes().await;
}

#[tokio::test]
async fn a_request_behind_a_long_body_is_none_of_that_body() {
    let world = World::start().await;
    let body = bytes(5);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LONG}\r\n\r\n");
    let all = [head.as_bytes(), &body, GET.as_bytes()].concat();
    let mut client = world.client().await;
    let serving = async {
        let mut app = world.app().await;
        app.expect(&head).await;
        expect(&mut app, &body).await;
        app.send(OK).await;
        app.expect(GET).await;
        app.send(OK).await;
    };
    tokio::join!(client.send_bytes(&all), serving);
    client.expect(OK).await;
    client.expect(OK).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 2);
}

#[tokio::test]
async fn what_is_left_of_an_answer_that_is_cut_short_reaches_no_other_client() {
    let world = World::start().await;
    let answer = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    for _ in 0..12 {
        let (client, mut app) = world.exchange().await;
        app.send(&answer(usize::MAX / 2)).await;
        // The client reads nothing: when the app cannot send any more, everything in between is full, the pipe too.
        let piece = vec![b'x'; 65_536];
        let endless = async { while app.stream.write_all(&piece).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_millis(500), endless).await;
        client.reset();
        world.in_flight_becomes(0).await;
    }
    let (mut client, mut app) = world.exchange().await;
    let body = bytes(9);
    app.send(&answer(LONG)).await;
    tokio::join!(app.send_bytes(&body), async {
        client.expect(&answer(LONG)).await;
        expect(&mut client, &body).await;
    });
}
