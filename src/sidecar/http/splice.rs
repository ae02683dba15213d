//! Bytes from one socket to another through a pipe: the kernel moves them, and none is copied into this process.
//!
//! It is worth its two calls for each piece where pieces are large. What has to be read to be understood (heads, the sizes
//! of chunks, WebSocket) goes through a [`super::buffer::Buffer`].
//!
//! **Invariant:** a pipe that is used again is empty; bytes that are left in one end with their connection.

use super::socket;
use rustix::fd::OwnedFd;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// So many bytes to come are worth a pipe.
pub const WORTH_IT: u64 = 32 * 1024;
/// What a pipe holds by default, in bytes (pipe(7)).
const SIZE: u64 = 64 * 1024;

/// Most pipes of a thread.
static MOST: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PIPES: RefCell<Pipes> = const { RefCell::new(Pipes { spare: vec![], lent: 0 }) };
}

struct Pipes {
    spare: Vec<Ends>,
    lent: usize,
}

struct Ends {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// Which side a failure is of.
#[derive(Debug)]
pub enum Failed {
    /// The one that sends.
    Sender,
    /// The one that receives: `TimedOut` if it took nothing for too long.
    Receiver(io::Error),
}

/// Each thread may have so many pipes from now on.
pub fn allow(most: usize) {
    MOST.store(most, Ordering::Relaxed);
}

/// Moves what `from` has now, at most `most` bytes, and answers how many. `stall`: how long the receiver may take nothing.
/// `told` is told of each part that the receiver has taken. Moves nothing where all pipes are in use.
///
/// # Errors
/// A socket that reports one, and whose it is.
pub async fn carry(
    from: &TcpStream,
    to: &TcpStream,
    most: u64,
    stall: Option<Duration>,
    told: impl Fn(),
) -> Result<u64, Failed> {
    let (mut moved, Some(mut pipe)) = (0, Pipe::lend()) else { return Ok(0) };
    while moved < most
        && let Some(count) = pipe.fill(from, most - moved).map_err(|_| Failed::Sender)?
    {
        while pipe.held > 0 {
            pipe.drain(to, stall).await.map_err(Failed::Receiver)?;
            told();
        }
        moved += count;
        tokio::task::coop::consume_budget().await;
    }
    Ok(moved)
}

/// A pipe in use.
struct Pipe {
    ends: Option<Ends>,
    held: u64,
}

impl Pipe {
    fn lend() -> Option<Self> {
        PIPES.with_borrow_mut(|pipes| {
            let ends = match pipes.spare.pop() {
                None if pipes.lent < MOST.load(Ordering::Relaxed) => open().ok()?,
                spare => spare?,
            };
            pipes.lent += 1;
            Some(Self { ends: Some(ends), held: 0 })
        })
    }

    /// Takes what `from` has, and answers how much; none: nothing now, or no more.
    fn fill(&mut self, from: &TcpStream, most: u64) -> io::Result<Option<u64>> {
        let Some(ends) = &self.ends else { return Ok(None) };
        match socket::try_io(from, Interest::READABLE, || moved(from, &ends.writer, most.min(SIZE))) {
            Ok(0) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
            Ok(count) => {
                self.held = count;
                Ok(Some(count))
            }
        }
    }

    /// Gives `to` what it takes now, or as soon as it takes any.
    async fn drain(&mut self, to: &TcpStream, stall: Option<Duration>) -> io::Result<()> {
        let Some(ends) = &self.ends else { return Ok(()) };
        match socket::try_io(to, Interest::WRITABLE, || moved(&ends.reader, to, self.held)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match stall {
                Some(stall) => tokio::time::timeout(stall, to.writable()).await?,
                None => to.writable().await,
            },
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                self.held -= count;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let ends = self.ends.take().filter(|_| self.held == 0);
        PIPES.with_borrow_mut(|pipes| {
            pipes.lent -= 1;
            pipes.spare.extend(ends);
        });
    }
}

fn open() -> io::Result<Ends> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok(Ends { reader, writer })
}

fn moved(from: impl rustix::fd::AsFd, to: impl rustix::fd::AsFd, most: u64) -> io::Result<u64> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Ok(splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)? as u64)
}
