//! HTTP/2 by prior knowledge, gRPC included: what goes in comes out, at the receiver's pace.

use super::harness::{GET, Peer, World, soon};
use super::http2_harness::{App, Client, head, pour, request, text, whole};
use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use std::future::poll_fn;
use std::sync::Arc;

async fn world() -> (Arc<World>, App) {
    let world = Arc::new(World::start().await);
    let app = App::start(&world);
    (world, app)
}

#[tokio::test]
async fn a_request_and_its_answer_pass_with_all_their_fields() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let asked = Request::builder()
        .method("PROPFIND")
        .uri("http://shop.example:81/a%20b?c=d")
        .header("te", "trailers")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-odd", HeaderValue::from_bytes(b"\xff \t!").unwrap());
    let (answer, _) = client.send.send_request(asked.body(()).unwrap(), true).unwrap();
    let mut got = app.next().await;
    assert_eq!((got.head.method.as_str(), got.head.version), ("PROPFIND", Version::HTTP_2));
    assert_eq!(got.head.uri, "http://shop.example:81/a%20b?c=d");
    assert_eq!(got.head.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(got.head.headers["x-odd"].as_bytes(), b"\xff \t!");
    assert_eq!((&got.head.headers["te"], got.head.headers.len()), (&HeaderValue::from_static("trailers"), 4));
    assert!(got.body.is_end_stream());
    assert_eq!(world.in_flight(), 1);
    let odd = Response::builder().status(299).header("server", "x").header("set-cookie", "a").header("set-cookie", "b");
    got.respond.send_response(odd.body(()).unwrap(), true).unwrap();
    let answer = head(answer).await;
    assert_eq!((answer.status().as_u16(), answer.headers().len()), (299, 3));
    assert!(answer.body().is_end_stream());
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_grpc_call_passes_message_by_message_both_ways_and_ends_with_its_trailers() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let call =
        Request::post("http://shop/Shop/Chat").header("content-type", "application/grpc").header("te", "trailers");
    let (answer, mut talk) = client.send.send_request(call.body(()).unwrap(), false).unwrap();
    let mut asked = app.next().await;
    let mut back = asked.begin();
    let mut heard = head(answer).await.into_body();
    for n in 0..50u8 {
        let message = Bytes::copy_from_slice(&[0, 0, 0, 0, 1, n]);
        talk.send_data(message.clone(), false).unwrap();
        assert_eq!(soon("the message", asked.body.data()).await.unwrap().unwrap(), message);
        back.send_data(message.clone(), false).unwrap();
        assert_eq!(soon("the echo", heard.data()).await.unwrap().unwrap(), message);
        assert_eq!(world.in_flight(), 1);
    }
    talk.send_data(Bytes::new(), true).unwrap();
    assert_eq!(whole(asked.body).await, (vec![], None));
    assert_eq!(world.in_flight(), 1, "the answer has not ended");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    back.send_trailers(trailers.clone()).unwrap();
    assert_eq!(whole(heard).await, (vec![], Some(trailers)));
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 1);
}

#[tokio::test]
async fn trailers_of_a_request_pass_and_an_answer_may_be_trailers_only() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let (answer, mut body) = client.ask("/", false);
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    body.send_trailers(trailers.clone()).unwrap();
    let mut asked = app.next().await;
    assert_eq!(whole(asked.body).await, (b"abc".to_vec(), Some(trailers)));
    let refusal = Response::builder().header("grpc-status", "7").body(()).unwrap();
    asked.respond.send_response(refusal, true).unwrap();
    let answer = head(answer).await;
    assert!(answer.body().is_end_stream());
    assert_eq!(answer.headers()["grpc-status"], "7");
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn interim_answers_pass_before_the_final_one() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let (mut answer, _) = client.ask("/", true);
    let mut asked = app.next().await;
    for (status, link) in [(103, "</a>"), (102, "</b>")] {
        let interim = Response::builder().status(status).header("link", link).body(()).unwrap();
        asked.respond.send_informational(interim).unwrap();
        let interim = soon("an interim answer", poll_fn(|context| answer.poll_informational(context))).await;
        let interim = interim.unwrap().unwrap();
        assert_eq!((interim.status().as_u16(), &interim.headers()["link"]), (status, &HeaderValue::from_static(link)));
        assert_eq!(world.in_flight(), 1);
    }
    asked.answer("ok");
    assert_eq!(text(answer).await, (200, "ok".into()));
}

#[tokio::test]
async fn a_reset_of_the_client_reaches_the_app_with_its_code() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    for (begun, ended) in [(false, false), (false, true), (true, false), (true, true)] {
        for reason in [Reason::CANCEL, Reason::from(0xbeef), Reason::NO_ERROR] {
            let (answer, mut body) = client.ask("/", ended);
            let mut asked = app.next().await;
            let mut stream = begun.then(|| asked.begin());
            let _answer = if begun { Some(head(answer).await) } else { None };
            assert_eq!(world.in_flight(), 1);
            body.send_reset(reason);
            let code = soon(
                "the reset",
                poll_fn(|context| match &mut stream {
                    Some(stream) => stream.poll_reset(context),
                    None => asked.respond.poll_reset(context),
                }),
            );
            assert_eq!(code.await.unwrap(), reason, "begun: {begun}, ended: {ended}");
            world.in_flight_becomes(0).await;
        }
    }
    assert_eq!(app.connections(), 1, "nothing of it hurt the connection");
}

