//! smugglex: a scanner for request smuggling finds nothing, and finds what is there.

use crate::support::{App, Sidecar, run, suite_program};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

/// All that need no TLS.
const CHECKS: [&str; 9] = ["cl-te", "te-cl", "te-te", "h2c", "h2", "cl-edge", "cl-0", "0-cl", "parser-discrepancy"];

/// Below the scanner's patience: it takes a server for vulnerable that waits for the rest of a request, as all do.
const LIMITS: [&str; 4] = ["--head-timeout-seconds", "1", "--stall-timeout-seconds", "1"];

async fn scan(target: SocketAddr, checks: &[&str]) -> Value {
    let mut command = Command::new(suite_program("SUITES_SMUGGLEX"));
    command.args(["--quiet", "--json", "--timeout", "2", "--fuzz", "--checks", &checks.join(",")]);
    let (_, output) = run(command.arg(format!("http://{target}/"))).await;
    let json = output.find('{').map(|start| &output[start..]);
    serde_json::Deserializer::from_str(json.expect(&output)).into_iter().next().expect(&output).expect(&output)
}

/// The scanner announces a body of one byte and sends none. It is waited for, as any server must, up to the stall limit;
/// the scanner takes the time for a sign.
fn is_known(check: &Value) -> bool {
    let payload = check["payload"].as_str().unwrap_or_default();
    let status = check["attack_status"].as_str().unwrap_or_default();
    payload.ends_with("\r\nContent-Length: 1\r\n\r\n") && status.starts_with("HTTP/1.1 408")
}

#[tokio::test(flavor = "multi_thread")]
async fn smugglex_finds_nothing() {
    let app = App::start().await;
    let sidecar = Sidecar::start(app.address, &LIMITS).await;
    let report = scan(sidecar.traffic, &CHECKS).await;
    let checks = report["results"][0]["checks"].as_array().unwrap();
    let vulnerable: Vec<_> =
        checks.iter().filter(|check| check["vulnerable"] != Value::Bool(false) && !is_known(check)).collect();
    assert!(vulnerable.is_empty(), "{vulnerable:#?}");
    for wanted in CHECKS {
        assert!(checks.iter().any(|check| check["check_type"] == wanted), "{wanted} was not run: {checks:#?}");
    }
    println!("smugglex: {} checks, none vulnerable", checks.len());
    sidecar.is_idle().await;
}

/// The control: a server that believes the last framing it is told waits for a body that never comes.
#[tokio::test(flavor = "multi_thread")]
async fn smugglex_finds_a_server_that_believes_both_framings() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
                while let Ok(1..) = stream.read(&mut piece).await.inspect(|count| bytes.extend(&piece[..*count])) {
                    let text = String::from_utf8_lossy(&bytes).to_lowercase();
                    if text.contains("\r\n\r\n") && (!text.contains("chunked") || text.ends_with("0\r\n\r\n")) {
                        bytes.clear();
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                    }
                }
            });
        }
    });
    let report = scan(address, &["cl-te"]).await;
    assert_ne!(report["summary"]["vulnerable_checks"], 0, "{report:#}");
}
