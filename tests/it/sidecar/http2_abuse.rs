//! Clients of HTTP/2 that mean harm, or have a fault: each is ended or refused, nothing stays counted, nobody else notices.

use super::harness::{World, soon};
use super::http2_harness::{
    App, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, GET_BLOCK, HEADERS, PING, PREFACE, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, frame, text,
};
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CALM: u32 = 0xb;

async fn world(arguments: &[&str]) -> (Arc<World>, App) {
    let world = Arc::new(World::with(arguments).await);
    let app = App::start(&world);
    (world, app)
}

/// Sends `piece` over and over; the code of the GOAWAY that this brings.
async fn flood(world: &World, piece: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Option<u32> {
    let mut stream = tokio::net::TcpStream::connect(world.sidecar.listen).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let flooding = tokio::spawn(async move {
        for n in 0..1_000_000 {
            if write.write_all(&piece(n)).await.is_err() {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    });
    let mut answer = Vec::new();
    // A reset may overtake the end.
    let _ = soon("the end of the connection", read.read_to_end(&mut answer)).await;
    assert!(soon("the flood breaks off", flooding).await.unwrap(), "nobody stopped the flood");
    world.in_flight_becomes(0).await;
    let mut code = None;
    while answer.len() >= 9 {
        let length = 9 + u32::from_be_bytes([0, answer[0], answer[1], answer[2]]) as usize;
        if answer[3] == super::http2_harness::GOAWAY && answer.len() >= 17 {
            code = Some(u32::from_be_bytes(answer[13..17].try_into().unwrap()));
        }
        answer.drain(..length.min(answer.len()));
    }
    code
}

/// Somebody else is served as if nothing were the matter.
async fn others_are_served(world: &World, app: &mut App) {
    let mut client = Client::connect(world).await;
    let (answer, _) = client.ask("/other", true);
    loop {
        let mut asked = app.next().await;
        if asked.head.uri.path() == "/other" {
            asked.answer("ok");
            break;
        }
    }
    assert_eq!(text(answer).await, (200, "ok".into()));
}

#[tokio::test]
async fn floods_of_frames_that_ask_for_nothing_end_the_connection() {
    let (world, mut app) = world(&[]).await;
    let empty = |kind, flags, stream| move |_| frame(kind, flags, stream, &[]);
    assert_eq!(flood(&world, |_| frame(PING, 0, 0, &[0; 8])).await, Some(CALM), "PING");
    assert_eq!(flood(&world, empty(SETTINGS, 0, 0)).await, Some(CALM), "SETTINGS");
    assert_eq!(flood(&world, |_| frame(0x2, 0, 1, &[0, 0, 0, 3, 1])).await, Some(CALM), "PRIORITY");
    assert_eq!(flood(&world, empty(0xfe, 0, 0)).await, Some(CALM), "an unknown type");
    assert_eq!(flood(&world, |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).await, Some(CALM), "WINDOW_UPDATE");
    assert!(world.get("/metrics").await.1.contains("http2_floods_total 5"));
    others_are_served(&world, &mut app).await;
}

#[tokio::test]
async fn a_client_that_takes_back_what_it_asks_at_once_is_ended() {
    let (world, mut app) = world(&[]).await;
    let rapid = |n: u32| {
        let stream = 2 * n + 1;
        let reset = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, GET_BLOCK), reset].concat()
    };
    assert_eq!(flood(&world, rapid).await, Some(CALM));
    others_are_served(&world, &mut app).await;
}

#[tokio::test]
async fn endless_header_fields_end_the_connection() {
    let (world, mut app) = world(&[]).await;
    let continued = |n: u32| {
        if n == 0 {
            frame(HEADERS, END_STREAM, 1, GET_BLOCK)
        } else {
            frame(CONTINUATION, 0, 1, &[0x40, 1, b'a', 1, b'b'])
        }
    };
    assert!(flood(&world, continued).await.is_some());
    others_are_served(&world, &mut app).await;
}

#[tokio::test]
async fn a_list_of_header_fields_that_is_too_long_is_a_431() {
    let (world, mut app) = world(&[]).await;
    let mut client = Client::connect(&world).await;
    let long = http::Request::get("http://a/").header("x", "y".repeat(70_000)).body(()).unwrap();
    let (answer, _) = client.send.send_request(long, true).unwrap();
    assert_eq!(super::http2_harness::head(answer).await.status(), 431);
    world.in_flight_becomes(0).await;
    others_are_served(&world, &mut app).await;
}

#[tokio::test]
async fn header_fields_that_do_not_come_to_an_end_in_time_end_the_connection() {
    let (world, mut app) = world(&["--head-timeout-seconds", "1"]).await;
    for whole_frame in [false, true] {
        let mut client = Raw::connect(&world, &[]).await;
        let bytes = frame(HEADERS, END_STREAM, 1, GET_BLOCK);
        let cut = if whole_frame { bytes.len() } else { bytes.len() - 1 };
        client.peer.send_bytes(&bytes[..cut]).await;
        world.in_flight_becomes(1).await;
        client.ends().await;
        world.in_flight_becomes(0).await;
    }
    let mut preface = world.client().await;
    preface.send("PRI * HTTP/2.0\r\n").await;
    assert_eq!(preface.own_answer().await, 408);
    others_are_served(&world, &mut app).await;
}

#[tokio::test]
async fn a_client_that_opens_no_window_is_given_up_after_its_time() {
    let (world, mut app) = world(&["--stall-timeout-seconds", "1"]).await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    let mut client = Raw::connect(&world, &[0, 4, 0, 0, 0, 0]).await;
    client.get(1).await;
    let mut asked = app.next().await;
    let mut stream = asked.begin();
    stream.send_data(Bytes::from_static(b"never taken"), true).unwrap();
    client.read_kind(HEADERS).await;
    assert_eq!(world.in_flight(), 1);
    let reset = client.read_kind(RST_STREAM).await;
    assert_eq!((reset.stream, reset.payload), (1, vec![0, 0, 0, 8]));
    world.in_flight_becomes(0).await;
    // The connection itself has done nothing wrong.
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).await;
    client.get(3).await;
    app.next().await.answer("ok");
    assert_eq!(client.read_kind(DATA).await.payload, b"ok");
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_its_socket_is_given_up_after_its_time() {
    let (world, mut app) = world(&["--stall-timeout-seconds", "1"]).await;
    // Windows as large as can be: only the socket holds the answer back.
    let mut client = Raw::connect(&world, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).await;
    client.send(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]).await;
    client.get(1).await;
    let mut asked = app.next().await;
    let mut stream = asked.begin();
    let pouring = tokio::spawn(async move {
        super::http2_harness::pour(&mut stream, Bytes::from(vec![0; 64 * 1024 * 1024]), false).await;
    });
    world.in_flight_becomes(1).await;
    world.in_flight_becomes(0).await;
    world.becomes("it is closed", || world.sidecar.shared.connections.now() == 0).await;
    pouring.abort();
    others_are_served(&world, &mut app).await;
}

