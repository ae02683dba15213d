//! A well-behaved client: one request after the other, to the sidecar under attack and to the one in peace in turns, on
//! connections that it keeps and on new ones.

use super::support::{Sidecar, soon};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Every so many requests it opens a new connection.
const FRESH: usize = 5;
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(2);
/// Requests at most.
const MOST: usize = 3_000;

static TOLD: AtomicBool = AtomicBool::new(false);

/// It asks no more.
pub fn tell() {
    TOLD.store(true, Ordering::SeqCst);
}

pub struct Others {
    addresses: [SocketAddr; 2],
    kept: [Option<TcpStream>; 2],
    times: [Vec<Duration>; 2],
}

impl Others {
    pub fn of(attacked: &Sidecar, peaceful: &Sidecar) -> Self {
        TOLD.store(false, Ordering::SeqCst);
        Self { addresses: [attacked.traffic, peaceful.traffic], kept: [None, None], times: Default::default() }
    }

    /// How long the answers took, of the one under attack and of the other.
    pub fn take(&mut self) -> (Vec<Duration>, Vec<Duration>) {
        let [attacked, peaceful] = std::mem::take(&mut self.times);
        (attacked, peaceful)
    }

    pub async fn ask(&mut self, count: usize) {
        for n in 0..count {
            for which in [0, 1] {
                if n % FRESH == 0 {
                    self.kept[which] = None;
                }
                let began = Instant::now();
                self.one(which, n).await;
                self.times[which].push(began.elapsed());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub async fn ask_until_told(&mut self) -> (Vec<Duration>, Vec<Duration>) {
        while !TOLD.load(Ordering::SeqCst) && self.times[0].len() < MOST {
            self.ask(FRESH).await;
        }
        self.kept = [None, None];
        self.take()
    }

    /// A kept connection may be closed by the server when it is idle; it was used a moment ago, so here it must not be.
    async fn one(&mut self, which: usize, n: usize) {
        let mut stream = match self.kept[which].take() {
            Some(kept) => kept,
            None => soon("a connection for others", TcpStream::connect(self.addresses[which])).await.unwrap(),
        };
        stream.write_all(b"GET / HTTP/1.1\r\nHost: others\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"aaaaaaaaaaaaaaaa") {
            let mut piece = [0; 1024];
            let count = soon("an answer for others", stream.read(&mut piece)).await.unwrap();
            assert!(count > 0, "request {n} of others: closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend(&piece[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "others: {}", String::from_utf8_lossy(&answer));
        self.kept[which] = Some(stream);
    }
}

pub fn p99(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len().saturating_sub(1 + times.len() / 100)).copied().unwrap_or_default()
}
