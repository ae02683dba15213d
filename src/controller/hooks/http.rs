//! One HTTP request of a hook: one attempt on one connection of its own, its answer capped, everything within one limit.
//!
//! **Invariant:** no redirect is followed, no proxy of the environment used; nothing of the answer is shown to anybody but its
//! status and the one header by which a server says that it means to be quoted; the connection goes to exactly the address
//! that was judged.

use super::url::{Target, parse};
use super::{excerpt, resolve, timed_out, tls};
use crate::api::HttpMethod;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Most bytes of an answer that are read.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Longest wait for a connection to one of a host's addresses while there are others.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// What a server has to say about a failure, at most [`super::EXCERPT`] characters of it. The body is not quoted: a request's
/// author would read through the controller's network what other servers tell those who get nothing else from them.
const SAYS: &str = "restart-controller-message";
const USER_AGENT: &str = concat!("restart-controller/", env!("CARGO_PKG_VERSION"));

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// `spec.hooks[].http.url`.
    pub url: String,
    /// Its method.
    pub method: HttpMethod,
    /// The request's namespace, where names without a dot are looked up.
    pub namespace: String,
    /// One for each hook of a run, the same however often it is sent.
    pub idempotency_key: String,
    /// JSON; not sent with GET.
    pub body: Vec<u8>,
    /// For all of it, from the name's resolution to the answer's last byte.
    pub limit: Duration,
}

/// Sends it; 2xx is success.
///
/// # Errors
/// Why there was no 2xx, in a sentence that names method and URL.
pub async fn send(call: Call) -> Result<(), String> {
    let target = parse(&call.url)?;
    let method = method(call.method);
    let sent = timeout(call.limit, exchange(&call, &target)).await;
    let what = format!("{method} {}", target.shown);
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(format!("{what}: {why}")),
        Err(_) => Err(format!("{} ({what})", timed_out(call.limit))),
    }
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
    }
}

async fn exchange(call: &Call, target: &Target) -> Result<(), String> {
    let addresses = resolve::addresses(&target.host, &call.namespace).await?;
    let stream = connected(&addresses, target.port).await?;
    let request = request(call, target)?;
    if target.https {
        over(tls::connect(&target.host, stream).await?, request).await
    } else {
        over(stream, request).await
    }
}

/// The first of the addresses that takes the connection.
async fn connected(addresses: &[IpAddr], port: u16) -> Result<TcpStream, String> {
    let mut refused = String::new();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refused = format!("no connection to {address}: {error}"),
            Err(_) => refused = format!("no connection to {address} within {} s", CONNECT_LIMIT.as_secs()),
        }
    }
    Err(refused)
}

fn request(call: &Call, target: &Target) -> Result<Request<Full<Bytes>>, String> {
    let method = method(call.method);
    let builder = Request::builder()
        .method(method.clone())
        .uri(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, USER_AGENT)
        .header("idempotency-key", &call.idempotency_key);
    let request = if method == Method::GET {
        builder.body(Full::default())
    } else {
        builder.header(header::CONTENT_TYPE, "application/json").body(Full::from(call.body.clone()))
    };
    request.map_err(|error| error.to_string())
}

async fn over<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let exchange = async { verdict(sender.send_request(request).await.map_err(broken)?).await };
    tokio::pin!(exchange);
    tokio::select! {
        verdict = &mut exchange => verdict,
        // The connection ends first when the answer says so; what was read of it is still there.
        _ = connection => exchange.await,
    }
}

async fn verdict(response: Response<Incoming>) -> Result<(), String> {
    let status = response.status();
    // Read here, before the body goes; only a server that knows of us sends it.
    let said = response.headers().get(SAYS).map(|text| excerpt(&String::from_utf8_lossy(text.as_bytes())));
    complete(response.into_body()).await?;
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        return Err(format!("answered {status}, a redirect, which is not followed; name the last URL"));
    }
    Err(said
        .filter(|said| !said.is_empty())
        .map_or_else(|| format!("answered {status}"), |said| format!("answered {status}: {said}")))
}

/// An answer that breaks off before its cap is none; nothing of it is kept.
async fn complete(mut body: Incoming) -> Result<(), String> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        length += frame.data_ref().map_or(0, Bytes::len);
        if length >= LONGEST_ANSWER {
            break;
        }
    }
    Ok(())
}
