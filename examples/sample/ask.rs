//! A tiny HTTP client, for `kubectl exec` into images that have nothing else.
//!
//! **Invariant:** plain HTTP/1.1 to a numeric address or localhost: a static binary has no name service.

use crate::http::full;
use clap::Args;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper::{Method, Request, Uri, header};
use hyper_util::rt::TokioIo;
use std::io::Write;
use std::time::Duration;
use tokio::net::TcpStream;

/// The arguments of `sample ask`.
#[derive(Args)]
pub struct Options {
    /// GET, POST, ...
    method: Method,
    /// `http://IP:port/path`
    url: Uri,
    /// The request's body.
    #[arg(default_value = "")]
    body: String,
    /// The longest wait for the whole answer.
    #[arg(long, default_value_t = 3700)]
    timeout_seconds: u64,
}

/// Sends the request and prints the answer's body; an answer other than 2xx is an error.
pub async fn run(options: Options) -> Result<(), String> {
    let url = options.url.to_string();
    let time = Duration::from_secs(options.timeout_seconds);
    match tokio::time::timeout(time, exchange(options)).await {
        Ok(result) => result.map_err(|error| format!("{url}: {error}")),
        Err(_) => Err(format!("{url}: no complete answer within {} s", time.as_secs())),
    }
}

async fn exchange(options: Options) -> Result<(), String> {
    let host = options.url.host().ok_or("the URL must be http://IP:port/path")?;
    let port = options.url.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(|error| error.to_string())?;
    let path = options.url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder()
        .method(options.method)
        .uri(path)
        .header(header::HOST, format!("{host}:{port}"))
        .header(header::CONNECTION, "close")
        .body(full(options.body))
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let content = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    std::io::stdout().write_all(&content).map_err(|error| error.to_string())?;
    if status.is_success() { Ok(()) } else { Err(format!("the answer was {status}")) }
}
