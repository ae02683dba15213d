//! What must not reach the app: every framing that two parsers could read in two ways.

use super::harness::{GET, OK, World};

async fn refused(world: &World, request: &str) -> u16 {
    let mut client = world.client().await;
    client.send(request).await;
    let status = client.own_answer().await;
    world.in_flight_becomes(0).await;
    status
}

#[tokio::test]
async fn ambiguous_heads_are_answered_400_and_the_app_hears_nothing() {
    let world = World::start().await;
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5,5",
        "Content-Length: five",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "X: a\r\n b",
        "X : a",
        "X: a\nY: b",
        "bare\rreturn: a",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        assert_eq!(refused(&world, &request).await, 400, "{fields:?}");
    }
    for line in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n",
        "GET\r\n\r\n",
        "\0\r\n\r\n",
    ] {
        assert_eq!(refused(&world, line).await, 400, "{line:?}");
    }
    // Had one of them opened a connection to the app, it would be accepted first here.
    world.one_request().await;
}

#[tokio::test]
async fn heads_over_the_limits_are_answered_431() {
    let world = World::start().await;
    let many = "X: a\r\n".repeat(200);
    assert_eq!(refused(&world, &format!("GET / HTTP/1.1\r\n{many}\r\n")).await, 431);
    let long = "a".repeat(70_000);
    assert_eq!(refused(&world, &format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n")).await, 431);
    assert_eq!(refused(&world, &format!("GET /{long} HTTP/1.1\r\n\r\n")).await, 431);
}

#[tokio::test]
async fn a_head_just_under_the_limit_passes() {
    let world = World::start().await;
    let request = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(65_000));
    let mut client = world.client().await;
    client.send(&request).await;
    let mut app = world.app().await;
    app.expect(&request).await;
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_exchange_on_both_sides() {
    let world = World::start().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for bad in [
        "0x5\r\nhello\r\n",
        "-1\r\n",
        "5\nhello\r\n",
        "5 \r\nhello\r\n",
        "ffffffffffffffffff\r\n",
        "0\r\n folded: a\r\n\r\n",
    ] {
        let mut client = world.client().await;
        client.send(head).await;
        let mut app = world.app().await;
        app.expect(head).await;
        client.send(bad).await;
        assert_eq!(client.own_answer().await, 400, "{bad:?}");
        let smuggled = String::from_utf8(app.rest().await).unwrap();
        assert_eq!(smuggled, "", "after {bad:?}");
    }
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_request_hidden_behind_an_honest_body_stays_a_request_of_its_own() {
    let world = World::start().await;
    let mut client = world.client().await;
    let first = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    client.send(&format!("{first}{GET}")).await;
    let mut app = world.app().await;
    app.expect(first).await;
    app.send(OK).await;
    client.expect(OK).await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_is_answered_408() {
    let world = World::with(&["--head-timeout-seconds", "1"]).await;
    let mut client = world.client().await;
    client.send("GET / HT").await;
    world.in_flight_becomes(1).await;
    assert_eq!(client.own_answer().await, 408);
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn bytes_that_the_app_sends_unasked_never_become_somebodys_answer() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    app.send(&format!("{OK}HTTP/1.1 200 Poison\r\nContent-Length: 0\r\n\r\n")).await;
    client.expect(OK).await;
    client.send(GET).await;
    let mut fresh = world.app().await;
    fresh.expect(GET).await;
    fresh.send(OK).await;
    client.expect(OK).await;
}
