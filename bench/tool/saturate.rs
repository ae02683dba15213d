//! A closed loop over kept connections: as many requests as the proxy takes.

use crate::REQUEST;
use crate::answer::{self, BODY};
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Longest time for all of it.
const LIMIT: Duration = Duration::from_secs(120);
/// Bytes that a client reads at a time.
const ROOM: usize = 64 * 1024;

#[derive(clap::Args)]
pub struct Options {
    /// The proxy.
    #[arg(long)]
    target: SocketAddr,
    /// Connections at once.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Requests in all; as many on each connection.
    #[arg(long)]
    requests: u32,
    /// Bytes of the body of each answer.
    #[arg(long, default_value_t = BODY)]
    answer: usize,
}

pub fn run(options: &Options) -> Result<()> {
    crate::on_one_thread(async {
        let mut clients = JoinSet::new();
        for _ in 0..options.connections {
            clients.spawn(client(options.target, options.requests.div_ceil(options.connections), options.answer));
        }
        let all = async {
            while let Some(ended) = clients.join_next().await {
                ended??;
            }
            Ok(())
        };
        tokio::time::timeout(LIMIT, all).await?
    })
}

async fn client(target: SocketAddr, requests: u32, body: usize) -> Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let mut room = vec![0; ROOM];
    for _ in 0..requests {
        stream.write_all(REQUEST).await?;
        let (mut held, mut length) = (0, None);
        while length.is_none_or(|length| held < length) {
            // What has been read of a body is not kept.
            let at = if length.is_some() { 0 } else { held };
            let read = stream.read(&mut room[at..]).await?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            held += read;
            if length.is_none() {
                length = answer::length(&room[..held], body)?;
            }
        }
    }
    Ok(())
}
