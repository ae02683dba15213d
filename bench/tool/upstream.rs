//! The app behind every proxy: as cheap as can be, so that little of what is measured is its.

use crate::answer::BODY;
use std::io::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(clap::Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
}

pub fn run(options: &Options) -> Result<()> {
    crate::on_one_thread(async {
        let listener = TcpListener::bind(options.listen).await?;
        loop {
            let (client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            tokio::spawn(serve(client));
        }
    })
}

/// Answers until the client leaves. Requests have no bodies, and a client waits for its answer.
async fn serve(mut client: TcpStream) -> Result<()> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + BODY, b'x');
    let (mut request, mut held) = (vec![0; 4096], 0);
    loop {
        let read = client.read(&mut request[held..]).await?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        if request[..held].ends_with(b"\r\n\r\n") {
            held = 0;
            client.write_all(&answer).await?;
        }
    }
}
