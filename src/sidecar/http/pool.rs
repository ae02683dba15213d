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

/// The idle connections to the app, the freshest last.
pub struct Pool {
    app: SocketAddr,
    keep: Duration,
    idle: Mutex<VecDeque<(TcpStream, Instant)>>,
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

    fn idle(&self) -> MutexGuard<'_, VecDeque<(TcpStream, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens or reuses a connection and writes some of `first` to it; answers it and how much was taken.
    ///
    /// # Errors
    /// The app does not listen.
    pub async fn send(&self, first: &[u8]) -> io::Result<(TcpStream, usize)> {
        while let Some(stream) = self.take() {
            if let Ok(taken) = socket::write_some(&stream, first).await {
                return Ok((stream, taken));
            }
        }
        let stream = TcpStream::connect(self.app).await?;
        socket::prepare(&stream);
        let taken = socket::write_some(&stream, first).await?;
        Ok((stream, taken))
    }

    /// The freshest idle connection that the app has not closed and that has nothing to say.
    fn take(&self) -> Option<TcpStream> {
        let mut idle = self.idle();
        while let Some((stream, since)) = idle.pop_back() {
            if since.elapsed() < self.keep && socket::peek(&stream) == Peek::Nothing {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection whose last answer has been read to its end.
    pub fn put(&self, stream: TcpStream) {
        if self.keep.is_zero() {
            return;
        }
        let mut idle = self.idle();
        if idle.len() == MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back((stream, Instant::now()));
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
