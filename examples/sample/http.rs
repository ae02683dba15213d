//! What the service and the control API share: a listener loop, answers, and the query string.
//!
//! **Invariant:** no timeouts here: an idle connection is never closed by this end, so that every close has another cause.

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Any body, of an answer or of a request.
pub type Body = BoxBody<Bytes, Infallible>;

/// A body known in full.
pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).boxed()
}

/// An answer of plain text; a line feed is added.
pub fn text(status: StatusCode, message: &str) -> Response<Body> {
    let mut answer = Response::new(full(format!("{message}\n")));
    *answer.status_mut() = status;
    answer
}

/// An answer in JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let content = serde_json::to_vec(value).unwrap_or_else(|error| error.to_string().into_bytes());
    let mut answer = Response::new(full(content));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

/// The value of a key in the query string, as it stands: ids and numbers need no percent-decoding.
pub fn query<'a>(uri: &'a Uri, key: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Binds an address; the error names it.
pub async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Serves HTTP/1.1 with keep-alive for ever.
pub async fn serve<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, handler.clone()));
            }
            Err(error) => {
                // Out of file descriptors, mostly: some connection has to end first.
                eprintln!("sample: cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn connection<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // An error here is the client's going away; the request that it cut off never writes its `end` line.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
