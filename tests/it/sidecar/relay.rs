//! Messages and their boundaries: what goes in comes out, byte for byte, and the next request finds its place.

use super::harness::{GET, OK, World};

#[tokio::test]
async fn requests_on_a_kept_connection_share_one_connection_to_the_app() {
    let world = World::start().await;
    let mut client = world.client().await;
    let odd = "GET /a?b=%20 HTTP/1.1\r\nhOST:  a\r\nX-Empty:\r\nAccept: */*\r\n\r\n";
    client.send(odd).await;
    let mut app = world.app().await;
    app.expect(odd).await;
    let odd_answer = "HTTP/1.1 299 Any thing\r\nserver: x\r\nConTENT-length: 3\r\n\r\nabc";
    app.send(odd_answer).await;
    client.expect(odd_answer).await;
    client.send(GET).await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test]
async fn chunked_bodies_and_their_trailers_pass_unchanged_both_ways() {
    let world = World::start().await;
    let mut client = world.client().await;
    let body = "5;ext=1\r\nhello\r\n1\r\n\n\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n";
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n{body}");
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    client.send(&request).await;
    let mut app = world.app().await;
    app.expect(&request).await;
    for byte in answer.as_bytes() {
        app.send_bytes(&[*byte]).await;
    }
    client.expect(&answer).await;
    client.send(GET).await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn answers_without_body_end_with_their_head() {
    let world = World::start().await;
    let mut client = world.client().await;
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    let mut app = None;
    for (method, answer) in cases {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(&request).await;
        if app.is_none() {
            app = Some(world.app().await);
        }
        let app = app.as_mut().unwrap();
        app.expect(&request).await;
        app.send(answer).await;
        client.expect(answer).await;
        world.in_flight_becomes(0).await;
    }
}

#[tokio::test]
async fn interim_answers_pass_before_the_final_one() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    for interim in ["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n"] {
        app.send(interim).await;
        client.expect(interim).await;
        assert_eq!(world.in_flight(), 1);
    }
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn a_client_that_expects_100_sends_its_body_when_the_app_says_so() {
    let world = World::start().await;
    let mut client = world.client().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await;
    let mut app = world.app().await;
    app.expect(head).await;
    app.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("body").await;
    app.expect("body").await;
    app.send(OK).await;
    client.expect(OK).await;
    client.send(GET).await;
    app.expect(GET).await;
}

#[tokio::test]
async fn a_final_answer_instead_of_100_ends_the_connection() {
    let world = World::start().await;
    let mut client = world.client().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await;
    let mut app = world.app().await;
    app.expect(head).await;
    let refusal = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n";
    app.send(refusal).await;
    client.expect(refusal).await;
    client.closes().await;
    app.closes().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn pipelined_requests_count_at_once_and_are_served_in_order() {
    let world = World::start().await;
    let mut client = world.client().await;
    let post = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n--";
    client.send(&format!("{GET}{post}\r\n{GET}")).await;
    let mut app = world.app().await;
    app.expect(GET).await;
    world.in_flight_becomes(3).await;
    app.send(OK).await;
    client.expect(OK).await;
    app.expect(post).await;
    assert_eq!(world.in_flight(), 2);
    app.send("HTTP/1.1 204 Second\r\n\r\n").await;
    client.expect("HTTP/1.1 204 Second\r\n\r\n").await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn http_1_0_keeps_the_connection_only_when_both_say_so() {
    let world = World::start().await;
    let mut client = world.client().await;
    let kept = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let answer = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
    client.send(kept).await;
    let mut app = world.app().await;
    app.expect(kept).await;
    app.send(answer).await;
    client.expect(answer).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    app.expect("GET / HTTP/1.0\r\n\r\n").await;
    app.send("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.expect("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.closes().await;
}

#[tokio::test]
async fn a_connection_that_either_side_closes_is_not_used_again() {
    let world = World::start().await;
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", OK),
        (GET, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
    ] {
        let mut client = world.client().await;
        client.send(request).await;
        let mut app = world.app().await;
        app.expect(request).await;
        app.send(answer).await;
        client.expect(answer).await;
        client.closes().await;
        app.closes().await;
    }
}

#[tokio::test]
async fn a_connection_that_the_app_closed_while_idle_is_replaced_before_anything_is_sent() {
    closed_while_idle_is_replaced(&World::start().await).await;
}

/// The app closes a connection that is idle, and the client's next request goes over a new one.
pub async fn closed_while_idle_is_replaced(world: &World) {
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    drop(app);
    client.send(GET).await;
    let mut app = world.app().await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn an_idle_connection_to_the_app_is_closed_in_time() {
    let world = World::with(&["--upstream-idle-millis", "100"]).await;
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    app.closes().await;
    client.send(GET).await;
    world.app().await.expect(GET).await;
}

#[tokio::test]
async fn an_app_that_is_away_or_gives_no_answer_is_a_502() {
    let world = World::start().await;
    for broken in
        ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "nonsense\r\n\r\n"]
    {
        let (mut client, mut app) = world.exchange().await;
        app.send(broken).await;
        drop(app);
        assert_eq!(client.own_answer().await, 502, "{broken:?}");
    }
    let world = world.without_app().await;
    let mut client = world.client().await;
    client.send(GET).await;
    assert_eq!(client.own_answer().await, 502);
    world.in_flight_becomes(0).await;
    assert!(world.get("/metrics").await.1.contains("own_answers_total{status=\"502\"} 5"));
}

#[tokio::test]
async fn a_head_request_gets_an_own_answer_without_body() {
    let world = World::start().await.without_app().await;
    let mut client = world.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}
