//! After an upgrade: bytes both ways until both sides have closed, or, for WebSocket, until there is no more time.
//!
//! **Invariant:** what is passed on is passed on verbatim; each side's half-close reaches the other, and a failure of one
//! ends both, but for an app that takes no more: what it has sent still reaches the client. A close
//! frame of ours stands between two messages, and nothing follows it.

use super::buffer::Buffer;
use super::connection::End;
use super::socket;
use super::splice;
use super::websocket::{CLOSE_1001, MASKED_CLOSE_1001, Messages};
use std::io;
use std::pin::pin;
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
    inbound: &mut Buffer<'_>,
    outbound: &mut Buffer<'_>,
    stall: Option<Duration>,
) -> End {
    both(one_way(client, app, inbound, None), one_way(app, client, outbound, stall)).await
}

/// Which side of a direction has failed.
enum Failed {
    /// The one that sends.
    Sender,
    /// The one that receives.
    Receiver,
}

impl From<splice::Failed> for Failed {
    fn from(failed: splice::Failed) -> Self {
        match failed {
            splice::Failed::Sender => Self::Sender,
            splice::Failed::Receiver(_) => Self::Receiver,
        }
    }
}

impl Failed {
    /// What a failure to pass bytes on means. Where they are given up for want of memory, no direction goes on without them.
    fn to_pass_on(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::OutOfMemory { Self::Sender } else { Self::Receiver }
    }
}

/// Runs both directions to their end. An app that has said all and closed refuses what the client still sends: that
/// ends the direction to the app alone.
async fn both(
    to_app: impl Future<Output = Result<(), Failed>>,
    to_client: impl Future<Output = Result<(), Failed>>,
) -> End {
    let (mut to_app, mut to_client) = (pin!(to_app), pin!(to_client));
    let answered = tokio::select! {
        answered = &mut to_client => match answered {
            Ok(()) => to_app.await.map_or_else(|failed| matches!(failed, Failed::Receiver), |()| true),
            Err(_) => false,
        },
        asked = &mut to_app => match asked {
            Ok(()) | Err(Failed::Receiver) => to_client.await.is_ok(),
            Err(Failed::Sender) => false,
        },
    };
    if answered { End::Answered } else { End::CutShort }
}

async fn one_way(
    from: &TcpStream,
    to: &TcpStream,
    buffer: &mut Buffer<'_>,
    stall: Option<Duration>,
) -> Result<(), Failed> {
    loop {
        buffer.pass_on_within(buffer.bytes().len(), to, stall).await.map_err(|error| Failed::to_pass_on(&error))?;
        if buffer.may_have_more() {
            buffer.release();
            // Boxed: it is rare, and a connection should not own room for it.
            Box::pin(splice::carry(from, to, u64::MAX, stall, || ())).await?;
        }
        if fill(buffer, from).await? == 0 {
            socket::shut_write(to);
            return Ok(());
        }
        tokio::task::coop::consume_budget().await;
    }
}

async fn fill(buffer: &mut Buffer<'_>, from: &TcpStream) -> Result<usize, Failed> {
    buffer.fill(from).await.map_err(|_| Failed::Sender)
}

/// Runs a WebSocket until it ends, or until `last_call`: then both sides get a close frame, 1001.
pub async fn run_websocket(
    client: &TcpStream,
    app: &TcpStream,
    inbound: &mut Buffer<'_>,
    outbound: &mut Buffer<'_>,
    last_call: &watch::Receiver<bool>,
    stall: Duration,
) -> End {
    let up = Websocket { from: client, to: app, close: &MASKED_CLOSE_1001, last_call: last_call.clone(), stall: None };
    let stall = Some(stall);
    let down = Websocket { from: app, to: client, close: &CLOSE_1001, last_call: last_call.clone(), stall };
    tokio::select! {
        end = both(up.run(inbound), down.run(outbound)) => end,
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
    async fn run(mut self, buffer: &mut Buffer<'_>) -> Result<(), Failed> {
        let mut messages = Messages::default();
        loop {
            let is_called = *self.last_call.borrow_and_update();
            let whole = messages.advance(buffer.bytes(), is_called && !messages.has_closed());
            buffer.pass_on_within(whole, self.to, self.stall).await.map_err(|error| Failed::to_pass_on(&error))?;
            if is_called && messages.at_boundary() && !messages.has_closed() {
                socket::write_all(self.to, self.close).await.map_err(|_| Failed::Receiver)?;
                return self.await_confirmation(messages, buffer).await;
            }
            tokio::select! {
                read = fill(buffer, self.from) => if read? == 0 {
                    socket::shut_write(self.to);
                    return Ok(());
                },
                () = called(&mut self.last_call), if !is_called => {}
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Drops what comes, up to the close frame that answers the one this side got from us, or the end.
    async fn await_confirmation(&self, mut messages: Messages, buffer: &mut Buffer<'_>) -> Result<(), Failed> {
        loop {
            let dropped = messages.advance(buffer.bytes(), false);
            buffer.consume(dropped);
            if messages.has_closed() || fill(buffer, self.from).await? == 0 {
                return Ok(());
            }
        }
    }
}
