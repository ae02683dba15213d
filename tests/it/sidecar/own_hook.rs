//! An app's own preStop hook, which runs after the drain: the program in the app's container.

use super::harness::{GET, OK, Peer, soon};
use super::process::{Program, program};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

/// A sidecar whose app has one request in flight, and the hook of the app's container, which waits; `then` is what it does
/// afterwards.
async fn terminating(then: &[&str]) -> (Program, Peer, Peer, Child) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sidecar = Program::start(([127, 0, 0, 1], port).into(), &["--quiet-millis", "100"]);
    let mut client = Peer::new(TcpStream::connect(sidecar.listen).await.unwrap());
    client.send(GET).await;
    let mut app = Peer::new(soon("a connection to the app", listener.accept()).await.unwrap().0);
    app.expect(GET).await;
    let told = program().args(["terminating", "--control-socket", &sidecar.socket]).status().await.unwrap();
    assert!(told.success());
    let mut hook = program();
    hook.args(["wait-drained", "--admin", &sidecar.admin.to_string()]).args(then).stdout(Stdio::piped());
    let hook = hook.spawn().unwrap();
    (sidecar, client, app, hook)
}

async fn finish(mut client: Peer, mut app: Peer, hook: Child) -> Output {
    app.send(OK).await;
    assert!(client.head().await.contains("Connection: close"));
    client.expect("ok").await;
    soon("the end of the hook", hook.wait_with_output()).await.unwrap()
}

#[tokio::test]
async fn a_command_runs_after_the_drain_and_its_exit_code_is_the_hooks() {
    let (_sidecar, client, app, mut hook) = terminating(&["--", "sh", "-c", "echo saved; exit 7"]).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(hook.try_wait().unwrap().is_none(), "it waits for the request");
    let output = finish(client, app, hook).await;
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), b"saved\n".as_slice()));
}

#[tokio::test]
async fn a_request_to_the_pods_own_address_is_sent_after_the_drain() {
    let own = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let then = format!("--then-get={}/stop?now=1", own.local_addr().unwrap().port());
    let (_sidecar, client, app, hook) = terminating(&[&then]).await;
    let asked = tokio::spawn(async move {
        let mut asked = Peer::new(own.accept().await.unwrap().0);
        let head = asked.head().await;
        asked.send(OK).await;
        head
    });
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(!asked.is_finished(), "it waits for the request");
    let output = finish(client, app, hook).await;
    assert!(output.status.success(), "{output:?}");
    assert!(asked.await.unwrap().starts_with("GET /stop?now=1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_request_that_fails_is_a_hook_that_failed() {
    let (_sidecar, client, app, hook) = terminating(&["--then-get=1/stop"]).await;
    let output = finish(client, app, hook).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("the app's own hook http://"), "{error}");
}

#[tokio::test]
async fn without_a_sidecar_the_apps_own_hook_runs_all_the_same() {
    let hook = ["wait-drained", "--admin", "127.0.0.1:1", "--", "echo", "saved"];
    let output = soon("the hook", program().args(hook).output()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && error.contains("the app's own hook follows"), "{error}");
    assert_eq!(output.stdout, b"saved\n");
    let sleeping = ["wait-drained", "--admin", "127.0.0.1:1", "--then-sleep", "1"];
    let began = std::time::Instant::now();
    assert!(soon("the hook", program().args(sleeping).output()).await.unwrap().status.success());
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn the_program_is_copied_for_other_containers_before_it_starts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let _sidecar = Program::start(listener.local_addr().unwrap(), &["--install", path]);
    let copy = folder.path().join("restart-sidecar");
    let output = tokio::process::Command::new(copy).arg("--version").output().await.unwrap();
    assert!(output.status.success());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = soon("the exit", program().args(["run", "--install", "/nowhere"]).output()).await.unwrap();
    let error = String::from_utf8(nowhere.stderr).unwrap();
    assert!(!nowhere.status.success() && error.contains("--install /nowhere") && error.contains("emptyDir"), "{error}");
}
