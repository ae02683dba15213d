//! Client connections, and the pool of kept ones.
//!
//! **Invariant:** how a connection ended is taken from the socket itself, not from the wording of a library's errors;
//! whether a single byte went out or came in is counted there too.

use crate::http::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a kept connection may lie idle: the default of Go's and hyper's clients.
const LONGEST_IDLE: Duration = Duration::from_secs(90);

/// What happened on a connection so far.
#[derive(Default)]
pub struct Wire {
    read: AtomicU64,
    written: AtomicU64,
    end: Mutex<Option<&'static str>>,
}

impl Wire {
    /// Bytes read and bytes written.
    pub fn bytes(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }

    /// `eof`, `reset` or another word for how the server ended the connection; none: it has not.
    pub fn end(&self) -> Option<&'static str> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, how: &'static str) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(how);
    }
}

/// The word for a socket's error.
pub fn class(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => "reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        io::ErrorKind::TimedOut => "connectTimeout",
        _ => "otherSocketError",
    }
}

struct Watched {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        match &result {
            Ok(()) if buffer.filled().len() == before => self.wire.ended("eof"),
            Ok(()) => {
                self.wire.read.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
            }
            Err(error) => self.wire.ended(class(error)),
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        match &result {
            Ok(count) => {
                self.wire.written.fetch_add(*count as u64, Ordering::Relaxed);
            }
            Err(error) => self.wire.ended(class(error)),
        }
        Poll::Ready(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A connection to the target.
pub struct Connection {
    /// Sends requests over it.
    pub sender: SendRequest<Body>,
    /// What happened on it.
    pub wire: Arc<Wire>,
    since: Instant,
}

impl Connection {
    /// Opens a connection; the error is a failure's class and what the system said.
    pub async fn open(address: SocketAddr, patience: Duration) -> Result<Self, (&'static str, String)> {
        let begun = Instant::now();
        let failed = |class, why: String| {
            (class, format!("connecting to {address}: {why} after {} ms", begun.elapsed().as_millis()))
        };
        let connected = timeout(patience, TcpStream::connect(address)).await;
        let connected = connected.map_err(|_| failed("connectTimeout", "no answer".to_owned()))?;
        let stream = connected.map_err(|error| failed(class(&error), error.to_string()))?;
        let _ = stream.set_nodelay(true);
        let wire = Arc::new(Wire::default());
        let io = TokioIo::new(Watched { stream, wire: Arc::clone(&wire) });
        let (sender, driver) =
            http1::handshake(io).await.map_err(|error| failed("otherSocketError", error.to_string()))?;
        tokio::spawn(driver);
        Ok(Self { sender, wire, since: Instant::now() })
    }
}

/// The kept connections that are idle now; the one used last is used next.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Connection>>>);

impl Pool {
    /// A kept connection that the server, as far as is known here, has not closed.
    pub fn take(&self) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.sender.is_ready() && connection.since.elapsed() < LONGEST_IDLE {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection once its last answer is complete, unless that answer asked for its close.
    pub fn keep(&self, mut connection: Connection) {
        let pool = self.clone();
        tokio::spawn(async move {
            if connection.sender.ready().await.is_ok() {
                connection.since = Instant::now();
                pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
        });
    }

    /// Closes what is idle.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
