//! Where calls come in: a door for each process of the controller, and a side door for its calls to sidecars, to which the
//! kernel redirects them.
//!
//! **Invariant:** a connection that the plan cuts ends with a reset, never with a polite end.

use super::Proxy;
use super::onward::{self, Answered};
use super::state::Answer;
use crate::support::Result;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listener that ends with this value.
#[derive(Debug)]
pub struct Door {
    /// Where it listens.
    pub port: u16,
    task: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Door {
    /// For the calls of the process `number`.
    pub async fn open(proxy: &Arc<Proxy>, number: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let proxy = proxy.clone();
        let task = tokio::spawn(accept(listener, move |_| {
            let proxy = proxy.clone();
            Some(move |request| onward::api_server(proxy.clone(), number, request))
        }));
        Ok(Self { port, task })
    }
}

/// The side door of a lane; the plan that runs there stands behind it.
#[derive(Debug)]
pub struct Sidecars {
    /// Where it listens.
    pub port: u16,
    behind: Arc<Mutex<Option<Arc<Proxy>>>>,
    task: JoinHandle<()>,
}

impl Drop for Sidecars {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sidecars {
    /// Opens it.
    pub async fn open(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let behind = Arc::new(Mutex::new(None));
        let known = behind.clone();
        let task = tokio::spawn(accept(listener, move |stream: &TcpStream| {
            // Where the call was meant to go, as the kernel remembers it.
            let ahead = SockRef::from(stream).original_dst_v4().ok()?.as_socket()?;
            let proxy: Arc<Proxy> = known.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
            Some(move |request| onward::sidecar(proxy.clone(), ahead, request))
        }));
        Ok(Self { port, behind, task })
    }

    /// From now on this plan's.
    pub fn belong_to(&self, proxy: &Arc<Proxy>) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy.clone());
    }
}

async fn accept<H, F>(listener: TcpListener, handler: impl Fn(&TcpStream) -> Option<H>)
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                if let Some(handler) = handler(&stream) {
                    tokio::spawn(connection(stream, handler));
                }
            }
            // Out of file descriptors: some connection has to end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answered>,
{
    // An error is the cut itself, or the process' end.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handler)).await;
}

/// One exchange with a sidecar, over a connection of its own as the controller has it.
pub async fn asked(ahead: SocketAddr, request: Request<Full<Bytes>>) -> Option<Answer> {
    let stream = TcpStream::connect(ahead).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    connection.abort();
    Some((status, body))
}
