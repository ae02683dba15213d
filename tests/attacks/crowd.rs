//! Many connections from several addresses of this machine, since one has too few ports.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Attackers at a time; each opens its connections one after the other.
const HANDS: usize = 16;
/// Connections that are kept open by each at most: this program has no more than 20,000 open files.
const KEPT: usize = 800;
/// An attacker that is not let in waits no longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Opens `count` connections in all to `target`, sends `bytes` on each as far as they are taken, and keeps them open.
pub async fn come(target: SocketAddr, count: usize, bytes: Vec<u8>) -> Vec<TcpStream> {
    let mut hands = JoinSet::new();
    for hand in 0..HANDS {
        let bytes = bytes.clone();
        hands.spawn(async move {
            let mut open = VecDeque::new();
            for _ in 0..count / HANDS {
                if let Ok(Some(stream)) = tokio::time::timeout(PATIENCE, one(hand, target, &bytes)).await {
                    open.push_back(stream);
                }
                if open.len() > KEPT {
                    open.pop_front();
                }
            }
            open
        });
    }
    hands.join_all().await.into_iter().flatten().collect()
}

async fn one(hand: usize, target: SocketAddr, bytes: &[u8]) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    let source = Ipv4Addr::new(127, 0, 1, u8::try_from(hand).ok()?);
    socket.bind((IpAddr::V4(source), 0).into()).ok()?;
    let mut stream = socket.connect(target).await.ok()?;
    // What is refused, or not taken, is no failure of an attack.
    let _ = tokio::time::timeout(PATIENCE, stream.write_all(bytes)).await;
    Some(stream)
}
