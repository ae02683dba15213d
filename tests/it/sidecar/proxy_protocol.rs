//! `--proxy-protocol`: each connection to the app begins with the client's address, and serves that client alone.

use super::harness::{GET, OK, Peer, World};
use super::http2_harness::{PREFACE, Raw};
use restart_controller::sidecar::proxy_header::ProxyHeader;
use tokio::io::AsyncReadExt as _;

/// The next connection to the app begins with the header of `client`'s connection.
async fn introduced(world: &World, client: &Peer) -> Peer {
    let mut app = world.app().await;
    let expected = ProxyHeader::new(client.stream.local_addr().unwrap(), client.stream.peer_addr().unwrap());
    let mut got = vec![0; expected.bytes().len()];
    app.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected.bytes());
    app
}

#[tokio::test]
async fn the_app_is_told_each_client_once_and_no_connection_serves_two() {
    let world = World::with(&["--proxy-protocol"]).await;
    let (mut first, mut second) = (world.client().await, world.client().await);
    first.send(GET).await;
    let mut app_of_first = introduced(&world, &first).await;
    for _ in 0..2 {
        app_of_first.expect(GET).await;
        app_of_first.send(OK).await;
        first.expect(OK).await;
        first.send(GET).await;
    }
    second.send(GET).await;
    let mut app_of_second = introduced(&world, &second).await;
    app_of_second.expect(GET).await;
}

#[tokio::test]
async fn in_tcp_mode_and_over_http2_the_header_comes_first_too() {
    let world = World::with(&["--proxy-protocol", "--mode", "tcp"]).await;
    let mut client = world.client().await;
    let mut app = introduced(&world, &client).await;
    client.send("any bytes").await;
    app.expect("any bytes").await;

    let world = World::with(&["--proxy-protocol"]).await;
    let mut raw = Raw::connect(&world, &[]).await;
    raw.get(1).await;
    introduced(&world, &raw.peer).await.expect(std::str::from_utf8(PREFACE).unwrap()).await;
}
