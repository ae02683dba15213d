//! Connections to the app, kept idle for a moment.
//!
//! An app may close an idle connection in the very moment in which it is taken from here. A request that must not be sent
//! twice gets one that a look into the kernel has just found open. One that may be (RFC 9110 9.2.2) is spared the look:
//! if the connection proves closed before a byte of the answer has come, [`super::exchange`] sends it once more, on a new one.
//!
//! **Invariant:** a request that must not be sent twice is sent again only if not one byte of it was taken by the
//! connection before; and no connection is kept longer than apps keep theirs (1 s, an option).

use super::socket::{self, Peek};
use crate::sidecar::app::App;
use std::collections::VecDeque;
use std::io;
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
    async fn open(app: &App) -> io::Result<Self> {
        // Boxed: most requests find one that is open, and a client connection should not own room for it.
        let stream = Box::pin(app.connect()).await?;
        socket::prepare(&stream);
        Ok(Self { stream, proven: false, reused: false })
    }

    /// The same connection after an answer: a further one on it proves it, and it may be closed while it is idle.
    #[must_use]
    pub fn rested(self) -> Self {
        Self { proven: self.reused, reused: true, ..self }
    }

    /// Whether it has been idle before: the app may have closed it since.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether the app has neither closed it nor said anything. The kernel need not be asked of one that is proven, if the
    /// request may be sent again and the last look at all sockets has shown nothing.
    fn is_silent(&self, may_repeat: bool) -> bool {
        let is_trusted = may_repeat && self.proven && !socket::is_ready(&self.stream);
        is_trusted || socket::peek(&self.stream) == Peek::Nothing
    }
}

/// The idle connections to the app, the freshest last.
pub struct Pool {
    app: App,
    keep: Duration,
    idle: Mutex<VecDeque<(Connection, Instant)>>,
    became_idle: Notify,
}

impl Pool {
    /// A pool of connections to `app`, each kept idle for at most `keep`.
    #[must_use]
    pub fn new(app: App, keep: Duration) -> Self {
        Self { app, keep, idle: Mutex::default(), became_idle: Notify::new() }
    }

    /// The app.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens or reuses a connection for `client`, `now`, and writes some of `first` to it; answers it and how much was taken. A
    /// connection that is the client's `own` is used first, as long as it is open.
    ///
    /// # Errors
    /// The app does not listen.
    pub async fn send(
        &self,
        client: &TcpStream,
        own: Option<Connection>,
        first: &[u8],
        now: Instant,
        may_repeat: bool,
    ) -> io::Result<(Connection, usize)> {
        let mut own = own.filter(|own| own.is_silent(may_repeat));
        while let Some(connection) = own.take().or_else(|| self.take(now, may_repeat)) {
            if let Ok(taken) = socket::write_some(&connection.stream, first).await {
                return Ok((connection, taken));
            }
        }
        let connection = Connection::open(&self.app.on_behalf_of(client)).await?;
        let taken = socket::write_some(&connection.stream, first).await?;
        Ok((connection, taken))
    }

    /// Opens a connection for `client` and writes all of `request` to it.
    ///
    /// # Errors
    /// The app does not listen, or does not take it.
    pub async fn send_anew(&self, client: &TcpStream, request: &[u8]) -> io::Result<Connection> {
        let connection = Connection::open(&self.app.on_behalf_of(client)).await?;
        socket::write_all(&connection.stream, request).await?;
        Ok(connection)
    }

    /// The freshest idle connection that the app has not closed and that has nothing to say.
    fn take(&self, now: Instant, may_repeat: bool) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some((connection, since)) = idle.pop_back() {
            if now.saturating_duration_since(since) < self.keep && connection.is_silent(may_repeat) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last answer has been read to its end, for the next request of any client.
    pub fn put(&self, connection: Connection) {
        if self.keep.is_zero() {
            return;
        }
        let mut idle = self.idle();
        if idle.len() == MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back((connection.rested(), Instant::now()));
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
