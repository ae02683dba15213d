//! An open loop: each request has its time, and waits for no answer but that of its own connection.
//!
//! One thread and one connection for each of `connections` schedules. A request that is late because the answer before it
//! was, is measured from when it should have left; one that is late because this thread was woken late, from when it left.

use crate::answer::{self, BODY};
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Options {
    /// The proxy.
    #[arg(long)]
    target: SocketAddr,
    /// Connections, each with its own schedule.
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Requests a second, all connections together.
    #[arg(long)]
    rate: u32,
    /// For how long.
    #[arg(long)]
    seconds: u32,
}

/// Prints the median and the 99th percentile in nanoseconds.
pub fn run(options: &Options) -> Result<()> {
    let period = Duration::from_secs(1) * options.connections / options.rate;
    let requests = options.rate * options.seconds / options.connections;
    let start = Instant::now() + Duration::from_millis(50);
    let (target, connections) = (options.target, options.connections);
    let threads: Vec<_> = (0..connections)
        .map(|index| {
            let first = start + period * index / connections;
            thread::spawn(move || client(target, first, period, index * requests..(index + 1) * requests))
        })
        .collect();
    let mut all = vec![];
    for thread in threads {
        all.extend(thread.join().map_err(|_| Error::other("a client panicked"))??);
    }
    all.sort_unstable();
    println!("{} {}", all[all.len() / 2].as_nanos(), all[all.len() * 99 / 100].as_nanos());
    Ok(())
}

/// Each request has its number in its path, of one length, so that a capture can tell them apart.
fn client(target: SocketAddr, first: Instant, period: Duration, numbers: Range<u32>) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut latencies = Vec::with_capacity(numbers.len());
    for number in numbers.clone() {
        let request = format!(
            "GET /hello/{number:010} HTTP/1.1\r\nHost: app.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
        );
        let mut due = first + period * (number - numbers.start);
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
            due = Instant::now();
        }
        stream.write_all(request.as_bytes())?;
        read_answer(&mut stream)?;
        latencies.push(due.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer.
pub fn read_answer(stream: &mut TcpStream) -> Result<()> {
    let (mut bytes, mut held) = ([0; 4096], 0);
    while answer::length(&bytes[..held], BODY)?.is_none_or(|length| held < length) {
        let read = stream.read(&mut bytes[held..])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        held += read;
    }
    Ok(())
}
