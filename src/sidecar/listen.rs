//! The listener of the traffic port.
//!
//! **Invariant:** it closes only when told to, and then takes every connection first whose client may believe that it
//! stands: a listener closed over its queue, or in the midst of a handshake, resets them. It serves no connection that there
//! is no place for: one waits here, the others with the kernel, and those that are being served go on.

use super::count::Share;
use super::descriptors::Room;
use super::quota::CONNECTION;
use super::seldom::Seldom;
use super::state::Shared;
use crate::sockets;
use socket2::{SockFilter, SockRef};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

/// How long handshakes may take that are under way when the listener is to close: a round trip to the client.
const HANDSHAKES: Duration = Duration::from_millis(200);

/// How long one that was told to leave may take before another is told.
const ASK_AGAIN: Duration = Duration::from_millis(100);

static FULL: Seldom = Seldom::new();
static REFUSED: Seldom = Seldom::new();

/// Hands connections to `start` until the sidecar is told to close; with each its room, to hold as long as it lives.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    room: &Room,
    shared: &Shared,
    start: impl Fn(TcpStream, Option<OwnedSemaphorePermit>),
) -> io::Result<()> {
    let open = Share::new(&shared.listeners);
    open.raise_to(1);
    let mut closing = shared.closing();
    let mut next = None;
    tokio::select! {
        () = accept(&listener, room, shared, &mut next, &start) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    if refuse_new(&listener).is_ok() {
        let _ = tokio::time::timeout(HANDSHAKES, accept(&listener, room, shared, &mut next, &start)).await;
    }
    if let Some(client) = next {
        start(client, None);
    }
    let listener = listener.into_std()?;
    while let Ok((client, _)) = listener.accept() {
        client.set_nonblocking(true)?;
        start(TcpStream::from_std(client)?, None);
    }
    Ok(())
}

/// From now on the kernel passes over packets that begin a handshake (SYN), and no others: their clients try again a
/// second later and are refused, or find another endpoint. A kernel without such filters (classic BPF) closes at once.
fn refuse_new(listener: &TcpListener) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const TCP_FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, TCP_FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// `next`: a client that has been accepted and waits for its place.
async fn accept(
    listener: &TcpListener,
    room: &Room,
    shared: &Shared,
    next: &mut Option<TcpStream>,
    start: &impl Fn(TcpStream, Option<OwnedSemaphorePermit>),
) {
    loop {
        if next.is_none() {
            match listener.accept().await {
                Ok((client, _)) => *next = Some(client),
                Err(error) => wait_out(&error).await,
            }
        }
        if next.is_some() {
            let place = find_place(room, shared).await;
            if let Some(client) = next.take() {
                start(client, Some(place));
            }
        }
    }
}

/// A place for a connection that waits to be accepted: a free one, else that of an idle connection, else that of the next
/// connection to end. If the idle connection has a request by then, it stays, and this asks another one.
async fn find_place(room: &Room, shared: &Shared) -> OwnedSemaphorePermit {
    let idle = &shared.idle;
    loop {
        if shared.quota.fits(CONNECTION)
            && let Some(place) = room.try_one()
        {
            idle.set_full(false);
            return place;
        }
        let full = !idle.make_place();
        idle.set_full(full);
        if full && FULL.is_due() {
            tracing::warn!(
                "as many client connections as --max-connections, the limit of memory or that of open files allows, and none is idle: further ones wait until one ends"
            );
        }
        if !shared.quota.fits(CONNECTION) {
            shared.quota.has_changed().await;
        } else if let Ok(Some(place)) = tokio::time::timeout(ASK_AGAIN, room.one()).await {
            idle.set_full(false);
            return place;
        }
    }
}

/// Out of descriptors, or a client that left in the queue: other connections end soon, the listener stays.
pub async fn wait_out(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        if REFUSED.is_due() {
            tracing::warn!(%error, "a connection could not be accepted");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A listener on `address`.
///
/// # Errors
/// A sentence that names the address and the reason.
pub async fn bind(address: SocketAddr, purpose: &str) -> Result<TcpListener, String> {
    sockets::listen(address).await.map_err(|error| format!("cannot listen on {address} for {purpose}: {error}"))
}
