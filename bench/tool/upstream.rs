//! The app behind every proxy: as cheap as can be, so that little of what is measured is its.

use crate::answer::BODY;
use std::io::Result;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{LocalSet, spawn_local};

#[derive(clap::Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to listen as well.
    #[arg(long)]
    socket: PathBuf,
    /// Bytes of the body of each answer.
    #[arg(long, default_value_t = BODY)]
    answer: usize,
}

pub fn run(options: &Options) -> Result<()> {
    let (body, listen, path) = (options.answer, options.listen, options.socket.clone());
    crate::on_one_thread(LocalSet::new().run_until(async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n");
        let answer: Rc<[u8]> = [head.into_bytes(), vec![b'x'; body]].concat().into();
        let (listener, socket) = (TcpListener::bind(listen).await?, UnixListener::bind(path)?);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let client = accepted?.0;
                    client.set_nodelay(true)?;
                    spawn_local(serve(client, Rc::clone(&answer)));
                }
                accepted = socket.accept() => {
                    spawn_local(serve(accepted?.0, Rc::clone(&answer)));
                }
            }
        }
    }))
}

/// Answers until the client leaves. Requests have no bodies, and a client waits for its answer.
async fn serve(mut client: impl AsyncRead + AsyncWrite + Unpin, answer: Rc<[u8]>) -> Result<()> {
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
