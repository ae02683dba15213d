//! A flood of the admin port takes away no probe, no drain command and no traffic: the program itself.

use super::harness::{GET, OK};
use super::process::Program;
use restart_controller::wire::{self, DrainAction, DrainCommand, InFlightReport, NewRequests};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for a probe or a command during the flood: a kubelet waits for 5 s (DESIGN 6), a machine may stall.
const IN_TIME: Duration = Duration::from_secs(4);
/// How often probes are asked during the flood.
const ROUNDS: usize = 20;
/// The flood must not be one of the machine: its own threads take more of it than what they send takes of the sidecar.
const BETWEEN_WAVES: Duration = Duration::from_millis(200);

const POLL_NEVER: &str = "GET /v1/in-flight?below=0&waitSeconds=60 HTTP/1.1\r\nHost: a\r\n\r\n";
const POLL: &str = "GET /v1/in-flight?below=1&waitSeconds=60 HTTP/1.1\r\nHost: a\r\n\r\n";
const HOOK: &str = "GET /wait-drained HTTP/1.1\r\nHost: a\r\n\r\n";
const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection to the admin port from the loopback address `127.0.1.last`.
fn connect_from(last: u8, admin: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 1, last], 0)).into()).unwrap();
    socket.connect_timeout(&admin.into(), IN_TIME).unwrap();
    let stream = TcpStream::from(OwnedFd::from(socket));
    stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    stream
}

/// An answer of the admin port, in time.
fn ask(admin: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&admin, IN_TIME).unwrap();
    stream.set_read_timeout(Some(IN_TIME)).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{path}: {error} after {:?}", began.elapsed()));
    assert!(began.elapsed() < IN_TIME, "{path}: {:?}", began.elapsed());
    answer
}

