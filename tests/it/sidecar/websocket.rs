//! WebSocket: counted to its end, and told to leave only when there is no more time.

use super::harness::{Peer, SWITCHING, World};
use std::time::{Duration, Instant};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
/// From server and client, 1001.
const CLOSE: &[u8] = &[0x88, 2, 0x03, 0xe9];
const MASKED_CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

async fn gets(peer: &mut Peer, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    let read = tokio::io::AsyncReadExt::read_exact(&mut peer.stream, &mut got);
    super::harness::soon("bytes of a websocket", read).await.unwrap();
    assert_eq!(got, bytes);
}

#[tokio::test]
async fn at_the_last_call_both_sides_get_a_close_frame_and_the_connection_ends_when_they_confirm() {
    let world = World::start().await;
    let (mut client, mut app) = world.tunnel(UPGRADE).await;
    client.send_bytes(&[0x81, 0x81, 1, 2, 3, 4, b'a' ^ 1]).await;
    gets(&mut app, &[0x81, 0x81, 1, 2, 3, 4, b'a' ^ 1]).await;
    world.sidecar.shared.terminate();
    world.sidecar.shared.close();
    app.send_bytes(&[0x81, 1, b'b']).await;
    gets(&mut client, &[0x81, 1, b'b']).await;
    assert_eq!(world.in_flight(), 1, "a drain alone ends no websocket");
    let called = Instant::now();
    world.sidecar.shared.call_last();
    gets(&mut client, CLOSE).await;
    gets(&mut app, MASKED_CLOSE).await;
    client.send_bytes(MASKED_CLOSE).await;
    app.send_bytes(CLOSE).await;
    client.closes().await;
    app.closes().await;
    world.in_flight_becomes(0).await;
    assert!(called.elapsed() < Duration::from_millis(700), "nobody had to wait: {:?}", called.elapsed());
}

#[tokio::test]
async fn a_message_under_way_is_finished_before_the_close_frame() {
    let world = World::start().await;
    let (mut client, mut app) = world.tunnel(UPGRADE).await;
    // The first frame of a message from the app, and half a frame from the client.
    app.send_bytes(&[0x01, 3, b'o', b'n', b'e']).await;
    gets(&mut client, &[0x01, 3, b'o', b'n', b'e']).await;
    client.send_bytes(&[0x82, 0x84, 0, 0, 0, 0, 1, 2]).await;
    gets(&mut app, &[0x82, 0x84, 0, 0, 0, 0, 1, 2]).await;
    world.sidecar.shared.call_last();
    // A PING between the two frames, the last frame, and a message that comes too late.
    app.send_bytes(&[0x89, 0, 0x80, 3, b't', b'w', b'o', 0x81, 1, b'x']).await;
    gets(&mut client, &[0x89, 0, 0x80, 3, b't', b'w', b'o', 0x88, 2, 0x03, 0xe9]).await;
    client.send_bytes(&[3, 4, 0x81, 0x81, 0, 0, 0, 0, b'x']).await;
    gets(&mut app, &[3, 4, 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).await;
    client.closes().await;
    app.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_closing_handshake_under_way_is_left_alone() {
    let world = World::start().await;
    let (mut client, mut app) = world.tunnel(UPGRADE).await;
    client.send_bytes(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await;
    gets(&mut app, &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await;
    app.send_bytes(&[0x88, 2, 0x03, 0xe8]).await;
    gets(&mut client, &[0x88, 2, 0x03, 0xe8]).await;
    world.sidecar.shared.call_last();
    drop(app);
    client.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn sides_that_confirm_nothing_are_closed_all_the_same() {
    let world = World::start().await;
    let (mut client, mut app) = world.tunnel(UPGRADE).await;
    // In the midst of a frame that never ends.
    app.send_bytes(&[0x82, 100, 1]).await;
    gets(&mut client, &[0x82, 100, 1]).await;
    world.sidecar.shared.call_last();
    gets(&mut app, MASKED_CLOSE).await;
    client.closes().await;
    app.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn other_tunnels_get_no_frames_of_ours() {
    let world = World::start().await;
    let mut client = world.client().await;
    let upgrade = UPGRADE.replace("WebSocket", "echo");
    client.send(&upgrade).await;
    let mut app = world.app().await;
    app.expect(&upgrade).await;
    app.send(SWITCHING).await;
    client.expect(SWITCHING).await;
    world.sidecar.shared.call_last();
    app.send("still here").await;
    client.expect("still here").await;
    drop(app);
    client.closes().await;
}

#[tokio::test]
async fn a_termination_with_an_open_websocket_calls_last_a_second_before_the_app_is_let_go() {
    let world = World::with(&["--grace-seconds", "8"]).await;
    let (mut client, mut app) = world.tunnel(UPGRADE).await;
    let began = Instant::now();
    world.sidecar.shared.terminate();
    let waiting = world.get("/wait-drained");
    let closing = async {
        gets(&mut client, CLOSE).await;
        let told = began.elapsed();
        gets(&mut app, MASKED_CLOSE).await;
        client.send_bytes(MASKED_CLOSE).await;
        app.send_bytes(CLOSE).await;
        client.closes().await;
        told
    };
    let ((_, body), told) = tokio::join!(waiting, closing);
    assert_eq!(body, "the grace period is nearly over\n");
    assert!(told >= Duration::from_secs(2) && told < Duration::from_secs(3), "{told:?}");
    assert!(began.elapsed() < Duration::from_millis(3_100), "{:?}", began.elapsed());
    world.in_flight_becomes(0).await;
}
