//! How soon the edge to zero reaches a client that waits for it (`/v1/in-flight?below=1&waitSeconds=S`).
//!
//! From the app's last byte handed to its socket to the first byte of the report read by the waiting client: the program
//! itself, its own process, over loopback. Interleaved with it a byte goes to another thread and back, which takes the
//! machine as many wake-ups: what is left of the edge without that is the sidecar's own.

use super::harness::{GET, OK};
use super::process::Program;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const EDGES: usize = 400;
const LIMIT: Duration = Duration::from_millis(5);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut some = [0; 4096];
        let length = stream.read(&mut some).unwrap();
        assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&some[..length]);
    }
    String::from_utf8(read).unwrap()
}

fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
}

/// Bytes that come back from another thread.
fn echo() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = connect(listener.local_addr().unwrap());
    let (mut far, _) = listener.accept().unwrap();
    far.set_nodelay(true).unwrap();
    std::thread::spawn(move || {
        let mut byte = [0];
        while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
    });
    near
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}

#[test]
fn the_edge_to_zero_reaches_a_waiting_client_within_five_milliseconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::start(listener.local_addr().unwrap(), &[]);
    let (mut client, mut poll, mut live) = (connect(program.listen), connect(program.admin), connect(program.admin));
    let mut echo = echo();
    let mut app: Option<TcpStream> = None;
    let (mut edges, mut pings) = (Vec::new(), Vec::new());
    for _ in 0..EDGES {
        client.write_all(GET.as_bytes()).unwrap();
        let app = app.get_or_insert_with(|| listener.accept().unwrap().0);
        app.set_nodelay(true).unwrap();
        assert_eq!(read_to(app, "\r\n\r\n"), GET);
        ask(&mut poll, "/v1/in-flight?below=1&waitSeconds=20");
        // The admin port has one thread and serves in turn: when this is answered, the poll waits.
        ask(&mut live, "/livez");
        read_to(&mut live, "ok\n");
        let began = Instant::now();
        app.write_all(OK.as_bytes()).unwrap();
        let mut first = [0];
        poll.read_exact(&mut first).unwrap();
        edges.push(began.elapsed());
        assert!(read_to(&mut poll, "}").contains("\"inFlight\":0"));
        assert_eq!(read_to(&mut client, "ok"), OK);
        let began = Instant::now();
        echo.write_all(&first).unwrap();
        echo.read_exact(&mut first).unwrap();
        pings.push(began.elapsed());
    }
    let (edge, noise) = (p99(edges), p99(pings));
    println!("edge to zero: p99 {edge:?} over {EDGES} edges; a byte there and back: p99 {noise:?}");
    assert!(edge <= LIMIT + noise, "p99 {edge:?}, of which the machine's own {noise:?}");
}
