//! Attacks by HTTP/1.1.

use super::crowd::come;
use super::{World, survives};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Pours empty lines until it is closed, over and over.
async fn pour(world: &World, before: &str, time: Duration) {
    let (lines, began) = ("\r\n".repeat(8_192), Instant::now());
    let mut closed = 0;
    while began.elapsed() < time {
        let mut stream = TcpStream::connect(world.sidecar.traffic).await.unwrap();
        let _ = stream.write_all(before.as_bytes()).await;
        let poured = async { while stream.write_all(lines.as_bytes()).await.is_ok() {} };
        closed += u32::from(tokio::time::timeout(Duration::from_secs(1), poured).await.is_ok());
    }
    assert!(closed > 0 || !before.is_empty(), "nothing ended the empty lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lines_without_end_are_cut_off() {
    survives("empty lines", &[], async |world| {
        let slow = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
        let time = Duration::from_secs(3);
        tokio::join!(pour(world, "", time), pour(world, "", time), pour(world, slow, time));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_end_are_given_up_for_others() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(63 * 1024));
    survives("unfinished heads", &[], async |world| come(world.sidecar.traffic, 2_000, head.into_bytes()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_never_read_are_given_up_for_others() {
    let request = b"GET /bytes/8000000 HTTP/1.1\r\nHost: a\r\n\r\n";
    survives("slow readers", &[], async |world| come(world.sidecar.traffic, 2_500, request.to_vec()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_ahead_of_slow_answers_is_given_up_for_others() {
    let requests = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500);
    survives("sent ahead", &[], async |world| come(world.sidecar.traffic, 2_500, requests.into_bytes()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_thousand_idle_connections_the_oldest_make_room() {
    survives("idle connections", &[], async |world| {
        let mut open = come(world.sidecar.traffic, 10_000, Vec::new()).await;
        let used = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        open.truncate(4_000);
        open.extend(come(world.sidecar.traffic, 10_000, used.to_vec()).await);
        open
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_websockets_as_many_are_taken_as_leave_room_for_others() {
    let upgrade = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    survives("WebSockets", &[], async |world| {
        let open = come(world.sidecar.traffic, 10_000, upgrade.to_vec()).await;
        let tunnels = world.sidecar.metric("in_flight").await;
        assert!((1_000..3_000).contains(&tunnels), "{tunnels} tunnels");
        open
    })
    .await;
}
