//! The socket: connections, each with limits, in TLS if there is a certificate.
//!
//! **Invariant:** nobody's connection delays another's, and none stays open that sends no complete head in time.

use super::tls::Certificate;
use crate::sockets;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

/// Connections at any time, streams of events included; more wait.
const CONNECTIONS: usize = 512;
/// Longest wait for a request's head, and for the agreement on TLS.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// Serves `router` on `address` for as long as the process lives; returns the address with its real port.
pub async fn listen(address: SocketAddr, tls: Option<PathBuf>, router: Router) -> Result<SocketAddr, String> {
    let refused = |error| format!("--http-api {address} cannot be listened on: {error}");
    let certificate = tls.map(Certificate::read).transpose()?;
    let listener = sockets::listen(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    tokio::spawn(accept(listener, certificate, router));
    Ok(bound)
}

async fn accept(listener: TcpListener, mut certificate: Option<Certificate>, router: Router) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: an immediate retry would spin.
                tracing::warn!(%error, "a connection to the HTTP API was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let acceptor = certificate.as_mut().map(Certificate::current);
        let router = router.clone();
        tokio::spawn(async move {
            connection(stream, peer, acceptor, router).await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, acceptor: Option<TlsAcceptor>, router: Router) {
    let Some(acceptor) = acceptor else { return serve(stream, peer, router).await };
    match tokio::time::timeout(HEAD_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, router).await,
        // A client that speaks no TLS, does not trust us or breaks off is its own affair.
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS with a client of the HTTP API"),
        Err(_) => tracing::debug!(%peer, "a client of the HTTP API did not agree on TLS in time"),
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, peer: SocketAddr, router: Router) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
