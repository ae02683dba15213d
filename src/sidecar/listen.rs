//! The listener of the traffic port.
//!
//! **Invariant:** it closes only when told to, and then takes every connection first whose client may believe that it
//! stands: a listener closed over its queue, or in the midst of a handshake, resets them. It takes no connection that there
//! are no descriptors for: those wait with the kernel, and whoever is being served goes on.

use super::count::Share;
use super::descriptors::Room;
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
    tokio::select! {
        () = accept(&listener, room, &start) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    if refuse_new(&listener).is_ok() {
        let _ = tokio::time::timeout(HANDSHAKES, accept(&listener, room, &start)).await;
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

async fn accept(listener: &TcpListener, room: &Room, start: &impl Fn(TcpStream, Option<OwnedSemaphorePermit>)) {
    loop {
        if room.is_full() && FULL.is_due() {
            tracing::warn!(
                "as many client connections as --max-connections or the limit of open files allows: further ones wait until one ends"
            );
        }
        let one = room.one().await;
        match listener.accept().await {
            Ok((client, _)) => start(client, one),
            Err(error) => wait_out(&error).await,
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
