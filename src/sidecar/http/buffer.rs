//! The bytes of one direction between two sockets.
//!
//! **Invariant:** memory is held only while there are bytes: an idle connection owns no buffer.

use super::socket;
use crate::sidecar::quota::Quota;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;

/// Size of a buffer.
const SIZE: usize = 16 * 1024;
/// A head may be longer: for it the buffer grows at once to this size, which is that of the longest head with what its last
/// read brings along. Few sizes leave few gaps in the heap.
const LARGE: usize = 64 * 1024;
/// Buffers kept for reuse by each thread.
const SPARE: usize = 64;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes read and not yet passed on.
pub struct Buffer<'a> {
    /// What its memory is charged to while it waits.
    quota: &'a Arc<Quota>,
    storage: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read has filled all the room there was.
    is_full: bool,
}

impl<'a> Buffer<'a> {
    /// An empty one, whose memory is charged to `quota` as long as it waits with bytes in it.
    #[must_use]
    pub fn new(quota: &'a Arc<Quota>) -> Self {
        Self { quota, storage: Vec::new(), start: 0, end: 0, is_full: false }
    }

    /// The memory that it owns, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.storage.len() as u64
    }

    /// The bytes that are here.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    /// Whether it is empty and more is likely to be there at once: the last read has filled it.
    #[must_use]
    pub fn may_have_more(&self) -> bool {
        self.is_empty() && self.is_full
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first `count` bytes have been passed on.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Puts `new` in the place of the first `count` bytes.
    pub fn replace(&mut self, count: usize, new: &[u8]) {
        debug_assert!(count <= self.end - self.start);
        let longer = new.len().saturating_sub(count);
        while self.start + self.storage.len() - self.end < longer {
            self.grow();
        }
        if self.start < longer {
            self.storage.copy_within(self.start..self.end, longer);
            (self.start, self.end) = (longer, longer + self.end - self.start);
        }
        self.start = self.start + count - new.len();
        self.storage[self.start..self.start + new.len()].copy_from_slice(new);
    }

    /// Gives the memory back if there are no bytes.
    pub fn release(&mut self) {
        if self.is_empty() && !self.storage.is_empty() {
            let storage = std::mem::take(&mut self.storage);
            self.quota.free(storage.len() as u64);
            if storage.len() == SIZE {
                SPARES.with_borrow_mut(|spares| {
                    if spares.len() < SPARE {
                        spares.push(storage);
                    }
                });
            }
        }
    }

    /// Waits for bytes from `stream` and takes them; 0 is its end. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// What the socket reports, such as a reset; `OutOfMemory` if it held bytes that were needed more urgently.
    pub async fn fill(&mut self, stream: &TcpStream) -> io::Result<usize> {
        loop {
            if !socket::is_ready(stream) {
                self.release();
                if self.storage.is_empty() {
                    readable(stream).await?;
                } else {
                    // Boxed: it is rare, and a connection should not own room for it.
                    Box::pin(self.quota.hold(self.size(), readable(stream))).await.map_err(|_| no_room())??;
                }
            }
            if self.quota.is_over() {
                self.wait_for_room().await?;
            }
            self.make_room();
            match socket::read(stream, &mut self.storage[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    self.is_full = self.end == self.storage.len();
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the first `count` bytes to `stream` and forgets them.
    ///
    /// # Errors
    /// What the socket reports; `OutOfMemory` if the bytes were needed more urgently.
    pub async fn pass_on(&mut self, count: usize, stream: &TcpStream) -> io::Result<()> {
        self.pass_on_within(count, stream, None).await
    }

    /// The same to a receiver that may not stand still for longer than `limit`, if there is one.
    ///
    /// # Errors
    /// What the socket reports; `TimedOut` for a receiver that took nothing for so long, `OutOfMemory` if the bytes were
    /// needed more urgently.
    pub async fn pass_on_within(
        &mut self,
        count: usize,
        stream: &TcpStream,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let taken = socket::write_now(stream, &self.bytes()[..count])?;
        self.consume(taken);
        if taken < count {
            // Boxed: it is rare, and a connection should not own room for it.
            let rest = self.write_slowly(count - taken, stream, limit);
            Box::pin(self.quota.hold(self.size(), rest)).await.map_err(|_| no_room())??;
            self.consume(count - taken);
        }
        Ok(())
    }

    async fn write_slowly(&self, count: usize, stream: &TcpStream, limit: Option<Duration>) -> io::Result<()> {
        match limit {
            Some(limit) => socket::write_all_within(stream, &self.bytes()[..count], limit).await,
            None => socket::write_all(stream, &self.bytes()[..count]).await,
        }
    }

    /// More than the budget is held: it waits until that is over, and may be given up if it holds something itself.
    async fn wait_for_room(&mut self) -> io::Result<()> {
        self.release();
        // Boxed: it is rare, and a connection should not own room for it.
        if self.storage.is_empty() {
            Box::pin(self.quota.has_room()).await;
            return Ok(());
        }
        Box::pin(self.quota.hold(self.size(), self.quota.has_room())).await.map_err(|_| no_room())
    }

    fn make_room(&mut self) {
        if self.storage.is_empty() {
            self.quota.take(SIZE as u64);
            self.storage = SPARES.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE]);
        }
        if self.end == self.storage.len() {
            if self.start > 0 {
                self.storage.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.grow();
            }
        }
    }

    fn grow(&mut self) {
        let more = self.storage.len().max(LARGE - SIZE);
        self.quota.take(more as u64);
        self.storage.reserve_exact(more);
        self.storage.resize(self.storage.len() + more, 0);
    }
}

/// What a receiver or sender sees that is given up, so that others can be served.
fn no_room() -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

/// Returns when there is something to read.
///
/// It uses the socket's own place for a reader's waker: cheaper than an entry in its list of waiters. A socket is read in one
/// task only.
async fn readable(stream: &TcpStream) -> io::Result<()> {
    poll_fn(|context| if socket::is_ready(stream) { Poll::Ready(Ok(())) } else { stream.poll_read_ready(context) })
        .await
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.consume(self.end - self.start);
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[test]
    fn bytes_are_replaced_by_more_or_fewer_wherever_they_stand() {
        let quota = Arc::new(Quota::new(None));
        for (start, rest) in [(0, 10), (5, 10), (0, SIZE - 10), (5, SIZE - 20), (0, SIZE * 3)] {
            for new in [0, 3, 10, 11, 200, SIZE] {
                let mut buffer = Buffer::new(&quota);
                buffer.make_room();
                while buffer.storage.len() < start + 10 + rest {
                    buffer.grow();
                }
                (buffer.start, buffer.end) = (start, start + 10 + rest);
                buffer.storage[start..].fill(b'o');
                buffer.storage[start + 10..start + 10 + rest].fill(b'r');
                buffer.replace(10, &vec![b'n'; new]);
                let expected = [vec![b'n'; new], vec![b'r'; rest]].concat();
                assert_eq!(buffer.bytes(), expected, "{start}, {rest}, {new}");
            }
        }
        assert_eq!(quota.held(), 0);
    }

    #[tokio::test]
    async fn bytes_come_out_as_they_went_in_and_an_idle_buffer_owns_nothing() {
        let (mut near, far) = pair().await;
        let sent: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move { near.write_all(&sent).await });
        let quota = Arc::new(Quota::new(None));
        let (mut buffer, mut got) = (Buffer::new(&quota), Vec::new());
        while buffer.fill(&far).await.unwrap() > 0 {
            let some = buffer.bytes().len().div_ceil(2);
            got.extend_from_slice(&buffer.bytes()[..some]);
            buffer.consume(some);
        }
        got.extend_from_slice(buffer.bytes());
        writer.await.unwrap().unwrap();
        assert!(got == expected);
        buffer.consume(buffer.bytes().len());
        buffer.release();
        assert_eq!(buffer.storage.capacity(), 0);
        assert_eq!(quota.held(), 0);
    }
}
