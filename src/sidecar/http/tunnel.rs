//! After an upgrade: bytes both ways until both sides have closed.
//!
//! **Invariant:** nothing is parsed; each side's half-close reaches the other, and a failure of one ends both.

use super::buffer::Buffer;
use super::connection::End;
use super::socket;
use std::io;
use tokio::net::TcpStream;

/// Runs until the tunnel ends. What was read already goes first.
pub async fn run(client: &TcpStream, app: &TcpStream, inbound: &mut Buffer, outbound: &mut Buffer) -> End {
    match tokio::try_join!(one_way(client, app, inbound), one_way(app, client, outbound)) {
        Ok(_) => End::Answered,
        Err(_) => End::CutShort,
    }
}

async fn one_way(from: &TcpStream, to: &TcpStream, buffer: &mut Buffer) -> io::Result<()> {
    loop {
        buffer.pass_on(buffer.bytes().len(), to).await?;
        if buffer.fill(from).await? == 0 {
            socket::shut_write(to);
            return Ok(());
        }
        tokio::task::coop::consume_budget().await;
    }
}
