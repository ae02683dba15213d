//! `tcp` mode: any bytes, and connections that count until both sides have closed.

use super::drain::lease;
use super::harness::{Peer, World};
use restart_controller::wire::{self, Mode, NewRequests};
use std::time::{Duration, Instant};

async fn world(arguments: &[&str]) -> World {
    World::with(&[&["--mode", "tcp"], arguments].concat()).await
}

/// A connection that both sides have.
async fn pair(world: &World) -> (Peer, Peer) {
    let client = world.client().await;
    let app = world.app().await;
    (client, app)
}

#[tokio::test]
async fn any_bytes_pass_and_a_connection_counts_until_both_sides_have_closed() {
    let world = world(&[]).await;
    let (mut client, mut app) = pair(&world).await;
    world.in_flight_becomes(1).await;
    app.send("220 the server speaks first\r\n").await;
    client.expect("220 the server speaks first\r\n").await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\u{1}").await;
    app.expect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\u{1}").await;
    client.half_close().await;
    app.closes().await;
    app.send("last words").await;
    client.expect("last words").await;
    assert_eq!(world.in_flight(), 1);
    let report = world.report().await;
    assert_eq!((report.mode, report.in_flight), (Mode::Tcp, 1));
    drop(app);
    client.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_reset_of_either_side_reaches_the_other_and_ends_the_count() {
    let world = world(&[]).await;
    let (client, mut app) = pair(&world).await;
    client.reset();
    app.is_reset().await;
    world.in_flight_becomes(0).await;
    let (mut client, app) = pair(&world).await;
    app.reset();
    client.is_reset().await;
    world.in_flight_becomes(0).await;
    let world = world.without_app().await;
    world.client().await.is_reset().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn late_connections_are_served_or_refused_as_the_lease_says() {
    let trusted = wire::format_public_key("k1", &super::drain::key().verifying_key());
    let world = world(&["--trusted-key", &trusted]).await;
    lease(&world, 30, NewRequests::Serve).await;
    let (mut client, mut app) = pair(&world).await;
    client.send("late").await;
    app.expect("late").await;
    lease(&world, 30, NewRequests::Reject).await;
    world.client().await.is_reset().await;
    client.send("still served").await;
    app.expect("still served").await;
}

#[tokio::test]
async fn a_termination_closes_the_listener_when_connections_stop_coming_and_waits_for_those_there_are() {
    let world = world(&["--quiet-millis", "100"]).await;
    for _ in 0..50 {
        drop(pair(&world).await);
    }
    let (mut client, mut app) = pair(&world).await;
    let began = Instant::now();
    world.sidecar.shared.terminate();
    let waiting = world.get("/wait-drained");
    let working = async {
        while tokio::net::TcpStream::connect(world.sidecar.listen).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(began.elapsed() >= Duration::from_secs(2), "late ones are served while kube-proxy lags");
        client.send("work goes on").await;
        app.expect("work goes on").await;
        drop(client);
        app.closes().await;
        drop(app);
        Instant::now()
    };
    // What comes late is taken and closed again.
    let late = async {
        loop {
            drop(world.app_forever().await);
        }
    };
    let ((_, body), ended) = tokio::select! {
        both = async { tokio::join!(waiting, working) } => both,
        () = late => unreachable!("it never ends"),
    };
    assert_eq!(body, "drained\n");
    assert!(ended.elapsed() < Duration::from_secs(1));
    world.in_flight_becomes(0).await;
}

/// The app has said everything and closed; the client, which has read nothing of it, still sends, and the app's kernel
/// refuses that by a reset.
#[tokio::test]
async fn what_an_app_said_before_it_closed_reaches_a_client_that_still_sends() {
    const SIZE: usize = 600_000;
    let world = world(&[]).await;
    let (mut client, mut app) = pair(&world).await;
    app.send_bytes(&vec![7; SIZE]).await;
    let closing = tokio::task::spawn_blocking(move || {
        let app = app.stream.into_std().unwrap();
        app.set_nonblocking(false).unwrap();
        // The close returns when the sidecar's kernel has all of it.
        socket2::SockRef::from(&app).set_linger(Some(Duration::from_secs(20))).unwrap();
    });
    closing.await.unwrap();
    for _ in 0..3 {
        client.send("still here").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.rest().await.len(), SIZE);
    world.in_flight_becomes(0).await;
}
