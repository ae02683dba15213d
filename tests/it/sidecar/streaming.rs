//! Bodies: any size, both ways at once, and every way to break off.

use super::harness::{GET, OK, Peer, World, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";

#[tokio::test]
async fn the_answer_may_begin_and_end_before_the_request_does() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send(HEAD).await;
    let mut app = world.app().await;
    app.expect(HEAD).await;
    client.send("12345").await;
    app.expect("12345").await;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
    client.send("678").await;
    app.expect("678").await;
    app.send("k").await;
    client.expect("k").await;
    assert_eq!(world.in_flight(), 1, "its body is still on its way to an app that keeps the connection");
    client.send("90").await;
    app.expect("90").await;
    world.in_flight_becomes(0).await;
    client.send(GET).await;
    app.expect(GET).await;
}

#[tokio::test]
async fn large_bodies_pass_both_ways_at_once_without_being_held() {
    const SIZE: usize = 24 * 1024 * 1024;
    let world = World::start().await;
    let mut client = world.client().await;
    client.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    let mut app = world.app().await;
    app.head().await;
    app.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    client.head().await;
    // The app echoes: nothing could flow if either direction waited for the other to end.
    let (mut app_read, mut app_write) = app.stream.into_split();
    let echo = tokio::spawn(async move { tokio::io::copy(&mut app_read, &mut app_write).await });
    let (mut client_read, mut client_write) = client.stream.into_split();
    let sent: Vec<u8> = (0..SIZE / 4).flat_map(|n| u32::try_from(n).unwrap().to_le_bytes()).collect();
    let expected = sent.clone();
    let sending = tokio::spawn(async move { client_write.write_all(&sent).await.map(|()| client_write) });
    let mut got = vec![0; SIZE];
    soon("the whole echo", client_read.read_exact(&mut got)).await.unwrap();
    assert!(got == expected, "the echo differs");
    let _client_write = sending.await.unwrap().unwrap();
    world.in_flight_becomes(0).await;
    echo.abort();
}

#[tokio::test]
async fn an_app_that_refuses_a_body_half_way_is_heard() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").await;
    let mut app = world.app().await;
    app.head().await;
    let refusal = "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    app.send(refusal).await;
    app.half_close().await;
    let (mut client_read, mut client_write) = client.stream.into_split();
    // Goes on sending, as clients do, until it has read the answer.
    let piece = vec![b'\n'; 65_536];
    let sending = tokio::spawn(async move { while client_write.write_all(&piece).await.is_ok() {} });
    let mut answer = vec![0; refusal.len()];
    soon("the refusal", client_read.read_exact(&mut answer)).await.unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), refusal);
    world.in_flight_becomes(0).await;
    sending.abort();
    drop((app, client_read));
    world.becomes("the connection is closed", || world.sidecar.shared.connections.now() == 0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 1, "a body that nobody wants is no request");
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_answer() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    client.half_close().await;
    app.closes().await;
    assert_eq!(world.in_flight(), 1);
    app.send(OK).await;
    client.expect(OK).await;
    client.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn an_answer_without_length_ends_with_the_apps_close() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    app.send("HTTP/1.1 200 OK\r\n\r\nso much ").await;
    client.expect("HTTP/1.1 200 OK\r\n\r\nso much ").await;
    app.send("and more").await;
    app.half_close().await;
    client.expect("and more").await;
    client.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn an_answer_that_the_app_cuts_short_does_not_look_whole() {
    let world = World::start().await;
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n",
    ] {
        let (mut client, mut app) = world.exchange().await;
        app.send(head).await;
        app.send("cut").await;
        client.expect(&format!("{head}cut")).await;
        app.reset();
        client.is_reset().await;
    }
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_client_that_resets_or_breaks_off_leaves_nothing_counted() {
    let world = World::start().await;
    let (client, mut app) = world.exchange().await;
    client.reset();
    app.closes().await;
    world.in_flight_becomes(0).await;

    let mut client = world.client().await;
    client.send(&format!("{HEAD}123")).await;
    let mut app = world.app().await;
    app.expect(&format!("{HEAD}123")).await;
    drop(client);
    world.in_flight_becomes(0).await;
    app.closes().await;

    let (client, mut app) = world.exchange().await;
    app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.reset();
    // Nothing is written: the reset alone must be noticed.
    world.in_flight_becomes(0).await;
    drop(app);
}

#[tokio::test]
async fn a_client_that_reads_slowly_holds_its_request_and_no_other() {
    let world = World::start().await;
    let (slow, mut app) = world.exchange().await;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n").await;
    let writing = tokio::spawn(async move { app.stream.write_all(&vec![7; 50_000_000]).await.map(|()| app) });
    for _ in 0..20 {
        world.one_request().await;
    }
    assert_eq!(world.in_flight(), 1);
    let mut slow = slow;
    slow.head().await;
    let mut body = vec![0; 50_000_000];
    soon("the slow body", slow.stream.read_exact(&mut body)).await.unwrap();
    assert!(body.iter().all(|byte| *byte == 7));
    writing.await.unwrap().unwrap();
    world.in_flight_becomes(0).await;
    let _: Peer = slow;
}

#[tokio::test]
async fn events_pass_at_once_and_their_stream_counts_until_it_ends() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    app.send(head).await;
    client.expect(head).await;
    for n in 10..60 {
        let event = format!("e\r\ndata: tick {n}\n\r\n");
        app.send(&event).await;
        // Each one before the next is even written.
        client.expect(&event).await;
        assert_eq!(world.in_flight(), 1);
    }
    app.send("0\r\n\r\n").await;
    client.expect("0\r\n\r\n").await;
    world.in_flight_becomes(0).await;
}
