//! After an upgrade: bytes both ways until both sides have closed, or, for WebSocket, until there is no more time.
//!
//! **Invariant:** what is passed on is passed on verbatim; each side's half-close reaches the other, and a failure of one
//! ends both. A close frame of ours stands between two messages, and nothing follows it.

use super::buffer::Buffer;
use super::connection::End;
use super::socket;
use super::websocket::{CLOSE_1001, MASKED_CLOSE_1001, Messages};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long the two sides of a WebSocket may take to finish their message and to confirm the close.
const GOODBYE: Duration = Duration::from_millis(800);

/// Runs until the tunnel ends. What was read already goes first. `stall`: how long the client may take nothing of what
/// waits for it.
pub async fn run(
    client: &TcpStream,
    app: &TcpStream,
    inbound: &mut Buffer,
    outbound: &mut Buffer,
    stall: Option<Duration>,
) -> End {
    match tokio::try_join!(one_way(client, app, inbound, None), one_way(app, client, outbound, stall)) {
        Ok(_) => End::Answered,
        Err(_) => End::CutShort,
    }
}

async fn one_way(from: &TcpStream, to: &TcpStream, buffer: &mut Buffer, stall: Option<Duration>) -> io::Result<()> {
    loop {
        buffer.pass_on_within(buffer.bytes().len(), to, stall).await?;
        if buffer.fill(from).await? == 0 {
            socket::shut_write(to);
            return Ok(());
        }
        tokio::task::coop::consume_budget().await;
    }
}

/// Runs a WebSocket until it ends, or until `last_call`: then both sides get a close frame, 1001.
pub async fn run_websocket(
    client: &TcpStream,
    app: &TcpStream,
    inbound: &mut Buffer,
    outbound: &mut Buffer,
    last_call: &watch::Receiver<bool>,
    stall: Duration,
) -> End {
    let up = Websocket { from: client, to: app, close: &MASKED_CLOSE_1001, last_call: last_call.clone(), stall: None };
    let stall = Some(stall);
    let down = Websocket { from: app, to: client, close: &CLOSE_1001, last_call: last_call.clone(), stall };
    let both = async { tokio::try_join!(up.run(inbound), down.run(outbound)) };
    tokio::select! {
        ended = both => if ended.is_ok() { End::Answered } else { End::CutShort },
        () = overdue(last_call.clone()) => End::Answered,
    }
}

async fn overdue(mut last_call: watch::Receiver<bool>) {
    called(&mut last_call).await;
    tokio::time::sleep(GOODBYE).await;
}

async fn called(last_call: &mut watch::Receiver<bool>) {
    // The sender lives as long as the process; without it the call never comes.
    if last_call.wait_for(|called| *called).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One direction of a WebSocket.
struct Websocket<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    close: &'a [u8],
    last_call: watch::Receiver<bool>,
    stall: Option<Duration>,
}

impl Websocket<'_> {
    async fn run(mut self, buffer: &mut Buffer) -> io::Result<()> {
        let mut messages = Messages::default();
        loop {
            let is_called = *self.last_call.borrow_and_update();
            let whole = messages.advance(buffer.bytes(), is_called && !messages.has_closed());
            buffer.pass_on_within(whole, self.to, self.stall).await?;
            if is_called && messages.at_boundary() && !messages.has_closed() {
                socket::write_all(self.to, self.close).await?;
                return self.await_confirmation(messages, buffer).await;
            }
            tokio::select! {
                read = buffer.fill(self.from) => if read? == 0 {
                    socket::shut_write(self.to);
                    return Ok(());
                },
                () = called(&mut self.last_call), if !is_called => {}
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Drops what comes, up to the close frame that answers the one this side got from us, or the end.
    async fn await_confirmation(&self, mut messages: Messages, buffer: &mut Buffer) -> io::Result<()> {
        loop {
            let dropped = messages.advance(buffer.bytes(), false);
            buffer.consume(dropped);
            if messages.has_closed() || buffer.fill(self.from).await? == 0 {
                return Ok(());
            }
        }
    }
}
