//! The end of a pod that requests never stop coming to: a Service's last endpoint.

use super::harness::{OK, Peer, World, soon};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Of these 6 s are the drain's, and of those the last 1.5 s are for what is in flight.
const GRACE: &str = "11";
const CLIENTS: u64 = 24;

#[derive(Default)]
struct Outcome {
    answered: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    over: AtomicBool,
}

/// An app that takes its time, up to 1.2 s.
async fn serve_app(world: Arc<World>) {
    let mut served = 0;
    loop {
        let mut peer = world.app_forever().await;
        served += 7;
        let mut takes = served * 97 % 1_200;
        tokio::spawn(async move {
            let mut request = [0; super::harness::GET.len()];
            while peer.stream.read_exact(&mut request).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(takes)).await;
                takes = takes * 31 % 1_200;
                peer.send(OK).await;
            }
        });
    }
}

/// A client that sends one request after the other and keeps its connection when it may.
async fn load(world: &World, outcome: &Outcome) {
    let mut kept: Option<Peer> = None;
    while !outcome.over.load(Ordering::Relaxed) {
        let mut peer = match kept.take() {
            Some(peer) => peer,
            None => match TcpStream::connect(world.sidecar.listen).await {
                Ok(stream) => Peer::new(stream),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "and nothing worse");
                    outcome.refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        peer.send(super::harness::GET).await;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            match soon("an answer", peer.stream.read_buf(&mut answer)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        let whole = answer.ends_with(b"\r\n\r\nok");
        let counter = if whole { &outcome.answered } else { &outcome.lost };
        counter.fetch_add(1, Ordering::Relaxed);
        if whole && !String::from_utf8_lossy(&answer).contains("Connection: close") {
            kept = Some(peer);
        }
    }
}

#[tokio::test]
async fn a_pod_that_never_gets_quiet_takes_no_more_connections_before_its_end_and_loses_none_that_it_took() {
    let world = Arc::new(World::with(&["--grace-seconds", GRACE]).await);
    let app = tokio::spawn(serve_app(Arc::clone(&world)));
    let outcome = Outcome::default();
    let mut idle = world.client().await;
    idle.send(super::harness::GET).await;
    idle.expect(OK).await;
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        world.sidecar.shared.terminate();
        let (_, body) = world.get("/wait-drained").await;
        let took = began.elapsed();
        // The app may go now: nobody must need it any more, and nobody can come.
        let left = (world.in_flight(), world.sidecar.shared.connections.now());
        let late = TcpStream::connect(world.sidecar.listen).await;
        outcome.over.store(true, Ordering::Relaxed);
        assert_eq!((body.as_str(), left), ("the grace period is nearly over\n", (0, 0)));
        assert!(late.is_err(), "the listener is closed before the app goes");
        assert!(took >= Duration::from_millis(4_500) && took < Duration::from_secs(7), "{took:?}");
    };
    let clients = futures::future::join_all((0..CLIENTS).map(|_| load(&world, &outcome)));
    let idling = async move { idle.closes().await };
    tokio::join!(clients, ending, idling);
    app.abort();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(count(&outcome.lost), 0, "of {} answered", count(&outcome.answered));
    assert!(count(&outcome.answered) > CLIENTS * 3 && count(&outcome.refused) > 0);
}

/// Clients whose handshake the kernel completes on both sides of the close; each that could connect must be answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_that_stands_is_reset_by_the_close_of_the_listener() {
    for _ in 0..10 {
        let world = Arc::new(World::start().await);
        let serving = Arc::clone(&world);
        let app = tokio::spawn(async move {
            loop {
                let mut peer = serving.app_forever().await;
                tokio::spawn(async move {
                    let mut request = [0; super::harness::GET.len()];
                    while peer.stream.read_exact(&mut request).await.is_ok() {
                        peer.send(OK).await;
                    }
                });
            }
        });
        let clients = (0..8).map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut answered = 0;
                while let Ok(stream) = TcpStream::connect(world.sidecar.listen).await {
                    let mut peer = Peer::new(stream);
                    peer.send(super::harness::GET).await;
                    peer.expect(OK).await;
                    answered += 1;
                }
                answered
            })
        });
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.sidecar.shared.close();
        let answered = futures::future::join_all(clients).await.into_iter().map(Result::unwrap).sum::<u64>();
        assert!(answered > 0);
        app.abort();
    }
}
