//! More connections to the app than the kernel has source ports for, in a network namespace of the test's own.

use super::harness::{Peer, World};
use nix::sched::{CloneFlags, unshare};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use tokio::net::TcpSocket;

/// What the kernel gives by itself: ten ports.
const RANGE: (u16, u16) = (40_000, 40_009);
const CONNECTIONS: u8 = 60;

/// From now on the thread has a network namespace of its own.
fn enter_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root, as the tests with a cluster do");
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
}

/// From now on its kernel gives few ports.
fn narrow_range() {
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", format!("{} {}", RANGE.0, RANGE.1)).unwrap();
}

/// A client at an address of its own, so that it needs no port that another has.
async fn client(world: &World, number: u8) -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 1, 0, number), 0))).unwrap();
    Peer::new(socket.connect(world.sidecar.listen).await.unwrap())
}

async fn open_all(arguments: &[&str]) {
    let world = World::with(arguments).await;
    narrow_range();
    let (mut open, mut beyond) = (vec![], 0);
    for number in 1..=CONNECTIONS {
        let mut client = client(&world, number).await;
        client.send("hello").await;
        let mut app = world.app().await;
        app.expect("hello").await;
        let port = app.stream.peer_addr().unwrap().port();
        beyond += usize::from(!(RANGE.0..=RANGE.1).contains(&port));
        open.push((client, app));
    }
    assert!(beyond >= usize::from(CONNECTIONS) - 10, "{beyond} connections came from spare ports");
    for (client, app) in &mut open {
        app.send("bye").await;
        client.expect("bye").await;
    }
}

#[test]
fn connections_beyond_the_kernels_own_ports_come_from_spare_ones() {
    for source in ["loopback", "127.0.0.9"] {
        let run = || {
            enter_namespace();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(open_all(&["--mode", "tcp", "--app-source", source]));
        };
        std::thread::spawn(run).join().unwrap();
    }
}
