//! The count of streams against the truth: a ledger kept by both ends, with resets of either side in the mix; with drains too
//! in `tests/ledger`.

use super::harness::World;
use super::http2_harness::{
    App, Asked, Client, DATA, END_HEADERS, END_STREAM, GET_BLOCK, HEADERS, RST_STREAM, Raw, frame,
};
use bytes::Bytes;
use h2::Reason;
use restart_controller::sidecar::state::Shared;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

const CONNECTIONS: u64 = 12;
const REQUESTS_EACH: u64 = 60;
const AT_A_TIME: u64 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Upload,
    Trailers,
    ClientResets,
    ClientResetsInMidAnswer,
    AppResets,
    AppResetsInMidAnswer,
    Slow,
}

const KINDS: [Kind; 8] = [
    Kind::Plain,
    Kind::Upload,
    Kind::Trailers,
    Kind::ClientResets,
    Kind::ClientResetsInMidAnswer,
    Kind::AppResets,
    Kind::AppResetsInMidAnswer,
    Kind::Slow,
];

/// Requests that the app has begun, and that neither it has ended nor their client has given up.
#[derive(Default)]
struct Truth {
    open: Mutex<HashMap<String, Kind>>,
    begun: AtomicU64,
    changed: Notify,
}

impl Truth {
    fn begin(&self, path: &str, kind: Kind, shared: &Shared) {
        assert!(self.open.lock().unwrap().insert(path.into(), kind).is_none(), "{path} was sent to the app twice");
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.check(shared);
        self.changed.notify_waiters();
    }

    fn end(&self, path: &str, shared: &Shared) {
        self.check(shared);
        self.open.lock().unwrap().remove(path);
    }

    /// All run in one thread: no request begins or ends between the two readings.
    fn check(&self, shared: &Shared) {
        let open = self.open.lock().unwrap().len() as u64;
        assert!(shared.in_flight.now() >= open, "{} counted of {open}", shared.in_flight.now());
    }

    async fn has_begun(&self, path: &str) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.open.lock().unwrap().contains_key(path) {
                return;
            }
            changed.await;
        }
    }
}

fn kind(path: &str) -> Kind {
    let number: usize = path.rsplit('/').next().unwrap().parse().unwrap();
    KINDS[number % KINDS.len()]
}

/// The app's side of one request. Whoever ends it writes it out of the truth just before: the app before its last bytes,
/// as the count may go down as soon as the socket has taken them, long before their client has read them.
async fn serve(mut asked: Asked, truth: Arc<Truth>, world: Arc<World>) {
    let shared = &world.sidecar.shared;
    let path = asked.head.uri.path().to_owned();
    let kind = kind(&path);
    truth.begin(&path, kind, shared);
    while let Some(Ok(data)) = asked.body.data().await {
        asked.body.flow_control().release_capacity(data.len()).unwrap();
    }
    match kind {
        Kind::ClientResets => return drop(std::future::poll_fn(|context| asked.respond.poll_reset(context)).await),
        Kind::AppResets => {
            truth.end(&path, shared);
            return asked.respond.send_reset(Reason::INTERNAL_ERROR);
        }
        _ => {}
    }
    let mut stream = asked.begin();
    stream.send_data(Bytes::from_static(b"first"), false).unwrap();
    match kind {
        Kind::ClientResetsInMidAnswer => {
            return drop(std::future::poll_fn(|context| stream.poll_reset(context)).await);
        }
        Kind::Slow => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        _ => {}
    }
    truth.end(&path, shared);
    match kind {
        Kind::AppResetsInMidAnswer => stream.send_reset(Reason::CANCEL),
        Kind::Trailers => stream.send_trailers(http::HeaderMap::new()).unwrap(),
        Kind::Slow => stream.send_data(Bytes::from(vec![1; 40_000]), true).unwrap(),
        _ => stream.send_data(Bytes::from_static(b"last"), true).unwrap(),
    }
}

/// The client's side, to the end of the answer or a reset.
async fn ask(client: &Client, path: &str, truth: &Truth, world: &World) {
    let (kind, shared) = (kind(path), &world.sidecar.shared);
    let mut ready = client.send.clone().ready().await.unwrap();
    let (answer, mut body) = ready.send_request(super::http2_harness::request(path), kind != Kind::Upload).unwrap();
    if kind == Kind::Upload {
        body.send_data(Bytes::from(vec![2; 30_000]), true).unwrap();
    }
    if kind == Kind::ClientResets {
        truth.has_begun(path).await;
        truth.end(path, shared);
        body.send_reset(Reason::CANCEL);
        return;
    }
    let Ok(answer) = answer.await else {
        // A reset overtakes what was not read before it.
        assert!(matches!(kind, Kind::AppResets | Kind::AppResetsInMidAnswer), "{kind:?}");
        return;
    };
    let mut answer = answer.into_body();
    while let Some(data) = answer.data().await {
        let Ok(data) = data else {
            assert_eq!(kind, Kind::AppResetsInMidAnswer);
            return;
        };
        answer.flow_control().release_capacity(data.len()).unwrap();
        if kind == Kind::ClientResetsInMidAnswer {
            truth.end(path, shared);
            body.send_reset(Reason::CANCEL);
            return;
        }
    }
}

