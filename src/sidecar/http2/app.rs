//! The connections to the app that carry the streams of one client connection.
//!
//! Mostly one, and more only where the app takes fewer streams on one than the client has begun. They are the client's alone:
//! the streams of a client that reads slowly fill no window that those of another client need, the app's own
//! limits apply to each client as they would without us, and what ends one connection ends no other.
//!
//! **Invariant:** no request is sent before the app has shown that it speaks HTTP/2; a request is sent once.

use super::Limits;
use super::frames::{self, Moment, Scanner};
use crate::sidecar::app;
use crate::sidecar::http::answer::Answer;
use crate::sidecar::http::socket;
use crate::sidecar::seldom::Seldom;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, oneshot};

/// How long an app may take to say in which protocol it speaks.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// Most connections to the app for one client connection.
const MOST_LANES: usize = 16;

static COMPLAINT: Seldom = Seldom::new();

/// The app as one client connection sees it.
pub struct App {
    target: app::App,
    limits: Limits,
    lanes: Mutex<Vec<Lane>>,
}

/// A connection to the app.
struct Lane {
    send: SendRequest<Bytes>,
    /// Held by each stream that is open on it.
    open: Arc<()>,
}

/// The turn of one request on a connection to the app; its place is free again when this is dropped.
pub struct Turn {
    /// Sends the request.
    pub send: SendRequest<Bytes>,
    _open: Arc<()>,
}

impl Lane {
    fn streams(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Whether the app takes one more stream on it. What is sent beyond that would wait in the engine for another's end.
    fn has_room(&self) -> bool {
        self.streams() < self.send.current_max_send_streams()
    }

    fn turn(&self, send: SendRequest<Bytes>) -> Turn {
        Turn { send, _open: Arc::clone(&self.open) }
    }
}

/// A turn on a connection that is there and has room; those that the app is about to end are forgotten.
async fn free_turn(lanes: &mut Vec<Lane>) -> Option<Turn> {
    let mut index = 0;
    while let Some(lane) = lanes.get(index) {
        if !lane.has_room() {
            index += 1;
        } else if let Ok(send) = lane.send.clone().ready().await {
            return Some(lane.turn(send));
        } else {
            lanes.remove(index);
        }
    }
    None
}

impl App {
    /// The app, not connected yet.
    #[must_use]
    pub fn new(app: app::App, limits: Limits) -> Self {
        Self { target: app, limits, lanes: Mutex::default() }
    }

    /// The turn of another request: on a connection that takes it, or on a new one. If the app takes so few streams on
    /// each that [`MOST_LANES`] do not suffice, the request waits for another's end.
    ///
    /// # Errors
    /// The answer to give instead.
    pub async fn ready(&self) -> Result<Turn, Answer> {
        let mut lanes = self.lanes.lock().await;
        if let Some(turn) = free_turn(&mut lanes).await {
            return Ok(turn);
        }
        if lanes.len() >= MOST_LANES
            && let Some(lane) = lanes.iter().min_by_key(|lane| lane.streams())
        {
            return Ok(lane.turn(lane.send.clone()));
        }
        let lane = Lane { send: self.connect().await?, open: Arc::default() };
        let turn = lane.turn(lane.send.clone());
        lanes.push(lane);
        Ok(turn)
    }

    async fn connect(&self) -> Result<SendRequest<Bytes>, Answer> {
        let refused = Answer::BadGateway("the app does not accept connections");
        let stream = self.target.connect().await.map_err(|_| refused)?;
        socket::prepare(&stream);
        let (tell, told) = oneshot::channel();
        let stream = FirstFrame { stream, scanner: Scanner::new(0), tell: Some(tell) };
        let (send, connection) = self.builder().handshake(stream).await.map_err(|_| refused)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the app ended");
            }
        });
        match tokio::time::timeout(FIRST_WORD, told).await {
            Ok(Ok(frames::SETTINGS)) => Ok(send),
            _ => Err(self.complain()),
        }
    }

    fn builder(&self) -> Builder {
        let Limits { streams, window, .. } = self.limits;
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(window)
            .initial_connection_window_size(self.limits.connection_window())
            .max_header_list_size(super::MAX_HEADER_LIST)
            .max_send_buffer_size(self.limits.send_buffer() as usize)
            .initial_max_send_streams(streams as usize);
        builder
    }

    fn complain(&self) -> Answer {
        if COMPLAINT.is_due() {
            tracing::warn!(
                app = %self.target.upstream(),
                "a client speaks HTTP/2 and the app does not: its requests are answered 502; let the client speak HTTP/1.1, or the app h2c by prior knowledge"
            );
        }
        Answer::BadGateway("the app does not speak HTTP/2 without TLS (h2c by prior knowledge)")
    }
}

/// A connection to the app that tells the type of the first frame that comes: SETTINGS if it speaks HTTP/2.
struct FirstFrame {
    stream: TcpStream,
    scanner: Scanner,
    tell: Option<oneshot::Sender<u8>>,
}

impl AsyncRead for FirstFrame {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if self.tell.is_some() {
            let Self { scanner, tell, .. } = &mut *self;
            scanner.scan(&buffer.filled()[before..], |moment, frame| {
                if let (Moment::Begin, Some(tell)) = (moment, tell.take()) {
                    // Nobody waits any more: the stream that asked is gone.
                    let _ = tell.send(frame.kind);
                }
            });
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for FirstFrame {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
