//! The receiver of hooks: `/ok` answers at once, `/fail` answers 500, `/hold/NAME` answers when that name is let go.
//!
//! **Invariant:** it counts nothing; the requests' own status is judged.

use crate::support::Result;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

type Held = Arc<Mutex<BTreeSet<String>>>;

/// The receiver.
pub struct Receiver {
    base: String,
    free: Held,
}

impl Receiver {
    /// Starts it.
    pub async fn start(address: &str) -> Result<Self> {
        let listener = TcpListener::bind("0.0.0.0:0").await?;
        let port = listener.local_addr()?.port();
        let free = Held::default();
        tokio::spawn(serve(listener, free.clone()));
        Ok(Self { base: format!("http://{address}:{port}"), free })
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// Answers what is held under this name, now and from now on.
    pub fn let_go(&self, name: &str) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
}

async fn serve(listener: TcpListener, free: Held) {
    while let Ok((stream, _)) = listener.accept().await {
        let free = free.clone();
        let service = service_fn(move |request| answer(request, free.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, free: Held) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if let Some(name) = path.strip_prefix("/hold/") {
        while !free.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"heard\n")));
    if path == "/fail" {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}