#[tokio::test]
async fn a_reset_of_the_app_reaches_the_client_with_its_code() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    for reason in [Reason::REFUSED_STREAM, Reason::from(0xbeef)] {
        let (answer, _body) = client.ask("/", false);
        app.next().await.respond.send_reset(reason);
        assert_eq!(soon("the reset", answer).await.unwrap_err().reason(), Some(reason));
        world.in_flight_becomes(0).await;

        let (answer, _body) = client.ask("/", false);
        let mut stream = app.next().await.begin();
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        let mut body = head(answer).await.into_body();
        assert_eq!(soon("the half", body.data()).await.unwrap().unwrap(), "half");
        stream.send_reset(reason);
        assert_eq!(soon("the reset", body.data()).await.unwrap().unwrap_err().reason(), Some(reason));
        world.in_flight_becomes(0).await;
    }
}

#[tokio::test]
async fn an_app_that_answers_early_and_wants_no_more_is_heard() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let (answer, mut body) = client.ask("/", false);
    let mut asked = app.next().await;
    asked.answer("enough");
    assert_eq!(text(answer).await, (200, "enough".into()));
    drop(asked);
    assert_eq!(soon("the reset", poll_fn(|context| body.poll_reset(context))).await.unwrap(), Reason::NO_ERROR);
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn large_bodies_pass_both_ways_at_once_without_being_held() {
    const SIZE: usize = 8 * 1024 * 1024;
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let (answer, mut body) = client.ask("/", false);
    let echo = tokio::spawn(async move {
        let mut asked = app.next().await;
        let mut back = asked.begin();
        while let Some(data) = asked.body.data().await {
            let data = data.unwrap();
            asked.body.flow_control().release_capacity(data.len()).unwrap();
            pour(&mut back, data, false).await;
        }
        back.send_data(Bytes::new(), true).unwrap();
        app
    });
    let sent: Bytes = (0..SIZE / 4).flat_map(|n| u32::try_from(n).unwrap().to_le_bytes()).collect();
    let expected = sent.clone();
    let pouring = tokio::spawn(async move { pour(&mut body, sent, true).await });
    let (got, _) = whole(head(answer).await.into_body()).await;
    assert!(got == expected, "the echo differs");
    pouring.await.unwrap();
    let _app = echo.await.unwrap();
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn streams_that_nobody_reads_hold_no_other_and_little_of_their_body() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let (answer, request_body) = client.ask("/", true);
        let mut stream = app.next().await.begin();
        let pouring = tokio::spawn(async move {
            let mut poured = 0;
            loop {
                stream.reserve_capacity(16_384);
                let room = poll_fn(|context| stream.poll_capacity(context));
                let Ok(Some(Ok(room))) = tokio::time::timeout(std::time::Duration::from_millis(500), room).await else {
                    return poured;
                };
                stream.send_data(Bytes::from(vec![7; room]), false).unwrap();
                poured += room;
            }
        });
        held.push((head(answer).await, request_body, pouring));
    }
    let mut bodies = Vec::new();
    for (answer, request_body, pouring) in held {
        let poured = pouring.await.unwrap();
        assert!(poured <= 3 * 65_536, "{poured} bytes of an answer that nobody reads");
        bodies.push((answer, request_body));
    }
    assert_eq!(world.in_flight(), 20);
    drop(client);
    // The windows of that client's connection are full; another client's are not.
    let mut other = Client::connect(&world).await;
    let (answer, _) = other.ask("/", true);
    app.next().await.answer("quick");
    assert_eq!(text(answer).await, (200, "quick".into()));
    drop(bodies);
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_slow_stream_leaves_room_for_the_others_of_its_connection() {
    let (world, mut app) = world().await;
    // A client with room for its connection: only the stream's window is full.
    let stream = tokio::net::TcpStream::connect(world.sidecar.listen).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(16 * 1024 * 1024);
    let (mut send, connection) = soon("the handshake", builder.handshake::<_, Bytes>(stream)).await.unwrap();
    let _connection = tokio::spawn(connection);
    let (slow, _) = send.send_request(request("/slow"), true).unwrap();
    let mut stuck = app.next().await.begin();
    let stuck_for_good = tokio::spawn(async move {
        pour(&mut stuck, Bytes::from(vec![1; 65_535]), false).await;
        stuck
    });
    let slow = head(slow).await;
    for _ in 0..30 {
        let (answer, _) = send.send_request(request("/quick"), true).unwrap();
        app.next().await.answer("quick");
        assert_eq!(text(answer).await, (200, "quick".into()));
    }
    drop((slow, stuck_for_good.await.unwrap()));
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn an_app_that_is_away_or_speaks_no_http2_is_a_502() {
    let world = Arc::new(World::start().await);
    for words in ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-x\r\n", ""] {
        let mut client = Client::connect(&world).await;
        let (answer, _) = client.ask("/", true);
        let mut app: Peer = world.app().await;
        app.expect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        app.send(words).await;
        drop(app);
        let (status, body) = text(answer).await;
        assert_eq!(status, 502, "{words:?}");
        assert!(body.contains("restart-sidecar: the app does not speak HTTP/2"), "{body}");
    }
    let world = Arc::into_inner(world).unwrap().without_app().await;
    let mut client = Client::connect(&world).await;
    let (answer, _) = client.ask("/", true);
    assert_eq!(text(answer).await, (502, "restart-sidecar: the app does not accept connections\n".into()));
    let head_request = Request::builder().method(Method::HEAD).uri("http://a/").body(()).unwrap();
    let (answer, _) = client.send.send_request(head_request, true).unwrap();
    let answer = head(answer).await;
    assert_eq!((answer.status(), answer.body().is_end_stream()), (StatusCode::BAD_GATEWAY, true));
    world.in_flight_becomes(0).await;
    assert!(world.get("/metrics").await.1.contains("own_answers_total{status=\"502\"} 5"));
}

