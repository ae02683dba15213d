//! Connections that have had one answer and now only are.

use crate::REQUEST;
use crate::open_loop::read_answer;
use std::io::{Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};

#[derive(clap::Args)]
pub struct Options {
    /// The proxy.
    #[arg(long)]
    target: SocketAddr,
    /// How many.
    #[arg(long)]
    connections: u32,
}

/// Prints a line when all are there; ends with its input.
pub fn run(options: &Options) -> Result<()> {
    let mut streams = vec![];
    for _ in 0..options.connections {
        let mut stream = TcpStream::connect(options.target)?;
        stream.write_all(REQUEST)?;
        read_answer(&mut stream)?;
        streams.push(stream);
    }
    println!("open");
    std::io::stdin().read_to_end(&mut vec![])?;
    Ok(())
}
