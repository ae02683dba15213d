//! The program itself: its two verbs, its exit, its errors.

use super::harness::{GET, OK, Peer, soon};
use restart_controller::wire::{self, DrainAction, DrainCommand, InFlightReport, NewRequests};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// The program, to be given its arguments.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restart-sidecar"));
    command.kill_on_drop(true).env_remove("POD_UID").stderr(Stdio::piped());
    command
}

/// A running sidecar for tests that wait by blocking.
pub struct Program {
    child: std::process::Child,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// The name of its control socket.
    pub socket: String,
}

impl Program {
    /// Returns when it says that it has started.
    pub fn start(app: SocketAddr, more: &[&str]) -> Self {
        let socket = format!("test-{}", wire::random_id());
        let (any, other) = ("127.0.0.1:0", "127.0.0.2:0");
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_restart-sidecar"))
            .args([
                "run",
                "--listen",
                any,
                "--admin",
                other,
                "--control-socket",
                &socket,
                "--upstream",
                &app.to_string(),
            ])
            .args(more)
            .env_remove("POD_UID")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut started = String::new();
        std::io::BufRead::read_line(&mut lines, &mut started).unwrap();
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let after = |name: &str| started.split_once(name).unwrap().1.split(' ').next().unwrap().parse().unwrap();
        Self { child, listen: after(" listen="), admin: after(" admin="), socket }
    }

    /// A whole answer of the admin port.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = std::net::TcpStream::connect(self.admin).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub fn report(&self) -> InFlightReport {
        let answer = self.ask("GET", wire::IN_FLIGHT_PATH, "");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
async fn the_hook_finds_the_sidecar_of_its_own_pod_where_pods_share_a_network_namespace() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mut pods = Vec::new();
    for _ in 0..2 {
        let uid = wire::random_id();
        let arguments = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.2:0", "--grace-seconds=0", "--upstream"];
        let mut child = program().env("POD_UID", &uid).args(arguments).arg(&app).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = soon("the start", lines.next_line()).await.unwrap().unwrap();
        let admin: SocketAddr = started.split_once("admin=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        pods.push((child, lines, admin, uid));
    }
    let hook = program().arg("terminating").env("POD_UID", &pods[1].3).output();
    let told = soon("the hook", hook).await.unwrap();
    assert!(told.status.success(), "{told:?}");
    for (pod, is_told) in pods.iter().zip([false, true]) {
        let mut asking = Peer::new(TcpStream::connect(pod.2).await.unwrap());
        asking.send("GET /v1/in-flight HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let report = String::from_utf8(asking.rest().await).unwrap();
        assert!(report.contains(&format!("\"terminating\":{is_told}")), "{report}");
    }
}

#[test]
fn a_restart_in_mid_drain_shows_and_the_new_process_obeys_nothing_that_was_meant_for_the_old() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let trusted = wire::format_public_key("k1", &super::drain::key().verifying_key());
    let start = || {
        let arguments = ["--pod-uid", "pod-1", "--trusted-key", &trusted];
        Program::start(listener.local_addr().unwrap(), &arguments)
    };
    let first = start();
    let before = first.report();
    let command = DrainCommand {
        pod_uid: before.pod_uid,
        boot: before.boot.clone(),
        challenge: before.challenge,
        action: DrainAction::Drain,
        ttl_seconds: 300,
        new_requests: NewRequests::Serve,
        key_id: "k1".into(),
        signature: String::new(),
    };
    let command = serde_json::to_string(&command.signed(&super::drain::key())).unwrap();
    assert!(first.ask("POST", wire::DRAIN_PATH, &command).starts_with("HTTP/1.1 200 "));
    assert!(first.report().lease.is_some());
    drop(first);
    let second = start();
    let after = second.report();
    assert_ne!(after.boot, before.boot);
    assert_eq!(after.lease, None);
    let refused = second.ask("POST", wire::DRAIN_PATH, &command);
    assert!(refused.starts_with("HTTP/1.1 409 ") && refused.contains("WrongBoot"), "{refused}");
    assert!(second.ask("GET", "/metrics", "").contains("refused_total{reason=\"WrongBoot\"} 1"));
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
