//! The socket: connections, each with limits, in TLS if there is a certificate.
//!
//! **Invariant:** nobody's connection delays another's, and none stays open that sends no complete head in time.

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower_service::Service as _;

/// Connections at any time, streams of events included; more wait.
const CONNECTIONS: usize = 512;
/// Longest wait for a request's head, and for the agreement on TLS.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// Serves `router` on `address` for as long as the process lives; returns the address with its real port.
pub async fn listen(address: SocketAddr, tls: Option<PathBuf>, router: Router) -> Result<SocketAddr, String> {
    let refused = |error| format!("--http-api {address} cannot be listened on: {error}");
    let certificate = tls.map(Certificate::read).transpose()?;
    let listener = TcpListener::bind(address).await.map_err(refused)?;
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
    // A client that breaks off, or does not trust us, is its own affair.
    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_LIMIT, acceptor.accept(stream)).await {
        serve(stream, peer, router).await;
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

/// `tls.crt` and `tls.key` of a directory, as a Secret of that type is mounted.
struct Certificate {
    directory: PathBuf,
    modified: Option<SystemTime>,
    acceptor: TlsAcceptor,
}

impl Certificate {
    fn read(directory: PathBuf) -> Result<Self, String> {
        let (modified, acceptor) = (modified(&directory), acceptor(&directory)?);
        Ok(Self { directory, modified, acceptor })
    }

    /// The certificate as it is now; one that cannot be read leaves the old one in force.
    fn current(&mut self) -> TlsAcceptor {
        let now = modified(&self.directory);
        if now != self.modified {
            self.modified = now;
            match acceptor(&self.directory) {
                Ok(acceptor) => self.acceptor = acceptor,
                Err(why) => tracing::error!(why, "the new certificate of the HTTP API is not used"),
            }
        }
        self.acceptor.clone()
    }
}

fn modified(directory: &Path) -> Option<SystemTime> {
    std::fs::metadata(directory.join("tls.crt")).and_then(|file| file.modified()).ok()
}

fn acceptor(directory: &Path) -> Result<TlsAcceptor, String> {
    let (certificates, key) = (directory.join("tls.crt"), directory.join("tls.key"));
    let said = |file: &Path, why: String| format!("--http-api-tls: {}: {why}", file.display());
    let chain = CertificateDer::pem_file_iter(&certificates).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| said(&certificates, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|error| said(&key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
    config.map(|config| TlsAcceptor::from(Arc::new(config))).map_err(|error| said(&certificates, error.to_string()))
}
