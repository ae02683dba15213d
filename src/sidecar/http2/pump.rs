//! One body from one connection to the other, with its trailers, at the pace of the receiver.
//!
//! **Invariant:** the sender's window is given back only for bytes that the receiver's window has taken, so at most one
//! window of a body is ever here.

use crate::sidecar::quota::{Charge, NoRoom};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};
use std::time::Duration;

/// Why a body did not reach its end.
#[derive(Debug)]
pub enum Stop {
    /// Its sender broke off; by a reset, if it gave a code.
    Sender(Option<Reason>),
    /// Its receiver wants no more of it; by a reset, if it gave a code.
    Receiver(Option<Reason>),
    /// Its receiver has taken nothing for too long.
    Stalled,
    /// Its receiver has taken nothing for some time, and the memory is needed more urgently.
    NoRoom,
}

/// The code with which the other side has reset the stream, if it is that.
#[must_use]
pub fn reset_code(error: &h2::Error) -> Option<Reason> {
    error.reason().filter(|_| error.is_reset() && error.is_remote())
}

/// How long a receiver may take nothing of what waits for it.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// In any case.
    pub stall: Option<Duration>,
    /// Unless the memory of the stream is needed more urgently.
    pub charge: Option<&'a Charge>,
}

/// Passes `from` on to `to`, to the end.
pub async fn run(from: &mut RecvStream, to: &mut SendStream<Bytes>, patience: Patience<'_>) -> Result<(), Stop> {
    while let Some(data) = next(to, |context| from.poll_data(context)).await? {
        let data = data.map_err(|error| Stop::Sender(reset_code(&error)))?;
        let length = data.len();
        let ends = from.is_end_stream();
        send(data, ends, to, patience).await?;
        // It fails only for a stream that has ended: nothing is left to give back to.
        let _ = from.flow_control().release_capacity(length);
        if ends {
            return Ok(());
        }
    }
    let trailers = next(to, |context| from.poll_trailers(context)).await?;
    let sent = match trailers.map_err(|error| Stop::Sender(reset_code(&error)))? {
        Some(trailers) => to.send_trailers(trailers),
        None => to.send_data(Bytes::new(), true),
    };
    sent.map_err(|error| Stop::Receiver(reset_code(&error)))
}

/// What `poll` gives, unless the receiver ends the stream before.
async fn next<T>(to: &mut SendStream<Bytes>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Result<T, Stop> {
    poll_fn(|context| match poll(context) {
        Poll::Ready(next) => Poll::Ready(Ok(next)),
        Poll::Pending => poll_stop(to, context).map(Err),
    })
    .await
}

fn poll_stop(to: &mut SendStream<Bytes>, context: &mut Context<'_>) -> Poll<Stop> {
    to.poll_reset(context).map(|reset| Stop::Receiver(reset.map_or_else(|error| reset_code(&error), Some)))
}

async fn send(mut data: Bytes, ends: bool, to: &mut SendStream<Bytes>, patience: Patience<'_>) -> Result<(), Stop> {
    if data.is_empty() && ends {
        return to.send_data(data, true).map_err(|error| Stop::Receiver(reset_code(&error)));
    }
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        let capacity = match to.capacity() {
            0 => patience.wait(capacity(to)).await??,
            some => some,
        };
        let piece = data.split_to(capacity.min(data.len()));
        let last = ends && data.is_empty();
        to.send_data(piece, last).map_err(|error| Stop::Receiver(reset_code(&error)))?;
    }
    Ok(())
}

async fn capacity(to: &mut SendStream<Bytes>) -> Result<usize, Stop> {
    poll_fn(|context| {
        if let Poll::Ready(stop) = poll_stop(to, context) {
            return Poll::Ready(Err(stop));
        }
        match to.poll_capacity(context) {
            Poll::Ready(Some(Ok(capacity))) => Poll::Ready(Ok(capacity)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Stop::Receiver(reset_code(&error)))),
            Poll::Ready(None) => Poll::Ready(Err(Stop::Receiver(None))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

impl Patience<'_> {
    async fn wait<T>(self, future: impl Future<Output = T>) -> Result<T, Stop> {
        let in_time = within(self.stall, future);
        match self.charge {
            Some(charge) => charge.hold(in_time).await.map_err(|NoRoom| Stop::NoRoom)?,
            None => in_time.await,
        }
    }
}

async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Stop> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| Stop::Stalled),
        None => Ok(future.await),
    }
}
