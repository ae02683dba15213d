//! An app that speaks HTTP/1.1 and HTTP/2 without TLS: reads each request to its end, then answers.
//!
//! `/bytes/N` is an answer of N bytes, anything else one of 16; `/later` comes after a second.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The app; it lives as long as the test's runtime.
pub struct App {
    pub address: SocketAddr,
    served: Arc<AtomicU64>,
}

impl App {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::default();
        tokio::spawn(accept(listener, Arc::clone(&served)));
        Self { address, served }
    }

    /// Requests read to their end.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

/// What answers are cut from.
static ALL: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![b'a'; 16 * 1024 * 1024]));

async fn accept(listener: TcpListener, served: Arc<AtomicU64>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        tokio::spawn(serve(stream, Arc::clone(&served)));
    }
}

/// What its clients do wrong is their tests' matter.
async fn serve(stream: TcpStream, served: Arc<AtomicU64>) {
    let mut first = [0; 4];
    if stream.peek(&mut first).await.is_ok_and(|count| count > 0) && first.starts_with(b"PRI") {
        serve_http2(stream, served).await;
        return;
    }
    let service = service_fn(|request: Request<Incoming>| {
        let served = Arc::clone(&served);
        async move {
            if request.headers().contains_key(hyper::header::UPGRADE) {
                return Ok(upgrade(request));
            }
            let path = request.uri().path().to_owned();
            let whole = request.into_body().collect().await.is_ok();
            served.fetch_add(u64::from(whole), Ordering::Relaxed);
            Ok::<_, Infallible>(Response::new(Full::new(answer(&path).await)))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.with_upgrades().await;
}

/// Agrees to any upgrade, and then says nothing until the client has left.
fn upgrade(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
    let wanted = request.headers()[hyper::header::UPGRADE].clone();
    answer.headers_mut().insert(hyper::header::CONNECTION, http::HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(hyper::header::UPGRADE, wanted);
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let _ = tokio::io::copy(&mut TokioIo::new(upgraded), &mut tokio::io::sink()).await;
        }
    });
    answer
}

async fn serve_http2(stream: TcpStream, served: Arc<AtomicU64>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            let (path, to_head) = (request.uri().path().to_owned(), request.method() == http::Method::HEAD);
            let mut body = request.into_body();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
            if !body.is_end_stream() && body.trailers().await.is_err() {
                return;
            }
            served.fetch_add(1, Ordering::Relaxed);
            let answer = answer(&path).await;
            if let (Ok(mut stream), false) = (respond.send_response(Response::new(()), to_head), to_head) {
                let _ = stream.send_data(answer, true);
            }
        });
    }
}

async fn answer(path: &str) -> Bytes {
    if path == "/later" {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let length = path.strip_prefix("/bytes/").and_then(|number| number.parse().ok()).unwrap_or(16);
    ALL.slice(..length.min(ALL.len()))
}
