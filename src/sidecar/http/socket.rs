//! What the relay does with a socket beyond reading: whole writes, a look that takes nothing, half-close, lingering close.
//!
//! **Invariant:** a connection that got an answer is closed so that the answer arrives: its receive side is emptied first,
//! since a close over unread bytes makes the kernel send a reset that can overtake the answer.

use socket2::{SockRef, TcpKeepalive};
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How long a closing connection waits for the client's own close, or for the next bytes that it still sends,
const LINGER: Duration = Duration::from_secs(2);
/// and how long in all.
const LONGEST_LINGER: Duration = Duration::from_secs(10);
/// How long one waits that is refused something.
const SHORT_LINGER: Duration = Duration::from_millis(50);
/// Bytes that are still read of a client that broke the protocol.
const BROKEN_LINGER: usize = 256 * 1024;
/// Bytes that the kernel takes beyond what the peer has room for.
const UNSENT: u32 = 32 * 1024;
/// Silence after which the kernel asks whether the peer is still there: a vanished client frees its connection.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What a look at the receive buffer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Bytes are waiting.
    Bytes,
    /// Nothing, and the connection is open.
    Nothing,
    /// The peer has closed or reset.
    Closed,
}

/// Looks into the kernel's receive buffer without taking anything and without waiting.
#[must_use]
pub fn peek(stream: &TcpStream) -> Peek {
    let mut byte = [MaybeUninit::uninit(); 1];
    match SockRef::from(stream).peek(&mut byte) {
        Ok(0) => Peek::Closed,
        Ok(_) => Peek::Bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Peek::Nothing,
        Err(_) => Peek::Closed,
    }
}

/// Options of every connection. A failure costs latency, not correctness, so it is not reported.
pub fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

/// From now on the kernel takes little that the client has no room for yet.
///
/// So it wakes a writer whenever the client has taken some, and not only when a third of a queue of megabytes is free: a
/// slow reader is not mistaken for one that stands still. Without it such a one is given up sooner.
pub fn limit_unsent(client: &TcpStream) {
    let _ = SockRef::from(client).set_tcp_notsent_lowat(UNSENT);
}

/// Whether there may be something to read (bytes, the end, an error), as far as the last look at all sockets has shown:
/// asks no system call.
#[must_use]
pub fn is_ready(stream: &TcpStream) -> bool {
    stream.try_io(Interest::READABLE, || Ok(())).is_ok()
}

/// Reads what is there, without waiting; 0 is the end.
///
/// # Errors
/// What the socket reports, and `WouldBlock` when nothing is there.
pub fn read(stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    let whole = stream.try_io(Interest::READABLE, || {
        count = (&*SockRef::from(stream)).read(room)?;
        // Room is left, so nothing more is there, and what comes later is announced anew: said so here, it spares the
        // system call that would find out.
        if count > 0 && count < room.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match whole {
        Err(error) if count == 0 => Err(error),
        _ => Ok(count),
    }
}

/// Does something to a socket that is ready for it, and again where a signal has interrupted it.
///
/// # Errors
/// What `act` reports, and `WouldBlock` where the socket is not ready.
pub fn try_io<T>(stream: &TcpStream, interest: Interest, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match stream.try_io(interest, &act) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Writes some of `bytes`, and answers how many the kernel has taken; none: it takes nothing now.
fn try_write(stream: &TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written_or_error => return written_or_error.map(Some),
        }
    }
}

/// Writes as much of `bytes` as the kernel takes without waiting, and answers how much.
///
/// # Errors
/// What the socket reports, such as a reset.
pub fn write_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len()
        && let Some(count) = try_write(stream, &bytes[written..])?
    {
        written += count;
    }
    Ok(written)
}

/// Writes all of `bytes`.
///
/// # Errors
/// What the socket reports, such as a reset.
pub async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = write_some(stream, bytes).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Writes at least one of `bytes`; an error means that none was taken.
///
/// # Errors
/// What the socket reports, such as a reset.
pub async fn write_some(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match try_write(stream, bytes)? {
            Some(written) => return Ok(written),
            None => stream.writable().await?,
        }
    }
}

/// Writes all of `bytes` to a receiver that may not stand still for longer than `limit`.
///
/// # Errors
/// What the socket reports; `TimedOut` for a receiver that took nothing for so long.
pub async fn write_all_within(stream: &TcpStream, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
    while !bytes.is_empty() {
        match try_write(stream, bytes)? {
            Some(written) => bytes = &bytes[written..],
            // Boxed: it is rare, and a connection should not own room for it.
            None => Box::pin(tokio::time::timeout(limit, stream.writable())).await??,
        }
    }
    Ok(())
}

/// Tells the peer that no more will come. One that has gone already need not be told.
pub fn shut_write(stream: &TcpStream) {
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
}

/// Closes so that what was written arrives: half-close, then read and drop until the peer closes too.
pub async fn close_after_answer(stream: TcpStream) {
    shut_write(&stream);
    let _ = tokio::time::timeout(LONGEST_LINGER, discard(&stream, usize::MAX)).await;
}

/// Closes by a reset: the answer before it was cut short, and must not look whole.
pub fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// Apart, so that its room is on the stack and in no connection's memory.
fn discard_some(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; 4096])
}

/// The same to a client that is refused something, and whose place is needed.
pub async fn close_soon(stream: TcpStream) {
    shut_write(&stream);
    let _ = tokio::time::timeout(SHORT_LINGER, discard(&stream, BROKEN_LINGER)).await;
}

/// The same to a client that broke the protocol, by a flood perhaps: a little is read, so that it may learn why, and no more.
pub async fn close_broken(stream: TcpStream) {
    shut_write(&stream);
    let _ = tokio::time::timeout(LINGER, discard(&stream, BROKEN_LINGER)).await;
}

/// Reads and drops up to the close, or until `most` bytes have come.
async fn discard(stream: &TcpStream, most: usize) {
    let mut dropped = 0_usize;
    while let Ok(Ok(())) = tokio::time::timeout(LINGER, stream.readable()).await {
        match discard_some(stream) {
            Ok(0) => return,
            Ok(count) => {
                dropped = dropped.saturating_add(count);
                if dropped >= most {
                    return;
                }
                tokio::task::coop::consume_budget().await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
