//! TLS that reaches a sidecar in `http` mode: passed through, byte for byte, and in flight until it closes.

use super::drain::lease;
use super::harness::World;
use restart_controller::wire::{self, NewRequests};

/// Enough of a greeting to be recognised, and bytes that no HTTP has.
const GREETING: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n\0";
const ANSWER: &str = "\x16\x03\x03 the app's part";

#[tokio::test]
async fn a_connection_that_begins_with_tls_is_passed_through_and_counts_until_it_closes() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send_bytes(GREETING).await;
    let mut app = world.app().await;
    app.expect(std::str::from_utf8(&GREETING[..8]).unwrap()).await;
    app.send(ANSWER).await;
    client.expect(ANSWER).await;
    world.in_flight_becomes(1).await;
    assert!(world.get("/metrics").await.1.contains("\nrestart_sidecar_tls_connections_total 1\n"));
    drop(client);
    drop(app);
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn one_that_cannot_be_served_is_cut_off_since_no_answer_would_be_understood() {
    let trusted = wire::format_public_key("k1", &super::drain::key().verifying_key());
    let world = World::with(&["--trusted-key", &trusted]).await;
    lease(&world, 30, NewRequests::Reject).await;
    let mut late = world.client().await;
    late.send_bytes(GREETING).await;
    late.is_reset().await;
    lease(&world, 30, NewRequests::Serve).await;
    let world = world.without_app().await;
    let mut lost = world.client().await;
    lost.send_bytes(GREETING).await;
    lost.is_reset().await;
    world.in_flight_becomes(0).await;
}
