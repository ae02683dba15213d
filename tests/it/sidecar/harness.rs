//! A sidecar between a client and an app that both speak bytes, so that each test decides every one of them.

use clap::Parser as _;
use restart_controller::sidecar::cli::{Cli, Verb};
use restart_controller::sidecar::{self, Sidecar};
use restart_controller::wire::{self, InFlightReport};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};

/// Longest wait for anything a test expects.
const PATIENCE: Duration = Duration::from_secs(20);

/// A plain request.
pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// A plain answer.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The app's consent to an upgrade.
pub const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A sidecar and the socket of its app.
pub struct World {
    pub sidecar: Sidecar,
    pub control_socket: String,
    app: App,
}

/// Where the app listens.
enum App {
    Port(TcpListener),
    Socket { listener: UnixListener, _directory: tempfile::TempDir },
}

impl App {
    async fn accept(&self) -> Peer {
        match self {
            Self::Port(listener) => Peer::new(listener.accept().await.unwrap().0),
            Self::Socket { listener, .. } => {
                let stream = listener.accept().await.unwrap().0.into_std().unwrap();
                // Read and written like any other.
                let stream = std::net::TcpStream::from(std::os::fd::OwnedFd::from(stream));
                Peer { stream: TcpStream::from_std(stream).unwrap() }
            }
        }
    }
}

impl World {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further arguments. One thread, unless they say otherwise, so that one client finds the connection to the app again
    /// that another has left.
    pub async fn with(arguments: &[&str]) -> Self {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = app.local_addr().unwrap().to_string();
        Self::before(App::Port(app), &upstream, arguments).await
    }

    /// The same before an app that listens on a Unix socket.
    pub async fn with_socket(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app");
        let app = UnixListener::bind(&path).unwrap();
        let upstream = format!("unix:{}", path.display());
        Self::before(App::Socket { listener: app, _directory: directory }, &upstream, arguments).await
    }

    async fn before(app: App, upstream: &str, arguments: &[&str]) -> Self {
        let (control_socket, any) = (format!("test-{}", wire::random_id()), "127.0.0.1:0");
        let mut all = vec!["restart-sidecar", "run", "--listen", any, "--admin", any, "--upstream", upstream];
        all.extend(["--control-socket", &control_socket, "--pod-uid", "pod-1"]);
        all.extend(arguments);
        if !arguments.contains(&"--threads") {
            all.extend(["--threads", "1"]);
        }
        let Verb::Run(run) = Cli::try_parse_from(all).unwrap().verb else { unreachable!() };
        Self { sidecar: sidecar::start(*run).await.unwrap(), control_socket, app }
    }

    /// A client and the app, after the app has agreed to `upgrade`.
    pub async fn tunnel(&self, upgrade: &str) -> (Peer, Peer) {
        let mut client = self.client().await;
        client.send(upgrade).await;
        let mut app = self.app().await;
        app.expect(upgrade).await;
        app.send(SWITCHING).await;
        client.expect(SWITCHING).await;
        (client, app)
    }

    pub async fn client(&self) -> Peer {
        Peer::new(TcpStream::connect(self.sidecar.listen).await.unwrap())
    }

    /// The next connection that the sidecar opens to the app.
    pub async fn app(&self) -> Peer {
        soon("a connection to the app", self.app.accept()).await
    }

    /// Where the app listens.
    pub fn app_address(&self) -> std::net::SocketAddr {
        match &self.app {
            App::Port(listener) => listener.local_addr().unwrap(),
            App::Socket { .. } => panic!("the app has no address"),
        }
    }

    /// The next connection that the sidecar opens to the app, whenever that is.
    pub async fn app_forever(&self) -> Peer {
        self.app.accept().await
    }

    /// The app stops listening.
    pub async fn without_app(mut self) -> Self {
        // The field must hold some listener; this one is on another port, since the first is still open.
        self.app = App::Port(TcpListener::bind("127.0.0.1:0").await.unwrap());
        self
    }

    pub fn in_flight(&self) -> u64 {
        self.sidecar.shared.in_flight.now()
    }

    /// Waits until exactly `count` requests are in flight.
    pub async fn in_flight_becomes(&self, count: u64) {
        self.becomes(&format!("{count} in flight"), || self.in_flight() == count).await;
    }

    pub async fn becomes(&self, what: &str, condition: impl Fn() -> bool) {
        let tick = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        soon(what, tick).await;
    }

    /// Status and body of an admin request.
    pub async fn admin(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let mut peer = Peer::new(TcpStream::connect(self.sidecar.admin).await.unwrap());
        let length = body.len();
        peer.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        ))
        .await;
        // A refused body may be answered before all of it is taken.
        let _ = peer.stream.write_all(body).await;
        let answer = String::from_utf8(peer.rest().await).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// After this, what a probe of `/readyz` found before is not answered any more.
    pub async fn last_look_is_old(&self) {
        tokio::time::sleep(Duration::from_millis(550)).await;
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        self.admin("GET", path, b"").await
    }

    pub async fn report(&self) -> InFlightReport {
        serde_json::from_str(&self.get(wire::IN_FLIGHT_PATH).await.1).unwrap()
    }

    /// One plain request on a connection of its own, answered by the app.
    pub async fn one_request(&self) {
        let (mut client, mut app) = self.exchange().await;
        app.send(OK).await;
        client.expect(OK).await;
    }

    /// A client whose request the app has received.
    pub async fn exchange(&self) -> (Peer, Peer) {
        let mut client = self.client().await;
        client.send(GET).await;
        let mut app = self.app().await;
        app.expect(GET).await;
        (client, app)
    }
}

/// One end of a connection.
pub struct Peer {
    pub stream: TcpStream,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        soon("the peer takes bytes", self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next bytes must be exactly these.
    pub async fn expect(&mut self, text: &str) {
        let mut got = vec![0; text.len()];
        let mut have = 0;
        while have < got.len() {
            let read = soon(&format!("{text:?}"), self.stream.read(&mut got[have..])).await.unwrap();
            assert!(read > 0, "closed after {:?} instead of {text:?}", String::from_utf8_lossy(&got[..have]));
            have += read;
        }
        assert_eq!(String::from_utf8_lossy(&got), text);
    }

    /// Everything up to and including the next empty line.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("a head", self.stream.read_u8()).await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// Everything up to the orderly close.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        soon("the close", self.stream.read_to_end(&mut rest)).await.unwrap();
        rest
    }

    /// The answer of the sidecar itself: its status; then the connection closes.
    pub async fn own_answer(&mut self) -> u16 {
        let answer = String::from_utf8(self.rest().await).unwrap();
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.contains("restart-sidecar: "), "{answer}");
        answer[9..12].parse().unwrap()
    }

    /// The orderly close and nothing before it.
    pub async fn closes(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest().await), "");
    }

    /// The connection ends by a reset.
    pub async fn is_reset(&mut self) {
        let ended = soon("the reset", self.stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_err(), "closed in order");
    }

    /// No more will be sent.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Ends the connection as a crash does.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}