#[tokio::test]
async fn more_streams_than_are_allowed_are_refused_and_may_be_tried_again() {
    let (world, mut app) = world(&["--http2-max-streams", "2"]).await;
    let mut client = Raw::connect(&world, &[]).await;
    for stream in [1, 3, 5] {
        client.get(stream).await;
    }
    let refused = client.read_kind(RST_STREAM).await;
    assert_eq!((refused.stream, refused.payload), (5, vec![0, 0, 0, 7]), "REFUSED_STREAM");
    world.in_flight_becomes(2).await;
    for _ in 0..2 {
        app.next().await.answer("ok");
    }
    world.in_flight_becomes(0).await;
    client.get(7).await;
    app.next().await.answer("ok");
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn whatever_breaks_the_protocol_leaves_nothing_counted() {
    let (world, mut app) = world(&[]).await;
    let even = frame(HEADERS, END_HEADERS | END_STREAM, 2, GET_BLOCK);
    let broken_block = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff]);
    let data_first = frame(DATA, 0, 1, b"x");
    let huge = [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &[0; 100]].concat();
    let upper_case = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[GET_BLOCK, &[0x40, 1, b'A', 1, b'b']].concat());
    let cut = frame(HEADERS, END_HEADERS, 1, GET_BLOCK)[..12].to_vec();
    for bytes in [even, broken_block, data_first, huge, upper_case, cut, vec![0; 64]] {
        let mut client = Raw::connect(&world, &[]).await;
        client.peer.send_bytes(&bytes).await;
        client.peer.half_close().await;
        client.ends().await;
        world.in_flight_becomes(0).await;
    }
    others_are_served(&world, &mut app).await;
}
