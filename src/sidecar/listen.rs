//! The listener of the traffic port.
//!
//! **Invariant:** it closes only when told to, and then takes every connection first that the kernel has completed: a
//! listener closed over its queue resets them.

use super::state::Shared;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Hands connections to `start` until the sidecar is told to close.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, shared: &Shared, start: impl Fn(TcpStream)) -> io::Result<()> {
    let mut closing = shared.closing();
    tokio::select! {
        () = accept(&listener, &start) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    let listener = listener.into_std()?;
    while let Ok((client, _)) = listener.accept() {
        client.set_nonblocking(true)?;
        start(TcpStream::from_std(client)?);
    }
    Ok(())
}

async fn accept(listener: &TcpListener, start: &impl Fn(TcpStream)) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => start(client),
            Err(error) => wait_out(&error).await,
        }
    }
}

/// Out of descriptors, or a client that left in the queue: other connections end soon, the listener stays.
async fn wait_out(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A listener on `address`.
///
/// # Errors
/// A sentence that names the address and the reason.
pub async fn bind(address: SocketAddr, purpose: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address} for {purpose}: {error}"))
}