#[tokio::test]
async fn the_count_is_exact_over_many_streams_of_every_kind() {
    let world = Arc::new(World::start().await);
    let mut app = App::start(&world);
    let truth = Arc::new(Truth::default());
    let (serving_truth, serving_world) = (Arc::clone(&truth), Arc::clone(&world));
    let serving = tokio::spawn(async move {
        loop {
            tokio::spawn(serve(app.next().await, Arc::clone(&serving_truth), Arc::clone(&serving_world)));
        }
    });
    let clients = (0..CONNECTIONS).map(|connection| {
        let (world, truth) = (Arc::clone(&world), Arc::clone(&truth));
        async move {
            let client = Client::connect(&world).await;
            for round in 0..REQUESTS_EACH / AT_A_TIME {
                let asked = (0..AT_A_TIME).map(|n| {
                    let path = format!("/{connection}/{}", round * AT_A_TIME + n + connection);
                    let (client, world, truth) = (&client, &world, &truth);
                    async move { ask(client, &path, truth, world).await }
                });
                futures::future::join_all(asked).await;
            }
        }
    });
    futures::future::join_all(clients).await;
    world.in_flight_becomes(0).await;
    assert_eq!(truth.open.lock().unwrap().len(), 0);
    assert_eq!(truth.begun.load(Ordering::Relaxed), CONNECTIONS * REQUESTS_EACH);
    assert_eq!(world.sidecar.shared.in_flight.total(), CONNECTIONS * REQUESTS_EACH);
    serving.abort();
    world.becomes("all connections closed", || world.sidecar.shared.connections.now() == 0).await;
}

#[tokio::test]
async fn a_stream_counts_from_the_header_of_its_first_frame() {
    let world = Arc::new(World::start().await);
    let mut app = App::start(&world);
    let mut client = Raw::connect(&world, &[]).await;
    let bytes = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET_BLOCK);
    client.peer.send_bytes(&bytes[..8]).await;
    client.peer.send_bytes(&bytes[8..9]).await;
    world.in_flight_becomes(1).await;
    client.peer.send_bytes(&bytes[9..]).await;
    app.next().await.answer("ok");
    client.read_kind(DATA).await;
    world.in_flight_becomes(0).await;
    // Broken off in its first frame, reset before it is whole, and a connection that ends under it.
    client.peer.send_bytes(&frame(HEADERS, END_STREAM, 3, GET_BLOCK)).await;
    world.in_flight_becomes(1).await;
    drop(client);
    world.in_flight_becomes(0).await;
    let mut client = Raw::connect(&world, &[]).await;
    client.send(HEADERS, END_HEADERS, 1, GET_BLOCK).await;
    let asked = app.next().await;
    assert_eq!(world.in_flight(), 1);
    client.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]).await;
    world.in_flight_becomes(0).await;
    drop(asked);
    client.get(3).await;
    client.get(5).await;
    world.in_flight_becomes(2).await;
    client.peer.reset();
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 5);
}

#[tokio::test]
async fn an_answer_counts_until_its_last_byte_has_been_handed_to_the_socket() {
    let world = Arc::new(World::start().await);
    let mut app = App::start(&world);
    // Windows as large as can be, and a client that reads nothing: the answer stops in the socket or before.
    let mut client = Raw::connect(&world, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).await;
    client.send(super::http2_harness::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]).await;
    client.get(1).await;
    let mut stream = app.next().await.begin();
    let size = 24 * 1024 * 1024;
    let pouring = tokio::spawn(async move {
        super::http2_harness::pour(&mut stream, Bytes::from(vec![7; size]), true).await;
    });
    let mut read = 0;
    while read < size {
        let frame = client.read_kind(DATA).await;
        read += frame.payload.len();
        if read + 8 * 1024 * 1024 < size {
            // The kernel holds at most six MiB for a receiver and four for a sender here: more is still to come.
            assert_eq!(world.in_flight(), 1, "after {read} bytes");
        }
    }
    pouring.await.unwrap();
    world.in_flight_becomes(0).await;
}
