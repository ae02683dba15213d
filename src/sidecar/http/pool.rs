//! Connections to the app, kept idle for a moment.
//!
//! **Invariant:** a request is sent again only if not one byte of it was taken by the connection before, so nothing is ever
//! done twice; and no connection is kept longer than apps keep theirs (1 s, an option), so that this is hardly ever needed.

use super::socket::{self, Peek};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Most idle connections kept.
const MAX_IDLE: usize = 256;

/// A connection to the app.
pub struct Connection {
    /// Its socket.
    pub stream: TcpStream,
    /// Whether the app has answered more than once on it: it is not one that closes after each answer without saying so.
    proven: bool,
    /// Whether it has been idle before.
    reused: bool,
}

impl Connection {
    async fn open(app: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(app).await?;
        socket::prepare(&stream);
        Ok(Self { stream, proven: false, reused: false })
    }

    /// Whether the app has neither closed it nor said anything. One that is proven is asked for by a system call only if
    /// the last look at all sockets has shown something; the pool keeps none long enough for the app to tire of it.
    fn is_silent(&self) -> bool {
        (self.proven && !socket::is_ready(&self.stream)) || socket::peek(&self.stream) == Peek::Nothing
    }
}

/// The idle connections to the app, the freshest last.
pub struct Pool {
    app: SocketAddr,
    keep: Duration,
    idle: Mutex<VecDeque<(Connection, Instant)>>,
    became_idle: Notify,
}

impl Pool {
    /// A pool of connections to `app`, each kept idle for at most `keep`.
    #[must_use]
    pub fn new(app: SocketAddr, keep: Duration) -> Self {
        Self { app, keep, idle: Mutex::default(), became_idle: Notify::new() }
    }

    /// Where the app listens.
    #[must_use]
    pub fn app(&self) -> SocketAddr {
        self.app
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens or reuses a connection, `now`, and writes some of `first` to it; answers it and how much was taken.
    ///
    /// # Errors
    /// The app does not listen.
    pub async fn send(&self, first: &[u8], now: Instant) -> io::Result<(Connection, usize)> {
        while let Some(connection) = self.take(now) {
            if let Ok(taken) = socket::write_some(&connection.stream, first).await {
                return Ok((connection, taken));
            }
        }
        let connection = Connection::open(self.app).await?;
        let taken = socket::write_some(&connection.stream, first).await?;
        Ok((connection, taken))
    }

    /// The freshest idle connection that the app has not closed and that has nothing to say.
    fn take(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some((connection, since)) = idle.pop_back() {
            if now.saturating_duration_since(since) < self.keep && connection.is_silent() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last answer has been read to its end.
    pub fn put(&self, mut connection: Connection) {
        if self.keep.is_zero() {
            return;
        }
        let mut idle = self.idle();
        if idle.len() == MAX_IDLE {
            idle.pop_front();
        }
        (connection.proven, connection.reused) = (connection.reused, true);
        idle.push_back((connection, Instant::now()));
        if idle.len() == 1 {
            self.became_idle.notify_one();
        }
    }

    /// Closes connections as they grow too old; runs as long as the process.
    pub async fn expire(&self) {
        loop {
            let oldest = self.idle().front().map(|(_, since)| *since);
            match oldest {
                None => self.became_idle.notified().await,
                Some(since) => {
                    tokio::time::sleep_until((since + self.keep).into()).await;
                    self.idle().retain(|(_, since)| since.elapsed() < self.keep);
                }
            }
        }
    }
}
