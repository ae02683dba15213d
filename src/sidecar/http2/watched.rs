//! The client's socket as the protocol engine sees it: every byte that passes is shown to the [`Ledger`].
//!
//! **Invariant:** what the ledger is told of writing is what the kernel has taken, never what is only meant to be written;
//! a client that stops in the midst of header fields, or takes nothing, is given up after its time.

use super::ledger::Ledger;
use crate::sidecar::due::Due;
use crate::sidecar::quota::Wait;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long a client may take.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For header fields that it has begun to send.
    pub head: Duration,
    /// To take any byte of those that wait for it.
    pub stall: Duration,
}

/// A socket, and what was read from it before it was known to speak HTTP/2.
pub struct Watched {
    socket: Arc<TcpStream>,
    ledger: Arc<Ledger>,
    early: bytes::Bytes,
    patience: Patience,
    head_due: Due,
    write_due: Due,
    /// Held as long as the client takes nothing.
    waits: Option<Wait>,
}

impl Watched {
    /// Begins with the bytes `early`, which count at once.
    #[must_use]
    pub fn new(socket: Arc<TcpStream>, early: bytes::Bytes, ledger: Arc<Ledger>, patience: Patience) -> Self {
        ledger.received(&early);
        let (head_due, write_due) = (Due::default(), Due::default());
        Self { socket, ledger, early, patience, head_due, write_due, waits: None }
    }

    fn poll_some(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.poll_read_ready(context))?;
            match self.socket.try_read_buf(buffer) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes some of `slices`, or notices that it takes too long.
    fn poll_send(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.socket.poll_write_ready(context) else {
                return self.poll_patience(context).map(Err);
            };
            ready?;
            match self.socket.try_write_vectored(slices) {
                Ok(count) => {
                    self.write_due.clear();
                    self.waits = None;
                    self.show(slices, count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when a client that takes nothing is given up.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let waits = self.waits.get_or_insert_with(|| self.ledger.wait_for_client());
        if waits.poll_given_up(context).is_ready() {
            return Poll::Ready(io::ErrorKind::OutOfMemory.into());
        }
        self.write_due.poll(context, self.patience.stall)
    }

    fn show(&self, slices: &[IoSlice<'_>], mut count: usize) {
        for slice in slices {
            let taken = slice.len().min(count);
            self.ledger.written(&slice[..taken]);
            count -= taken;
            if count == 0 {
                return;
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ledger.is_flooded() {
            // The connection is being ended; nothing more is wanted of it.
            return Poll::Pending;
        }
        if !self.early.is_empty() {
            let length = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = self.poll_some(context, buffer) else {
            if !self.ledger.head_is_open() {
                self.head_due.clear();
                return Poll::Pending;
            }
            let limit = self.patience.head;
            return self.head_due.poll(context, limit).map(Err);
        };
        self.ledger.received(&buffer.filled()[before..]);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        crate::sidecar::http::socket::shut_write(&self.socket);
        Poll::Ready(Ok(()))
    }
}
