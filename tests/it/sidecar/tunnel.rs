//! Upgrades: a tunnel is a request in flight until both sides have closed it.

use super::harness::{GET, OK, SWITCHING, World};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_tunnel_passes_anything_and_counts_until_it_ends() {
    let world = World::start().await;
    let (mut client, mut app) = world.tunnel(UPGRADE).await;
    client.send("GET / HTTP/9.9\n\nnot http\0").await;
    app.expect("GET / HTTP/9.9\n\nnot http\0").await;
    app.send("\u{1}\u{2}").await;
    client.expect("\u{1}\u{2}").await;
    assert_eq!(world.in_flight(), 1);
    client.half_close().await;
    app.closes().await;
    app.send("last words").await;
    client.expect("last words").await;
    assert_eq!(world.in_flight(), 1);
    drop(app);
    client.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn bytes_sent_together_with_the_upgrade_enter_the_tunnel_and_count_no_more() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send(&format!("{UPGRADE}early frames")).await;
    let mut app = world.app().await;
    app.expect(UPGRADE).await;
    app.send(&format!("{SWITCHING}hello")).await;
    client.expect(&format!("{SWITCHING}hello")).await;
    app.expect("early frames").await;
    world.in_flight_becomes(1).await;
    client.reset();
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_tunnel_that_one_side_resets_ends_for_the_other() {
    let world = World::start().await;
    let (mut client, app) = world.tunnel(UPGRADE).await;
    app.reset();
    client.is_reset().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn an_app_that_declines_the_upgrade_goes_on_with_http() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send(UPGRADE).await;
    let mut app = world.app().await;
    app.expect(UPGRADE).await;
    app.send(OK).await;
    client.expect(OK).await;
    world.in_flight_becomes(0).await;
    client.send(GET).await;
    app.expect(GET).await;
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    app.send(SWITCHING).await;
    assert_eq!(client.own_answer().await, 502);
    app.closes().await;
}

#[tokio::test]
async fn a_connect_that_the_app_grants_is_a_tunnel() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").await;
    let mut app = world.app().await;
    app.head().await;
    app.send("HTTP/1.1 200 OK\r\n\r\nfrom app").await;
    client.expect("HTTP/1.1 200 OK\r\n\r\nfrom app").await;
    client.send("raw").await;
    app.expect("raw").await;
    assert_eq!(world.in_flight(), 1);
    drop(client);
    drop(app);
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn an_offer_of_http2_is_taken_out_and_the_request_served_as_http_1() {
    let world = World::start().await;
    let mut client = world.client().await;
    let offer = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nX: y\r\n\r\n";
    let served = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for piece in offer.as_bytes().chunks(50) {
        client.send_bytes(piece).await;
    }
    let mut app = world.app().await;
    app.expect(served).await;
    assert_eq!(world.in_flight(), 1);
    app.send(OK).await;
    client.expect(OK).await;
    world.in_flight_becomes(0).await;
    // With a body and the next request right behind it, and beside WebSocket.
    let upload = offer.replace("GET", "POST").replace("X: y", "Content-Length: 4");
    client.send(&format!("{upload}body{}", offer.replace("h2c", "h2c, websocket"))).await;
    app.expect(&format!("{}body", served.replace("GET", "POST").replace("X: y", "Content-Length: 4"))).await;
    app.send(OK).await;
    client.expect(OK).await;
    app.expect("GET / HTTP/1.1\r\nHost: a\r\nConnection:Upgrade\r\nUpgrade:websocket\r\nX: y\r\n\r\n").await;
    app.send(OK).await;
    client.expect(OK).await;
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 3);
}
