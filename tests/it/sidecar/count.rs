//! The count against the truth: a ledger kept by both ends of a few thousand requests, half of them ill-behaved.

use super::harness::{GET, OK, Peer, World, soon};
use restart_controller::sidecar::state::Shared;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;

#[tokio::test]
async fn a_request_counts_from_its_first_byte_to_the_last_of_its_answer() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send("\r\n\r\n").await;
    client.send("G").await;
    world.in_flight_becomes(1).await;
    client.send(&GET[1..]).await;
    let mut app = world.app().await;
    app.expect(GET).await;
    app.send(&OK[..OK.len() - 1]).await;
    client.expect(&OK[..OK.len() - 1]).await;
    assert_eq!(world.in_flight(), 1);
    app.send("k").await;
    client.expect("k").await;
    world.in_flight_becomes(0).await;
    assert_eq!(world.sidecar.shared.in_flight.total(), 1);
}

#[tokio::test]
async fn a_head_that_breaks_off_counts_until_then() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send("GET / HTTP/1.1\r\nHo").await;
    world.in_flight_becomes(1).await;
    drop(client);
    world.in_flight_becomes(0).await;
}

#[tokio::test]
async fn empty_lines_and_idle_connections_are_no_requests() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send("\r\n\r\n\r").await;
    world.one_request().await;
    assert_eq!((world.in_flight(), world.sidecar.shared.in_flight.total()), (0, 1));
}

#[tokio::test]
async fn requests_to_the_admin_port_are_not_counted() {
    let world = World::start().await;
    for path in ["/livez", "/readyz", "/metrics", "/v1/in-flight", "/nothing"] {
        world.get(path).await;
    }
    let report = world.report().await;
    assert_eq!((report.in_flight, report.last_arrival_ago_millis), (0, None));
    assert_eq!(world.sidecar.shared.in_flight.total(), 0);
}

const CLIENTS: u64 = 40;
const REQUESTS_EACH: u64 = 75;

/// Requests that the app has begun, and that neither it has answered nor their client has given up.
#[derive(Default)]
struct Truth {
    open: Mutex<HashSet<u64>>,
    begun: Mutex<HashSet<u64>>,
    changed: Notify,
}

impl Truth {
    fn begin(&self, id: u64, shared: &Shared) {
        self.open.lock().unwrap().insert(id);
        assert!(self.begun.lock().unwrap().insert(id), "request {id} was sent to the app twice");
        self.check(shared);
        self.changed.notify_waiters();
    }

    fn end(&self, id: u64, shared: &Shared) {
        self.check(shared);
        self.open.lock().unwrap().remove(&id);
    }

    /// All run in one thread: no request begins or ends between the two readings.
    fn check(&self, shared: &Shared) {
        let open = self.open.lock().unwrap().len() as u64;
        assert!(shared.in_flight.now() >= open, "{} counted of {open}", shared.in_flight.now());
    }

    async fn has_begun(&self, id: u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.begun.lock().unwrap().contains(&id) {
                return;
            }
            changed.await;
        }
    }
}

