//! `--forwarded`: the app learns who asked, whatever the client says of itself.

use super::harness::{OK, World};

#[tokio::test]
async fn the_app_is_told_the_client_and_not_what_the_client_claims() {
    let world = World::with(&["--forwarded"]).await;
    let mut client = world.client().await;
    for _ in 0..2 {
        client
            .send("POST /a HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Length: 4\r\n\r\nbody")
            .await;
        let mut app = world.app().await;
        app.expect("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nx-forwarded-for: 127.0.0.1\r\n").await;
        app.expect("x-forwarded-proto: http\r\nx-forwarded-host: shop\r\n").await;
        app.expect("forwarded: for=127.0.0.1;proto=http;host=\"shop\"\r\n\r\nbody").await;
        app.send(OK).await;
        client.expect(OK).await;
        drop(app);
        client = world.client().await;
    }
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn requests_that_follow_each_other_at_once_are_each_told() {
    let world = World::with(&["--forwarded", "--trusted-proxy", "127.0.0.0/8"]).await;
    let mut client = world.client().await;
    let request = |name| format!("GET /{name} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{name}\r\n\r\n");
    client.send(&[request(1), request(2)].concat()).await;
    let mut app = world.app().await;
    for name in [1, 2] {
        let head = app.head().await;
        assert!(head.starts_with(&format!("GET /{name} ")), "{head}");
        assert!(head.contains(&format!("x-forwarded-for: 192.0.2.{name}, 127.0.0.1\r\n")), "{head}");
        app.send(OK).await;
        client.expect(OK).await;
    }
    world.in_flight_becomes(0).await;
}
