//! The load client of the sample as a process beside the pods, with one run for each lane.
//!
//! **Invariant:** the client judges alone; this starts it and asks it.

use crate::support::load::Report;
use crate::support::wait::{Look, until};
use crate::support::{Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::path::PathBuf;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Requests a second.
const RATE: u32 = 40;

/// The process.
pub struct LoadClient {
    _process: Child,
    control: u16,
    /// Where pods report to.
    pub ledger: String,
}

impl LoadClient {
    /// Starts it.
    pub async fn start(address: &str) -> Result<Self> {
        let (control, ledger) = (free_port().await?, free_port().await?);
        let mut command = Command::new(program()?);
        command.args(["load", "--control", &format!("127.0.0.1:{control}"), "--ledger", &format!("0.0.0.0:{ledger}")]);
        let process = command.stdout(std::process::Stdio::null()).kill_on_drop(true).spawn()?;
        until("the load client to answer", 20, async || {
            ask(Method::GET, control, "/healthz", String::new()).await.map(|_| Look::Done(()))
        })
        .await?;
        Ok(Self { _process: process, control, ledger: format!("{address}:{ledger}") })
    }

    /// Starts a run against `target`, IP:port, and waits for its first requests.
    pub async fn run(&self, name: &str, target: &str) -> Result {
        let spec = json!({"name": name, "target": target, "ratePerSecond": RATE, "seconds": 900, "workMillis": 20});
        ask(Method::POST, self.control, "/start", spec.to_string()).await?;
        until("the first requests", 20, async || {
            let sent = self.report(name).await?.sent;
            Ok(if sent > 5 { Look::Done(()) } else { Look::NotYet(format!("{sent} sent")) })
        })
        .await
    }

    /// What both accounts say so far.
    pub async fn report(&self, name: &str) -> Result<Report> {
        let path = format!("/report?name={name}");
        Ok(serde_json::from_str(&ask(Method::GET, self.control, &path, String::new()).await?)?)
    }

    /// Stops the run; what both accounts say.
    pub async fn stop(&self, name: &str) -> Result<Report> {
        Ok(serde_json::from_str(&ask(Method::POST, self.control, &format!("/stop?name={name}"), String::new()).await?)?)
    }
}

/// One that another sweep on this machine does not have.
async fn free_port() -> Result<u16> {
    Ok(tokio::net::TcpListener::bind("0.0.0.0:0").await?.local_addr()?.port())
}

/// Beside this test's own program.
fn program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("SAMPLE_PROGRAM") {
        return Ok(named.into());
    }
    let ours = std::env::current_exe()?;
    let profile = ours.parent().and_then(std::path::Path::parent).ok_or("this program has no directory")?;
    Ok(profile.join("examples/sample"))
}

/// One request to a port of this machine.
pub async fn ask(method: Method, port: u16, path: &str, body: String) -> Result<String> {
    ask_at(method, &format!("127.0.0.1:{port}"), path, body).await
}

/// One request, over a connection of its own.
pub async fn ask_at(method: Method, address: &str, path: &str, body: String) -> Result<String> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header("host", address).body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    connection.abort();
    let text = String::from_utf8_lossy(&answer).into_owned();
    ensure!(status.is_success(), "{address}{path}: {status}: {text}");
    Ok(text)
}
