//! A sidecar with few open files: it takes no more than it can serve, and nothing else suffers.

use crate::support::{App, Sidecar, becomes, soon};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const FILES: u32 = 64;
/// What the sidecar takes with so many: see `sidecar::descriptors`.
const TAKEN: u64 = 12;

async fn send(client: &mut TcpStream, path: &str) {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
}

async fn answered(client: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\naaaaaaaaaaaaaaaa") {
        answer.push(soon("an answer", client.read_u8()).await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
}

/// In either relaying mode: `tcp` has the same two sockets for each client.
async fn exhausted(mode: &str) {
    let app = App::start().await;
    let sidecar = Sidecar::with_files(app.address, &["--mode", mode], Some(FILES)).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(TcpStream::connect(sidecar.traffic).await.unwrap());
    }
    becomes("as many as fit are taken", async || sidecar.metric("connections").await == TAKEN).await;
    // All at once, each with a connection to the app.
    for client in &mut clients {
        send(client, "/later").await;
    }
    let taken = &mut clients[..usize::try_from(TAKEN).unwrap()];
    let (ticks, lines) = (sidecar.ticks(), sidecar.log_lines());
    for client in taken.iter_mut() {
        answered(client).await;
        send(client, "/later").await;
    }
    assert_eq!(sidecar.get("/readyz").await.0, 200, "probes, reports and drains have descriptors of their own");
    assert_eq!(sidecar.get("/v1/in-flight").await.0, 200);
    for client in taken.iter_mut() {
        answered(client).await;
    }
    assert!(sidecar.ticks() - ticks < 100, "it spins");
    assert!(sidecar.log_lines() - lines < 5, "it floods its log");
    // As connections end, those that wait are served, to the last.
    let waited = clients.split_off(usize::try_from(TAKEN).unwrap());
    drop(clients);
    for mut client in waited {
        answered(&mut client).await;
    }
    soon("it recovers", sidecar.is_empty()).await;
    tokio::time::timeout(Duration::from_secs(5), async {
        let mut client = TcpStream::connect(sidecar.traffic).await.unwrap();
        send(&mut client, "/").await;
        answered(&mut client).await;
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_open_files_nothing_spins_or_falls_and_the_admin_port_answers() {
    exhausted("http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_in_tcp_mode() {
    exhausted("tcp").await;
}
