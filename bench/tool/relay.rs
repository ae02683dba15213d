//! The floor: what a proxy costs that only moves bytes.

use std::io::Result;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

#[derive(clap::Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to.
    #[arg(long)]
    upstream: SocketAddr,
}

pub fn run(options: &Options) -> Result<()> {
    let upstream = options.upstream;
    crate::on_one_thread(async {
        let listener = TcpListener::bind(options.listen).await?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(copy(client, upstream));
        }
    })
}

async fn copy(mut client: TcpStream, upstream: SocketAddr) -> Result<()> {
    let mut app = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    app.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut app).await?;
    Ok(())
}
