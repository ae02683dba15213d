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

/// A hundred clients that have all asked for something, in either relaying mode: `tcp` has the same two sockets for each.
async fn crowd(mode: &str) -> (Sidecar, Vec<TcpStream>) {
    let app = App::start().await;
    let sidecar = Sidecar::with_files(app.address, &["--mode", mode], Some(FILES)).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = TcpStream::connect(sidecar.traffic).await.unwrap();
        send(&mut client, "/later").await;
        clients.push(client);
    }
    becomes("as many as fit are taken", async || sidecar.metric("connections").await == TAKEN).await;
    becomes("it says that it is full", async || sidecar.get("/readyz").await.0 == 503).await;
    assert_eq!(sidecar.get("/v1/in-flight").await.0, 200, "reports and drains have descriptors of their own");
    (sidecar, clients)
}

async fn recovers(sidecar: &Sidecar) {
    soon("it recovers", sidecar.is_empty()).await;
    assert_eq!(sidecar.get("/readyz").await.0, 200);
    tokio::time::timeout(Duration::from_secs(5), async {
        let mut client = TcpStream::connect(sidecar.traffic).await.unwrap();
        send(&mut client, "/").await;
        answered(&mut client).await;
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_open_files_all_are_served_as_idle_ones_make_room_and_nothing_spins() {
    let (sidecar, mut clients) = crowd("http").await;
    let (ticks, lines) = (sidecar.ticks(), sidecar.log_lines());
    // Those that have their answer stay where they are: they are closed for those that wait.
    for client in &mut clients {
        answered(client).await;
    }
    assert!(sidecar.ticks() - ticks < 100, "it spins");
    assert!(sidecar.log_lines() - lines < 5, "it floods its log");
    drop(clients);
    recovers(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_tcp_mode_where_none_is_known_to_be_idle_all_are_served_as_others_end() {
    let (sidecar, mut clients) = crowd("tcp").await;
    let (ticks, lines) = (sidecar.ticks(), sidecar.log_lines());
    let waited = clients.split_off(usize::try_from(TAKEN).unwrap());
    for client in &mut clients {
        answered(client).await;
        send(client, "/").await;
        answered(client).await;
    }
    assert!(sidecar.ticks() - ticks < 100, "it spins");
    assert!(sidecar.log_lines() - lines < 5, "it floods its log");
    drop(clients);
    for mut client in waited {
        answered(&mut client).await;
    }
    recovers(&sidecar).await;
}
