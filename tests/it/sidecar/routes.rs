//! Several ports in one sidecar: each leads to its own port of the app, and all of them share one count and one drain.

use super::harness::{GET, OK, Peer, soon};
use super::http2_harness::{Client, text};
use bytes::Bytes;
use clap::Parser as _;
use http::Response;
use restart_controller::sidecar::cli::{Cli, Verb};
use restart_controller::sidecar::{self, Sidecar};
use restart_controller::wire::{self, Mode};
use tokio::net::{TcpListener, TcpStream};

/// A sidecar before an app with ports of these protocols.
async fn world(protocols: &[&str]) -> (Sidecar, Vec<TcpListener>) {
    world_with(protocols, &[]).await
}

/// The same with further arguments.
async fn world_with(protocols: &[&str], more: &[&str]) -> (Sidecar, Vec<TcpListener>) {
    let mut all: Vec<String> =
        ["restart-sidecar", "run", "--admin", "127.0.0.1:0", "--pod-uid", "pod-1"].map(String::from).into();
    all.extend(["--control-socket".to_owned(), format!("test-{}", wire::random_id())]);
    all.extend(["--quiet-millis", "100", "--threads", "1"].iter().chain(more).map(ToString::to_string));
    let mut apps = vec![];
    for protocol in protocols {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        all.push(format!("--route=127.0.0.1:0={},{protocol}", app.local_addr().unwrap()));
        apps.push(app);
    }
    let Verb::Run(run) = Cli::try_parse_from(all).unwrap().verb else { unreachable!() };
    (sidecar::start(*run).await.unwrap(), apps)
}

async fn pair(sidecar: &Sidecar, apps: &[TcpListener], route: usize, first: &str) -> (Peer, Peer) {
    let mut client = Peer::new(TcpStream::connect(sidecar.routes[route]).await.unwrap());
    client.send(first).await;
    let mut app = Peer::new(soon("a connection to the app", apps[route].accept()).await.unwrap().0);
    app.expect(first).await;
    (client, app)
}

#[tokio::test]
async fn each_port_leads_to_its_own_and_all_count_together() {
    let (sidecar, apps) = world(&["http", "grpc", "tcp"]).await;
    let shared = &sidecar.shared;
    let (mut client, mut app) = pair(&sidecar, &apps, 0, GET).await;
    let (mut raw, mut raw_app) = pair(&sidecar, &apps, 2, "any bytes").await;
    let mut grpc = Client::over(TcpStream::connect(sidecar.routes[1]).await.unwrap()).await;
    let (answer, _) = grpc.ask("/service/method", true);
    let (stream, _) = soon("a connection to the app", apps[1].accept()).await.unwrap();
    let mut engine = soon("the handshake", h2::server::handshake(stream)).await.unwrap();
    let (_, mut respond) = soon("a call", engine.accept()).await.unwrap().unwrap();
    assert_eq!((shared.in_flight.now(), shared.mode()), (3, Mode::Http));

    let serving = tokio::spawn(async move { while engine.accept().await.is_some() {} });
    respond.send_response(Response::new(()), false).unwrap().send_data(Bytes::from_static(b"ok"), true).unwrap();
    assert_eq!(text(answer).await, (200, "ok".into()));
    app.send(OK).await;
    client.expect(OK).await;
    raw_app.send("other bytes").await;
    raw.expect("other bytes").await;
    assert_eq!(shared.in_flight.now(), 1, "what is relayed as bytes is in flight until it closes");
    let page = restart_controller::sidecar::metrics::page(shared);
    for route in &sidecar.routes {
        assert!(page.contains(&format!("route_connections_total{{port=\"{}\"}} 1\n", route.port())), "{page}");
    }
    serving.abort();
}

#[tokio::test]
async fn one_termination_closes_every_port_and_waits_for_all_of_them() {
    let (sidecar, apps) = world(&["http", "tcp"]).await;
    let (mut raw, mut raw_app) = pair(&sidecar, &apps, 1, "any bytes").await;
    let (mut client, mut app) = pair(&sidecar, &apps, 0, GET).await;
    sidecar.shared.terminate();
    let waiting = restart_controller::sidecar::termination::wait_drained(&sidecar.shared, sidecar.limits);
    let working = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        app.send(OK).await;
        assert!(client.head().await.contains("Connection: close"));
        client.expect("ok").await;
        client.closes().await;
        for route in &sidecar.routes {
            let closes = async { while TcpStream::connect(route).await.is_ok() {} };
            soon("the port closes", closes).await;
        }
        raw.send("still served").await;
        raw_app.expect("still served").await;
        drop((raw, raw_app));
    };
    tokio::join!(waiting, working);
    assert_eq!(sidecar.shared.in_flight.now(), 0);
}

#[tokio::test]
async fn tunnels_of_all_ports_together_leave_room_for_requests() {
    const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // Three quarters of the connections may be tunnels: three of these four.
    let (sidecar, apps) = world_with(&["http", "http"], &["--max-connections", "4"]).await;
    let open = [
        pair(&sidecar, &apps, 0, UPGRADE).await,
        pair(&sidecar, &apps, 0, UPGRADE).await,
        pair(&sidecar, &apps, 1, UPGRADE).await,
    ];
    let mut client = Peer::new(TcpStream::connect(sidecar.routes[1]).await.unwrap());
    client.send(UPGRADE).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    drop(open);
}
