//! Requests that neither count nor hold up a drain: the kubelet's probes, and what the command line names.

use super::harness::{GET, OK, Peer, World};
use super::http2_harness::{App, Client, request, text};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

const PROBE: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\n\r\n";
const CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
const SCRAPE: &str = "GET /metrics?all HTTP/1.1\r\nHost: a\r\nUser-Agent: Prometheus/3.0\r\n\r\n";

#[tokio::test]
async fn a_probe_is_served_and_neither_in_flight_nor_an_arrival() {
    let world = World::with(&["--ignore-path", "/metrics"]).await;
    let mut client = world.client().await;
    for request in [PROBE, SCRAPE, PROBE] {
        client.send(request).await;
        let mut app = world.app().await;
        app.expect(request).await;
        world.in_flight_becomes(0).await;
        // Without keep-alive, so that each has a connection of its own to the app.
        app.send(CLOSE).await;
        client.expect(CLOSE).await;
        client.closes().await;
        client = world.client().await;
    }
    let report = world.report().await;
    assert_eq!((report.last_arrival_ago_millis, world.sidecar.shared.in_flight.total()), (None, 0));
    assert!(world.get("/metrics").await.1.contains("\nrestart_sidecar_ignored_requests_total 3\n"));
}

#[tokio::test]
async fn what_follows_a_probe_on_its_connection_counts() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send(&[PROBE, GET].concat()).await;
    let mut app = world.app().await;
    app.expect(PROBE).await;
    world.in_flight_becomes(1).await;
    app.send(OK).await;
    client.expect(OK).await;
    app.expect(GET).await;
    world.in_flight_becomes(1).await;
    app.send(OK).await;
    client.expect(OK).await;
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 1);
}

#[tokio::test]
async fn probes_that_go_on_hold_up_no_termination() {
    let world = World::with(&["--quiet-millis", "1000"]).await;
    world.sidecar.shared.terminate();
    let probing = async {
        loop {
            // The listener closes before the wait ends.
            let Ok(stream) = TcpStream::connect(world.sidecar.listen).await else { std::future::pending().await };
            let mut client = Peer::new(stream);
            client.send(PROBE).await;
            let mut app = world.app().await;
            app.expect(PROBE).await;
            app.send(CLOSE).await;
            assert!(client.rest().await.ends_with(b"ok"));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let waited = tokio::select! {
        waited = world.get("/wait-drained") => waited,
        () = probing => unreachable!("it never ends"),
    };
    assert_eq!(waited.1, "drained\n");
}

#[tokio::test]
async fn a_probe_of_grpc_is_served_and_does_not_count() {
    let world = Arc::new(World::start().await);
    let mut app = App::start(&world);
    let mut client = Client::connect(&world).await;
    let mut probe = request("/grpc.health.v1.Health/Check");
    probe.headers_mut().insert("user-agent", "kube-probe/1.36".parse().unwrap());
    let (answer, _) = client.send.send_request(probe, true).unwrap();
    let mut asked = app.next().await;
    let report = world.report().await;
    assert_eq!((report.in_flight, report.last_arrival_ago_millis), (0, None));
    let (call, _) = client.ask("/service/method", true);
    let mut called = app.next().await;
    assert_eq!(world.in_flight(), 1);
    for asked in [&mut asked, &mut called] {
        asked.answer("ok");
    }
    assert_eq!((text(answer).await.0, text(call).await.0), (200, 200));
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 1);
}
