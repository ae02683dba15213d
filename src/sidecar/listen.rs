//! The listener of the traffic port.
//!
//! **Invariant:** it closes only when told to, and then takes every connection first that the kernel has completed: a
//! listener closed over its queue resets them.

use super::http::connection::{self, Relay};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Serves connections until the sidecar is told to close.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, relay: Arc<Relay>) -> io::Result<()> {
    let mut closing = relay.shared.closing();
    tokio::select! {
        () = accept(&listener, &relay) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    let listener = listener.into_std()?;
    while let Ok((client, _)) = listener.accept() {
        client.set_nonblocking(true)?;
        start(TcpStream::from_std(client)?, &relay);
    }
    Ok(())
}

async fn accept(listener: &TcpListener, relay: &Arc<Relay>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => start(client, relay),
            Err(error) => wait_out(&error).await,
        }
    }
}

fn start(client: TcpStream, relay: &Arc<Relay>) {
    let relay = Arc::clone(relay);
    tokio::spawn(async move { connection::serve(client, &relay).await });
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