#[tokio::test]
async fn an_app_that_ends_its_connection_gets_the_next_request_on_a_new_one() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    for round in 1..=3 {
        let (answer, _) = client.ask("/goaway", true);
        app.next().await.answer("ok");
        assert_eq!(text(answer).await, (200, "ok".into()));
        // The sidecar has seen the GOAWAY when the connection has ended.
        world.in_flight_becomes(0).await;
        app.has_ended(round).await;
        assert_eq!(app.connections(), round);
    }
}

#[tokio::test]
async fn the_preface_is_recognised_in_any_pieces_and_looks_like_no_request() {
    let (world, mut app) = world().await;
    let mut raw = world.client().await;
    for byte in super::http2_harness::PREFACE {
        raw.send_bytes(&[*byte]).await;
    }
    world
        .becomes("the preface is no request", || (world.in_flight(), world.sidecar.shared.in_flight.total()) == (0, 0))
        .await;
    let mut client = super::http2_harness::Raw { peer: raw };
    client.send(super::http2_harness::SETTINGS, 0, 0, &[]).await;
    client.get(1).await;
    app.next().await.answer("ok");
    assert_eq!(client.read_kind(super::http2_harness::DATA).await.payload, b"ok");
    assert_eq!(world.sidecar.shared.in_flight.total(), 1);
}

#[tokio::test]
async fn requests_that_begin_like_the_preface_are_http_1() {
    let world = World::start().await;
    for method in ["P", "PR", "PRI", "POST"] {
        let request = GET.replace("GET", method);
        let mut client = world.client().await;
        for piece in request.as_bytes().chunks(2) {
            client.send_bytes(piece).await;
        }
        let mut app = world.app().await;
        app.expect(&request).await;
        assert_eq!(world.in_flight(), 1);
        app.send(super::harness::OK).await;
        client.expect(super::harness::OK).await;
        drop(app);
    }
    let mut client = world.client().await;
    client.send("P").await;
    world.in_flight_becomes(1).await;
    client.half_close().await;
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn a_client_that_names_its_host_in_a_field_only_is_served() {
    let (world, mut app) = world().await;
    let mut raw = super::http2_harness::Raw::connect(&world, &[]).await;
    // GET, /, http, and `host: shop` as a literal with an indexed name.
    let block = [&[0x82, 0x84, 0x86, 0x0f, 0x17, 4][..], b"shop"].concat();
    raw.send(super::http2_harness::HEADERS, 5, 1, &block).await;
    let mut asked = app.next().await;
    assert_eq!((asked.head.uri.path(), &asked.head.headers["host"]), ("/", &HeaderValue::from_static("shop")));
    asked.answer("ok");
    assert_eq!(raw.read_kind(super::http2_harness::DATA).await.payload, b"ok");
}

#[tokio::test]
async fn a_connect_that_the_app_grants_is_a_tunnel_and_extended_connect_is_not_offered() {
    let (world, mut app) = world().await;
    let mut client = Client::connect(&world).await;
    let connect = Request::builder().method(Method::CONNECT).uri("db:5432").body(()).unwrap();
    let (answer, mut up) = client.send.send_request(connect, false).unwrap();
    let mut asked = app.next().await;
    assert_eq!((asked.head.method.clone(), asked.head.uri.to_string()), (Method::CONNECT, "db:5432".into()));
    let mut down = asked.begin();
    let mut answer = head(answer).await.into_body();
    up.send_data(Bytes::from_static(b"up"), false).unwrap();
    assert_eq!(soon("up", asked.body.data()).await.unwrap().unwrap(), "up");
    down.send_data(Bytes::from_static(b"down"), false).unwrap();
    assert_eq!(soon("down", answer.data()).await.unwrap().unwrap(), "down");
    assert_eq!(world.in_flight(), 1);
    assert!(!client.send.is_extended_connect_protocol_enabled());
    up.send_data(Bytes::new(), true).unwrap();
    down.send_data(Bytes::new(), true).unwrap();
    world.in_flight_becomes(0).await;
}
