//! Ten thousand idle connections: what they cost, that they still work, and that their memory comes back.

use crate::support::{App, Sidecar, becomes, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 10_000;
/// Memory that one idle connection of HTTP/1.1 may cost, in bytes.
const MOST_BYTES: u64 = 4_096;

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
async fn ten_thousand_idle_connections_are_cheap_and_leave_nothing() {
    let app = App::start().await;
    let sidecar = Sidecar::start(app.address, &["--max-connections", "10000"]).await;
    // What the first connections bring with them stays: buffers for reuse.
    for _ in 0..64 {
        request(&mut TcpStream::connect(sidecar.traffic).await.unwrap()).await;
    }
    sidecar.is_empty().await;
    let before = sidecar.resident_kib();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(sidecar.traffic).await.unwrap();
        // Each has been used: a connection that waits for its first request could cost less.
        request(&mut client).await;
        clients.push(client);
    }
    assert_eq!(sidecar.metric("connections").await, CONNECTIONS);
    assert_eq!(sidecar.metric("in_flight").await, 0);
    let ticks = sidecar.ticks();
    let full = sidecar.resident_kib();
    let each = full.saturating_sub(before) * 1024 / CONNECTIONS;
    for client in clients.iter_mut().step_by(997) {
        request(client).await;
    }
    assert!(sidecar.ticks() - ticks < 100, "idle connections keep it busy");
    // They leave as clients do, not all in one moment.
    while !clients.is_empty() {
        clients.truncate(clients.len().saturating_sub(100));
        let left = clients.len() as u64;
        becomes("they are gone", async || sidecar.metric("connections").await == left).await;
    }
    println!(
        "{CONNECTIONS} idle connections: {each} bytes each; {before} KiB before, {full} KiB, {} KiB after",
        sidecar.resident_kib()
    );
    becomes("memory is back", async || sidecar.resident_kib() < before + (full - before) / 4 + 2_048).await;
    if cfg!(debug_assertions) && std::env::var_os("SUITES_SIDECAR").is_none() {
        println!("not judged: a program for debugging");
    } else {
        assert!(each <= MOST_BYTES, "{each} bytes per idle connection");
    }
}
