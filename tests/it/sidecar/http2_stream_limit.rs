//! An app that takes few streams on one connection: no request of a client waits for the end of another's.

use super::harness::{World, soon};
use super::http2_harness::{Client, text};
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use http::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// What the app takes on one connection.
const LIMIT: u32 = 2;
const ASKED: usize = 5;

/// Serves each connection of `world`'s app with that limit; hands on the requests and counts the connections.
fn limited(world: &Arc<World>) -> (mpsc::UnboundedReceiver<SendResponse<Bytes>>, Arc<AtomicUsize>) {
    let (tell, asked) = mpsc::unbounded_channel();
    let (world, connections) = (Arc::clone(world), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let stream = world.app_forever().await.stream;
            counted.fetch_add(1, Ordering::Relaxed);
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut engine =
                    Builder::new().max_concurrent_streams(LIMIT).handshake::<_, Bytes>(stream).await.unwrap();
                while let Some(Ok((_, respond))) = engine.accept().await {
                    let _ = tell.send(respond);
                }
            });
        }
    });
    (asked, connections)
}

fn answer(mut respond: SendResponse<Bytes>) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
}

#[tokio::test]
async fn requests_beyond_the_apps_limit_of_streams_go_over_further_connections() {
    let world = Arc::new(World::start().await);
    let (mut asked, connections) = limited(&world);
    let mut client = Client::connect(&world).await;
    for round in 1..=2 {
        let answers: Vec<_> = (0..ASKED).map(|_| client.ask("/", true).0).collect();
        let mut open = Vec::new();
        for _ in 0..ASKED {
            open.push(soon("each request reaches the app while the others wait", asked.recv()).await.unwrap());
        }
        assert_eq!(connections.load(Ordering::Relaxed), ASKED.div_ceil(LIMIT as usize), "round {round}");
        open.into_iter().for_each(answer);
        for answered in answers {
            assert_eq!(text(answered).await, (200, "ok".into()));
        }
        world.in_flight_becomes(0).await;
    }
}

/// More than all connections together take: the rest waits its turn, and each is answered.
#[tokio::test]
async fn requests_beyond_all_connections_wait_for_their_turn() {
    const MANY: usize = 40;
    let world = Arc::new(World::start().await);
    let (mut asked, connections) = limited(&world);
    let mut client = Client::connect(&world).await;
    let answers: Vec<_> = (0..MANY).map(|_| client.ask("/", true).0).collect();
    for _ in 0..MANY {
        answer(soon("a request reaches the app", asked.recv()).await.unwrap());
    }
    for answered in answers {
        assert_eq!(text(answered).await, (200, "ok".into()));
    }
    assert!(connections.load(Ordering::Relaxed) <= 16);
    world.in_flight_becomes(0).await;
}