fn report(admin: SocketAddr) -> InFlightReport {
    let answer = ask(admin, "GET", wire::IN_FLIGHT_PATH, "");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn command(report: InFlightReport, action: DrainAction) -> String {
    let command = DrainCommand {
        pod_uid: report.pod_uid,
        boot: report.boot,
        challenge: report.challenge,
        action,
        ttl_seconds: 300,
        new_requests: NewRequests::Serve,
        key_id: "k1".into(),
        signature: String::new(),
    };
    serde_json::to_string(&command.signed(&super::drain::key())).unwrap()
}

/// Connections that the sidecar holds at its admin port: the kernel's table of sockets, in the states that it writes as
/// 01 (established) and 08 (the client has closed). Descriptors would count what a runtime opens as it starts.
fn connections(admin: SocketAddr) -> usize {
    let port = format!(":{:04X}", admin.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_held = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        columns.next().is_some_and(|local| local.ends_with(&port)) && matches!(columns.nth(1), Some("01" | "08"))
    };
    table.lines().filter(is_held).count()
}

/// Connections that ask for what lasts or for nothing at all, and are kept open.
fn lasting(admin: SocketAddr) -> Vec<TcpStream> {
    let asks = [(300, POLL_NEVER), (300, POLL), (100, HOOK), (1_000, "")];
    let mut kept = Vec::new();
    for (source, (count, ask)) in (1..).zip(asks) {
        for _ in 0..count {
            let mut stream = connect_from(source, admin);
            // It may have ended already, as the others of its source came.
            let _ = stream.write_all(ask.as_bytes());
            kept.push(stream);
        }
    }
    for _ in 0..8 {
        let mut stream = connect_from(5, admin);
        let _ = stream.write_all(METRICS.repeat(5_000).as_bytes());
        kept.push(stream);
    }
    kept
}

/// Garbage for `/v1/drain`, some of it of the right shape, until `stop` is set.
fn send_garbage(admin: SocketAddr, shaped: &str, stop: &AtomicBool) {
    let shaped = shaped.replace("\"keyId\":\"k1\"", &format!("\"keyId\":\"{}\"", "k\\n".repeat(1_000)));
    while !stop.load(Ordering::Relaxed) {
        for body in ["{}", &"x".repeat(20_000), &shaped] {
            let mut stream = connect_from(6, admin);
            let length = body.len();
            let head = format!("POST /v1/drain HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all((head + body).as_bytes());
            let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
            let _ = stream.read(&mut [0; 1_024]);
        }
    }
}

/// Ends the flood also when an assertion fails, since its threads are waited for.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_of_the_admin_port_takes_no_probe_no_command_and_no_traffic_away() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let trusted = wire::format_public_key("k1", &super::drain::key().verifying_key());
    let program = Program::start(app.local_addr().unwrap(), &["--pod-uid", "pod-1", "--trusted-key", &trusted]);
    let admin = program.admin;
    // One request stays in flight, so that a poll for less has to wait.
    let mut client = TcpStream::connect(program.listen).unwrap();
    client.write_all(GET.as_bytes()).unwrap();
    let accept = || loop {
        let (mut stream, _) = app.accept().unwrap();
        stream.set_read_timeout(Some(IN_TIME)).unwrap();
        let mut got = vec![0; GET.len()];
        // A probe connects and says nothing.
        if stream.read_exact(&mut got).is_ok() {
            return stream;
        }
    };
    let held = accept();
    assert!(ask(admin, "GET", "/livez", "").starts_with("HTTP/1.1 200 "));

    let (stop, waves) = (AtomicBool::new(false), AtomicUsize::new(0));
    let shaped = command(report(admin), DrainAction::Drain);
    std::thread::scope(|scope| {
        let _stopped = Stopped(&stop);
        scope.spawn(|| send_garbage(admin, &shaped, &stop));
        // Each wave is let go when the next one stands.
        scope.spawn(|| {
            let mut kept = lasting(admin);
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(BETWEEN_WAVES);
                kept = lasting(admin);
                waves.fetch_add(1, Ordering::Relaxed);
            }
            drop(kept);
        });
        std::thread::sleep(Duration::from_millis(300));
        let mut slowest = Duration::ZERO;
        for _ in 0..ROUNDS {
            for path in ["/livez", "/readyz"] {
                let began = Instant::now();
                let answer = ask(admin, "GET", path, "");
                assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
                slowest = slowest.max(began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("{} waves; the slowest probe took {slowest:?}", waves.load(Ordering::Relaxed));
        for (action, in_force) in [(DrainAction::Drain, true), (DrainAction::Release, false)] {
            let signed = command(report(admin), action);
            let answer = ask(admin, "POST", wire::DRAIN_PATH, &signed);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            let after = report(admin);
            assert_eq!((after.lease.is_some(), after.in_flight), (in_force, 1));
        }
        let mut other = TcpStream::connect(program.listen).unwrap();
        other.set_read_timeout(Some(IN_TIME)).unwrap();
        other.write_all(GET.as_bytes()).unwrap();
        let mut serving = accept();
        serving.write_all(OK.as_bytes()).unwrap();
        let mut got = vec![0; OK.len()];
        other.read_exact(&mut got).unwrap();
        assert_eq!(got, OK.as_bytes());
        stop.store(true, Ordering::Relaxed);
    });

    closes(admin);
    drop((held, client));
}

/// Waits until the sidecar holds no connection at its admin port.
fn closes(admin: SocketAddr) {
    let began = Instant::now();
    while connections(admin) > 0 {
        assert!(began.elapsed() < IN_TIME, "{} connections stay", connections(admin));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn answers_that_are_not_taken_end_the_connection() {
    const ASKED: usize = 5_000;
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::start(app.local_addr().unwrap(), &[]);
    let page = ask(program.admin, "GET", "/metrics", "").len();
    closes(program.admin);
    let mut stream = connect_from(1, program.admin);
    let _ = stream.write_all(METRICS.repeat(ASKED).as_bytes());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(connections(program.admin), 1, "it has its time");
    let began = Instant::now();
    while connections(program.admin) > 0 {
        assert!(began.elapsed() < Duration::from_secs(14), "the connection stays");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() < ASKED * page / 2, "{} bytes were waited with", got.len());
}

#[test]
fn a_poll_that_could_never_be_answered_is_refused_and_a_silent_connection_ends() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::start(app.local_addr().unwrap(), &[]);
    let refused = ask(program.admin, "GET", "/v1/in-flight?below=0&waitSeconds=60", "");
    assert!(refused.starts_with("HTTP/1.1 400 ") && refused.contains("below must be at least 1"), "{refused}");
    let silent = TcpStream::connect(program.admin).unwrap();
    let began = Instant::now();
    silent.set_read_timeout(Some(IN_TIME + Duration::from_secs(2))).unwrap();
    assert_eq!((&silent).read(&mut [0]).unwrap(), 0, "one that asks for nothing is closed");
    assert!(began.elapsed() < IN_TIME + Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_probe_tells_what_it_was_answered_in_the_next_report() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::start(app.local_addr().unwrap(), &[]);
    assert_eq!(report(program.admin).last_probe, None);
    assert!(ask(program.admin, "GET", "/readyz", "").starts_with("HTTP/1.1 200 "));
    assert_eq!(report(program.admin).last_probe, Some(true));
    drop(app);
    std::thread::sleep(Duration::from_millis(600));
    assert!(ask(program.admin, "GET", "/readyz", "").starts_with("HTTP/1.1 503 "));
    assert_eq!(report(program.admin).last_probe, Some(false));
}
