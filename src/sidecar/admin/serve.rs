//! The connections of the admin port, from their acceptance to their end.
//!
//! **Invariant:** every connection is accepted at once; one that sends no head ends soon, and earlier if its place is needed.

use super::Port;
use super::seats::{Seats, Taken};
use super::stream::Prompt;
use crate::sidecar::listen;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Longest time for a request to this port to arrive, and for a kept connection to be idle.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for the first head of a connection.
const FIRST_HEAD: Duration = Duration::from_secs(3);
/// Most bytes of a head; the smallest that hyper takes.
const MAX_HEAD: usize = 8 * 1024;

/// Serves the admin port without an end, with at most `most` connections at a time.
pub async fn serve(listener: TcpListener, port: Arc<Port>, most: usize) {
    let seats = Arc::new(Seats::new(most));
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                if let Some(seat) = seats.take(client.ip()).await {
                    tokio::spawn(run(stream, Arc::clone(&port), seat));
                }
            }
            Err(error) => listen::wait_out(&error).await,
        }
    }
}

/// Serves one connection until it ends, sends no head, or its place is needed.
async fn run(stream: TcpStream, port: Arc<Port>, seat: Taken) {
    tokio::select! {
        () = answer_all(stream, &port, &seat) => {}
        () = stays_unknown(&seat) => {}
        () = seat.evicted() => {}
    }
}

async fn answer_all(stream: TcpStream, port: &Port, seat: &Taken) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(port.answer(request, seat).await) });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Prompt::new(stream)), service);
    // A broken admin connection is its client's matter.
    let _ = pin!(serving).await;
}

/// Returns if no head has arrived in time.
async fn stays_unknown(seat: &Taken) {
    tokio::time::sleep(FIRST_HEAD).await;
    if seat.is_known() {
        std::future::pending::<()>().await;
    }
}