/// The app: `/ID/KIND`, each connection served to its end.
async fn serve_app(world: Arc<World>, truth: Arc<Truth>) {
    loop {
        let mut peer = world.app().await;
        let (truth, shared) = (Arc::clone(&truth), Arc::clone(&world.sidecar.shared));
        tokio::spawn(async move {
            while let Some(head) = read_head(&mut peer.stream).await {
                if !answer(&mut peer, &head, &truth, &shared).await {
                    return;
                }
            }
        });
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Whether the connection goes on.
async fn answer(peer: &mut Peer, head: &str, truth: &Truth, shared: &Shared) -> bool {
    let path = head.split(' ').nth(1).unwrap();
    let (id, kind) = path[1..].split_once('/').unwrap();
    let id: u64 = id.parse().unwrap();
    truth.begin(id, shared);
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    if peer.stream.read_exact(&mut vec![0; length]).await.is_err() {
        return false;
    }
    tokio::time::sleep(std::time::Duration::from_millis(id % 7)).await;
    let answer = match kind {
        // Given up by its client: the connection ends when the sidecar passes that on.
        "reset" => return peer.stream.read_u8().await.is_ok(),
        "chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "close" => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        "upgrade" => "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        _ => OK,
    };
    if kind == "upgrade" {
        peer.send(answer).await;
        peer.expect("ping").await;
        truth.end(id, shared);
        peer.send("pong").await;
        return false;
    }
    truth.end(id, shared);
    peer.send(answer).await;
    kind != "close"
}

struct Client<'a> {
    world: &'a World,
    truth: &'a Truth,
    kept: Option<Peer>,
}

impl Client<'_> {
    async fn connection(&mut self) -> Peer {
        match self.kept.take() {
            Some(peer) => peer,
            None => self.world.client().await,
        }
    }

    /// One or two requests of a kind; answers how many.
    async fn request(&mut self, id: u64, kind: u64) -> u64 {
        let head = |id: u64, kind: &str| format!("GET /{id}/{kind} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut peer = self.connection().await;
        match kind {
            0 => {
                peer.send(&head(id, "reset")).await;
                soon("the app begins", self.truth.has_begun(id)).await;
                self.truth.end(id, &self.world.sidecar.shared);
                peer.reset();
                return 1;
            }
            1 => {
                peer.send(&format!("POST /{id}/reset HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")).await;
                soon("the app begins", self.truth.has_begun(id)).await;
                self.truth.end(id, &self.world.sidecar.shared);
                drop(peer);
                return 1;
            }
            2 => {
                peer.send(&head(id, "close")).await;
                assert!(peer.rest().await.ends_with(b"until the end"));
                return 1;
            }
            3 => {
                peer.send(&format!("GET /{id}/upgrade HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nping"))
                    .await;
                peer.head().await;
                peer.expect("pong").await;
                peer.closes().await;
                return 1;
            }
            4 => {
                peer.send(&format!("{}{}", head(id, "plain"), head(id + 1, "plain"))).await;
                peer.expect(OK).await;
                peer.expect(OK).await;
                self.kept = Some(peer);
                return 2;
            }
            5 => {
                peer.send(&head(id, "chunked")).await;
                peer.head().await;
                peer.expect("3\r\nabc\r\n0\r\n\r\n").await;
            }
            6 => {
                peer.send(&format!("POST /{id}/plain HTTP/1.1\r\nContent-Length: 70000\r\n\r\n{}", "b".repeat(70_000)))
                    .await;
                peer.expect(OK).await;
            }
            7 => {
                peer.send(&head(id, "plain")).await;
                peer.half_close().await;
                peer.expect(OK).await;
                peer.closes().await;
                return 1;
            }
            _ => {
                peer.send(&head(id, "plain")).await;
                peer.expect(OK).await;
            }
        }
        self.kept = Some(peer);
        1
    }
}

#[tokio::test]
async fn thousands_of_mixed_requests_are_counted_exactly_and_never_below_the_truth() {
    let (world, truth) = (Arc::new(World::start().await), Arc::new(Truth::default()));
    let app = tokio::spawn(serve_app(Arc::clone(&world), Arc::clone(&truth)));
    let clients = (0..CLIENTS).map(|client| {
        let (world, truth) = (&world, &truth);
        async move {
            let mut this = Client { world, truth, kept: None };
            let mut requests = 0;
            for n in 0..REQUESTS_EACH {
                // A fixed mix that differs between clients and puts every kind after every other.
                let kind = (client * 7 + n * n * 3 + n / 5) % 12;
                requests += this.request((client * REQUESTS_EACH + n) * 2, kind).await;
            }
            requests
        }
    });
    let requests: u64 = futures::future::join_all(clients).await.into_iter().sum();
    world.in_flight_becomes(0).await;
    assert!(requests >= CLIENTS * REQUESTS_EACH);
    assert_eq!(world.sidecar.shared.in_flight.total(), requests);
    assert_eq!(truth.begun.lock().unwrap().len() as u64, requests);
    app.abort();
    world.becomes("all connections closed", || world.sidecar.shared.connections.now() == 0).await;
}
