//! The answer's direction: interim answers, the final head, its body.
//!
//! **Invariant:** bytes pass verbatim, but for `Connection: close` while draining; an answer that the app cut short never
//! reaches the client looking whole.

use super::body::Body;
use super::buffer::Buffer;
use super::close_header::with_close;
use super::exchange::Exchange;
use super::head::{self, Framing, Method, ResponseHead};
use super::socket::{self, Peek};
use super::splice::{self, WORTH_IT};
use std::io;
use std::sync::atomic::Ordering;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Written to the last byte.
    Whole {
        /// The app may get another request on this connection.
        app_keeps: bool,
        /// The client may send another one.
        client_keeps: bool,
    },
    /// Another protocol follows.
    Tunnel,
    /// The app gave none that could be passed on; the client has seen nothing of it.
    NoAnswer(&'static str),
    /// The client has seen a part.
    CutShort,
    /// The client does not take it.
    ClientGone,
}

/// Reads the answer and passes it on.
pub async fn relay(exchange: &Exchange<'_>, outbound: &mut Buffer<'_>) -> Ending {
    match answer(exchange, outbound).await {
        Ok(ending) | Err(ending) => ending,
    }
}

async fn answer(exchange: &Exchange<'_>, outbound: &mut Buffer<'_>) -> Result<Ending, Ending> {
    let head = loop {
        let head = read_head(exchange, outbound).await?;
        exchange.progress.heads.fetch_add(1, Ordering::Relaxed);
        exchange.progress.binds_connection.fetch_or(head.binds_connection, Ordering::Relaxed);
        if head.status >= 200 {
            break head;
        }
        if head.status == 101 && !exchange.request.upgrade {
            return Err(Ending::NoAnswer("the app switched protocols unasked"));
        }
        pass_on(exchange, outbound, head.length).await?;
        if head.status == 101 {
            return Ok(Ending::Tunnel);
        }
    };
    exchange.progress.answer_begun.store(true, Ordering::Relaxed);
    #[cfg(feature = "planted")]
    exchange.share.forget_if(crate::sidecar::planted::Fault::EndsWithHead);
    if exchange.request.method == Method::Connect && head.status < 300 {
        pass_on(exchange, outbound, head.length).await?;
        return Ok(Ending::Tunnel);
    }
    final_answer(exchange, outbound, head).await
}

async fn read_head(exchange: &Exchange<'_>, outbound: &mut Buffer<'_>) -> Result<ResponseHead, Ending> {
    let mut scanned = 0;
    loop {
        let malformed = |_| Ending::NoAnswer("the answer of the app is malformed");
        if let Some(end) = head::find_end(outbound.bytes(), &mut scanned).map_err(malformed)? {
            return head::parse_response(&outbound.bytes()[..end]).map_err(malformed);
        }
        match outbound.fill(exchange.app).await {
            Ok(0) | Err(_) => return Err(Ending::NoAnswer("the app closed the connection without an answer")),
            Ok(_) => {}
        }
    }
}

async fn final_answer(
    exchange: &Exchange<'_>,
    outbound: &mut Buffer<'_>,
    head: ResponseHead,
) -> Result<Ending, Ending> {
    let bodiless = exchange.request.method == Method::Head;
    let mut body = Body::new(if bodiless { Framing::Length(0) } else { head.framing });
    let malformed = |_| Ending::NoAnswer("the answer of the app is malformed");
    let first = head.length + body.advance(&outbound.bytes()[head.length..]).map_err(malformed)?;
    let asks_to_leave = asks_to_leave(exchange);
    if asks_to_leave {
        let mut edited = with_close(&outbound.bytes()[..head.length]);
        edited.extend_from_slice(&outbound.bytes()[head.length..first]);
        let written = socket::write_all_within(exchange.client, &edited, exchange.relay.stall).await;
        written.map_err(|error| not_taken(&error))?;
        outbound.consume(first);
    } else {
        pass_on(exchange, outbound, first).await?;
    }
    let until_close = body.ends_with_close();
    pass_body(exchange, outbound, &mut body).await?;
    let app_keeps = head.keep_alive && exchange.request.keep_alive && !until_close;
    Ok(Ending::Whole { app_keeps, client_keeps: app_keeps && !asks_to_leave })
}

/// Whether this answer tells the client to go elsewhere: while draining, unless more of its requests are here already,
/// which must be answered on this connection first.
fn asks_to_leave(exchange: &Exchange<'_>) -> bool {
    exchange.relay.shared.is_draining()
        && exchange.share.held() <= 1
        && !(exchange.has_sent_request() && socket::peek(exchange.client) == Peek::Bytes)
}

async fn pass_body(exchange: &Exchange<'_>, outbound: &mut Buffer<'_>, body: &mut Body) -> Result<(), Ending> {
    while !body.is_done() {
        if outbound.may_have_more() && body.opaque() >= WORTH_IT {
            outbound.release();
            body.pass(carry(exchange, body.opaque()).await?);
            if body.is_done() {
                return Ok(());
            }
        }
        match outbound.fill(exchange.app).await {
            Ok(0) if body.ends_with_close() => return Ok(()),
            Ok(0) | Err(_) => return Err(Ending::CutShort),
            Ok(_) => {}
        }
        let taken = body.advance(outbound.bytes()).map_err(|_| Ending::CutShort)?;
        pass_on(exchange, outbound, taken).await?;
        tokio::task::coop::consume_budget().await;
    }
    Ok(())
}

/// Passes on what the app has sent of the body so far, and answers how much.
async fn carry(exchange: &Exchange<'_>, most: u64) -> Result<u64, Ending> {
    // Boxed: it is rare, and a connection should not own room for it.
    let carried = Box::pin(splice::carry(exchange.app, exchange.client, most, Some(exchange.relay.stall), || ()));
    carried.await.map_err(|failed| match failed {
        splice::Failed::Sender => Ending::CutShort,
        splice::Failed::Receiver(error) => not_taken(&error),
    })
}

async fn pass_on(exchange: &Exchange<'_>, outbound: &mut Buffer<'_>, count: usize) -> Result<(), Ending> {
    let passed = outbound.pass_on_within(count, exchange.client, Some(exchange.relay.stall)).await;
    passed.map_err(|error| not_taken(&error))
}

/// A client that stands still is reset: an orderly close would leave what it does not take with the kernel.
fn not_taken(error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::OutOfMemory => Ending::CutShort,
        _ => Ending::ClientGone,
    }
}
