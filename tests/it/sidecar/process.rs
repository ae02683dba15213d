//! The program itself: its two verbs, its exit, its errors.

use super::harness::{GET, OK, Peer, soon};
use restart_controller::wire;
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restart-sidecar"));
    command.kill_on_drop(true).env_remove("POD_UID").stderr(Stdio::piped());
    command
}

/// A running sidecar, its traffic address and its control socket.
async fn run(app: SocketAddr) -> (Child, SocketAddr, String) {
    let socket = format!("test-{}", wire::random_id());
    let arguments =
        ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.2:0", "--control-socket", &socket, "--upstream"];
    let mut child = program().args(arguments).arg(app.to_string()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let started = soon("the start", lines.next_line()).await.unwrap().unwrap();
    let listen = started.split_once("listen=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, listen, socket)
}

#[tokio::test]
async fn after_sigterm_it_finishes_what_is_in_flight_and_exits_0() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut child, listen, _) = run(listener.local_addr().unwrap()).await;
    let mut client = Peer::new(TcpStream::connect(listen).await.unwrap());
    client.send(GET).await;
    let mut app = Peer::new(listener.accept().await.unwrap().0);
    app.expect(GET).await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let refused = async { while TcpStream::connect(listen).await.is_ok() {} };
    soon("the listener closes", refused).await;
    assert!(child.try_wait().unwrap().is_none(), "it waits for the request");
    app.send(OK).await;
    assert!(client.head().await.contains("Connection: close"));
    client.expect("ok").await;
    client.closes().await;
    drop(client);
    assert!(soon("the exit", child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn the_hook_reaches_the_running_program_and_fails_without_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_child, _, socket) = run(listener.local_addr().unwrap()).await;
    let told = soon("the hook", program().args(["terminating", "--control-socket", &socket]).output()).await.unwrap();
    assert!(told.status.success(), "{told:?}");
    let nobody = program().args(["terminating", "--control-socket", "nobody"]).output().await.unwrap();
    assert!(!nobody.status.success());
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("no sidecar listens"));
}

#[tokio::test]
async fn bad_arguments_are_refused_with_a_sentence() {
    for (arguments, part) in [
        (vec!["run", "--upstream", "10.0.0.1:80"], "loopback"),
        (vec!["run", "--trusted-key", "k1=AAAA"], "32 bytes"),
        (vec!["run", "--listen", "127.0.0.1:1", "--admin", "127.0.0.1:1"], "different"),
        (vec!["run", "--log", "=="], "--log"),
        (vec!["wait"], "unrecognized"),
    ] {
        let refused = program().args(&arguments).output().await.unwrap();
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && message.contains(part), "{arguments:?}: {message}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let socket = format!("test-{}", wire::random_id());
    let refused = program().args(["run", "--listen", &address, "--control-socket", &socket]).output().await.unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && message.contains(&address), "{message}");
}
