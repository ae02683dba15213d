//! Ten thousand idle connections: what they cost, that they still work, and that their memory comes back.

use crate::support::{App, Sidecar, becomes, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 10_000;
/// Those before them.
const FIRST: u64 = 256;
/// Memory that one idle connection of HTTP/1.1 may cost, in bytes.
const MOST_BYTES: u64 = 4_096;

/// What may be resident more after all have gone than before they came, in KiB: buffers kept for reuse, half a page here
/// and there. Without being asked the C library would keep 29 MB.
const KEPT_KIB: u64 = 2_048;

async fn request(client: &mut TcpStream) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\naaaaaaaaaaaaaaaa") {
        let mut piece = [0; 1024];
        let count = soon("an answer", client.read(&mut piece)).await.unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend(&piece[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_are_cheap_and_their_memory_comes_back() {
    let app = App::start().await;
    let sidecar = Sidecar::start(app.address, &["--max-connections", "10000"]).await;
    // What the first connections bring with them stays: buffers for reuse, of each thread.
    wave(&sidecar, FIRST).await;
    let before = sidecar.resident_kib();
    let full = wave(&sidecar, CONNECTIONS).await;
    let each = full.saturating_sub(before) * 1024 / CONNECTIONS;
    becomes("memory comes back", async || sidecar.resident_kib() <= before + KEPT_KIB).await;
    let after = sidecar.resident_kib();
    println!("{CONNECTIONS} idle connections: {each} bytes each; {before} KiB before, {full} KiB, {after} KiB after");
    if cfg!(debug_assertions) && std::env::var_os("SUITES_SIDECAR").is_none() {
        println!("not judged: a program for debugging");
    } else {
        assert!(each <= MOST_BYTES, "{each} bytes per idle connection");
    }
}

/// All connections open and used at once, then idle, then gone; the resident memory in between, in KiB.
async fn wave(sidecar: &Sidecar, connections: u64) -> u64 {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = TcpStream::connect(sidecar.traffic).await.unwrap();
        // Each has been used: a connection that waits for its first request could cost less.
        request(&mut client).await;
        clients.push(client);
    }
    assert_eq!(sidecar.metric("connections").await, connections);
    assert_eq!(sidecar.metric("in_flight").await, 0);
    let (ticks, full) = (sidecar.ticks(), sidecar.resident_kib());
    for client in clients.iter_mut().step_by(997) {
        request(client).await;
    }
    assert!(sidecar.ticks() - ticks < 100, "idle connections keep it busy");
    drop(clients);
    sidecar.is_empty().await;
    full
}
