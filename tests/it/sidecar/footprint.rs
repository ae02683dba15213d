//! What the program costs that is in every pod: its start, and what an idle connection holds.

use super::process::Program;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

const STARTS: usize = 15;
const LONGEST_START: Duration = Duration::from_millis(50);

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn it_listens_within_fifty_milliseconds_before_there_is_an_app() {
    let (mut starts, mut others) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let began = Instant::now();
        let program = Program::start(nobody(), &[]);
        TcpStream::connect(program.listen).unwrap();
        starts.push(began.elapsed());
        assert!(program.ask("GET", "/livez", "").starts_with("HTTP/1.1 200 "), "the app's start waits for this");
        assert!(program.ask("GET", "/readyz", "").starts_with("HTTP/1.1 503 "), "and Services for the app");
        // What the machine takes to start any program at all.
        let began = Instant::now();
        Command::new("true").status().unwrap();
        others.push(began.elapsed());
    }
    let (start, other) = (median(starts), median(others));
    println!("listens after {start:?} (median of {STARTS}); any program takes {other:?}");
    assert!(start <= LONGEST_START + other, "{start:?}, any program {other:?}");
}

const CONNECTIONS: u64 = 500;
/// In bytes. Of HTTP/2 the engine's own buffers are 24 KiB (8 to read, 16 to write), of which not every page is touched.
const HTTP1_EACH: u64 = 8 * 1024;
const HTTP2_EACH: u64 = 24 * 1024;

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What each of many connections holds that have said `hello`, heard `answer` bytes and are idle since.
fn each_holds(program: &Program, hello: &[u8], answer: usize) -> u64 {
    let open = |count: u64| -> Vec<TcpStream> {
        let connect = |_| {
            let mut stream = TcpStream::connect(program.listen).unwrap();
            stream.write_all(hello).unwrap();
            stream.read_exact(&mut vec![0; answer]).unwrap();
            stream
        };
        (0..count).map(connect).collect()
    };
    // What the first ones cost is not theirs alone.
    let _first = open(20);
    let before = resident(program.pid());
    let _idle = open(CONNECTIONS);
    resident(program.pid()).saturating_sub(before) / CONNECTIONS
}

#[test]
fn an_idle_connection_holds_little() {
    let program = Program::start(nobody(), &[]);
    let plain = each_holds(&program, b"", 0);
    // The preface and an empty SETTINGS; the answer begins with a frame of SETTINGS.
    let http2 = each_holds(&program, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 9);
    println!("an idle connection holds {plain} bytes; one of HTTP/2 {http2} bytes");
    assert!(plain <= HTTP1_EACH && http2 <= HTTP2_EACH, "{plain} and {http2} bytes");
}
