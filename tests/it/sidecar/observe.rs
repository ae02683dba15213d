//! `observe` mode: no relay; the kernel's list of the app's connections is the count.

use super::drain::lease;
use super::harness::{GET, OK, Peer, World, soon};
use restart_controller::wire::{self, Mode, NewRequests};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const QUIET: Duration = Duration::from_millis(400);

async fn world() -> World {
    let trusted = wire::format_public_key("k1", &super::drain::key().verifying_key());
    World::with(&["--mode", "observe", "--quiet-millis", "400", "--trusted-key", &trusted]).await
}

/// A client of the app itself.
async fn pair(world: &World) -> (Peer, Peer) {
    let client = Peer::new(TcpStream::connect(world.app_address()).await.unwrap());
    let app = world.app().await;
    (client, app)
}

/// Waits until the report says so.
async fn reports(world: &World, in_flight: u64) {
    soon(&format!("{in_flight} reported in flight"), async {
        while world.report().await.in_flight != in_flight {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_counts_from_its_bytes_until_its_answer_has_been_still_for_the_quiet_window() {
    let world = world().await;
    let (mut client, mut app) = pair(&world).await;
    let idle = world.report().await;
    assert_eq!((idle.mode, idle.in_flight), (Mode::Observe, 0), "a connection that has sent nothing waits for nothing");
    client.send(GET).await;
    assert_eq!(world.report().await.in_flight, 1, "a report is never older than its question");
    app.expect(GET).await;
    // Longer than the quiet window: the answer is still owed.
    tokio::time::sleep(QUIET * 2).await;
    assert_eq!(world.report().await.in_flight, 1);
    app.send(OK).await;
    client.expect(OK).await;
    let answered = Instant::now();
    assert_eq!(world.report().await.in_flight, 1);
    reports(&world, 0).await;
    assert!(answered.elapsed() + Duration::from_millis(10) >= QUIET, "{:?}", answered.elapsed());
    // The next one on the same connection.
    client.send(GET).await;
    assert_eq!(world.report().await.in_flight, 1);
    drop((client, app));
    reports(&world, 0).await;
}

#[tokio::test]
async fn bytes_of_the_app_that_are_no_answer_hide_no_request() {
    let world = world().await;
    let (mut client, mut app) = pair(&world).await;
    // As in TLS 1.3: a greeting, the app's part of the handshake, then the client's end of it and its first request in one.
    client.send(GET).await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
    client.send(GET).await;
    app.expect(GET).await;
    // Session tickets: in the same tick of the kernel's clock, or in a later one.
    for later in [Duration::ZERO, Duration::from_millis(50)] {
        tokio::time::sleep(later).await;
        app.send("a ticket").await;
        client.expect("a ticket").await;
        for _ in 0..8 {
            tokio::time::sleep(QUIET / 4).await;
            assert_eq!(world.report().await.in_flight, 1, "its request has no answer yet");
        }
    }
    app.send(&"x".repeat(20_000)).await;
    client.expect(&"x".repeat(20_000)).await;
    reports(&world, 0).await;
}

/// What all threads of a process have run so far.
fn ran(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = |task: std::io::Result<std::fs::DirEntry>| -> u64 {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    Duration::from_nanos(tasks.map(nanos).sum())
}

#[test]
fn it_costs_nothing_while_nothing_asks() {
    const WHILE: Duration = Duration::from_secs(4);
    let app = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let program = super::process::Program::start(app.local_addr().unwrap(), &["--mode", "observe"]);
    program.report();
    std::thread::sleep(Duration::from_millis(200));
    let before = ran(program.pid());
    std::thread::sleep(WHILE);
    let ran = ran(program.pid()).saturating_sub(before);
    println!("idle in observe mode: {ran:?} of {WHILE:?}");
    // A twentieth of a percent of a core.
    assert!(ran <= WHILE / 2_000, "{ran:?} of {WHILE:?}");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_in_flight_also_when_the_app_has_closed() {
    let world = world().await;
    let (mut client, mut app) = pair(&world).await;
    client.send(GET).await;
    app.expect(GET).await;
    let mut writing = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut app.stream, &vec![7; 16 * 1024 * 1024]).await.unwrap();
    });
    assert!(tokio::time::timeout(QUIET * 2, &mut writing).await.is_err(), "it waits for its reader");
    assert_eq!(world.report().await.in_flight, 1);
    let mut taken = vec![0; 16 * 1024 * 1024];
    soon("the answer", tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut taken)).await.unwrap();
    writing.await.unwrap();
    reports(&world, 0).await;
}

#[tokio::test]
async fn connections_of_others_and_to_others_are_not_the_apps() {
    let world = world().await;
    for _ in 0..3 {
        world.report().await;
    }
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stranger = Peer::new(TcpStream::connect(elsewhere.local_addr().unwrap()).await.unwrap());
    stranger.send("not for the app").await;
    assert_eq!(world.report().await.in_flight, 0);
}

#[tokio::test]
async fn the_app_is_held_while_a_connection_is_at_work() {
    let world = world().await;
    for _ in 0..30 {
        let (mut client, mut app) = pair(&world).await;
        client.send(GET).await;
        app.expect(GET).await;
        world.report().await;
    }
    let (mut client, mut app) = pair(&world).await;
    client.send(GET).await;
    app.expect(GET).await;
    lease(&world, 30, NewRequests::Serve).await;
    assert_eq!(world.get("/readyz").await.0, 503);
    world.sidecar.shared.terminate();
    let waiting = world.get("/wait-drained");
    let answering = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        app.send(OK).await;
        client.expect(OK).await;
        Instant::now()
    };
    let ((_, body), answered) = tokio::join!(waiting, answering);
    assert_eq!(body, "drained\n");
    assert!(answered.elapsed() + Duration::from_millis(10) >= QUIET, "its connection had to be still first");
}

#[tokio::test]
async fn it_runs_without_any_capability() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = format!("test-{}", wire::random_id());
    let upstream = listener.local_addr().unwrap().to_string();
    // No capability, and none to be had.
    let mut child = tokio::process::Command::new("setpriv")
        .args(["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"])
        .arg(env!("CARGO_BIN_EXE_restart-sidecar"))
        .args(["run", "--mode", "observe", "--admin", "127.0.0.3:0", "--control-socket", &socket])
        .args(["--upstream", &upstream])
        .kill_on_drop(true)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stderr.take().unwrap()));
    let started = soon("the start", lines.next_line()).await.unwrap().unwrap();
    assert!(started.contains("mode=Observe"), "{started}");
    let admin = started.split_once("admin=").unwrap().1.split(' ').next().unwrap();
    let mut client = Peer::new(TcpStream::connect(&upstream).await.unwrap());
    client.send(GET).await;
    let mut asking = Peer::new(TcpStream::connect(admin).await.unwrap());
    asking.send("GET /v1/in-flight HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let report = String::from_utf8(asking.rest().await).unwrap();
    assert!(report.contains("\"mode\":\"Observe\"") && report.contains("\"inFlight\":1"), "{report}");
}
