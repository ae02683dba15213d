//! The service's own account: which requests it began and which it ended, one line each over TCP.
//!
//! **Invariant:** the ledger knows nothing of the client's outcomes; the two accounts meet in the report only.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How often a request was begun and ended.
#[derive(Clone, Copy, Default)]
pub struct Marks {
    /// Lines `begin`.
    pub begins: u8,
    /// Lines `end`.
    pub ends: u8,
}

/// The lines about one run.
#[derive(Default)]
pub struct Book {
    marks: Mutex<Vec<Marks>>,
    pods: Mutex<BTreeMap<String, u64>>,
    /// Signalled at every line.
    pub changed: Notify,
}

impl Book {
    /// The marks by request number; requests never heard of may be missing at the end.
    pub fn marks(&self) -> MutexGuard<'_, Vec<Marks>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests ended, by pod.
    pub fn pods(&self) -> BTreeMap<String, u64> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn mark(&self, event: &str, index: usize, pod: &str) {
        let mut marks = self.marks();
        if marks.len() <= index {
            marks.resize(index + 1, Marks::default());
        }
        if event == "begin" {
            marks[index].begins = marks[index].begins.saturating_add(1);
        } else {
            marks[index].ends = marks[index].ends.saturating_add(1);
            *self.pods.lock().unwrap_or_else(PoisonError::into_inner).entry(pod.into()).or_default() += 1;
        }
        drop(marks);
        self.changed.notify_waiters();
    }
}

/// All books, and the lines that belong to none.
#[derive(Default)]
pub struct Ledger {
    books: Mutex<HashMap<String, Arc<Book>>>,
    stray: AtomicU64,
}

/// The largest request number taken from a line, so that a stray line cannot ask for much memory.
const HIGHEST_INDEX: usize = 2_000_000;

impl Ledger {
    /// Opens a book for ids that begin with `prefix.`.
    pub fn open(&self, prefix: &str) -> Arc<Book> {
        let book = Arc::new(Book::default());
        self.books().insert(prefix.into(), Arc::clone(&book));
        book
    }

    /// Forgets a book; later lines of it are stray.
    pub fn forget(&self, prefix: &str) {
        self.books().remove(prefix);
    }

    /// Lines that no book claims, since the start of the process.
    pub fn stray(&self) -> u64 {
        self.stray.load(Ordering::Relaxed)
    }

    /// Takes down one line: `begin <id> <pod>` or `end <id> <pod>`.
    pub fn line(&self, line: &str) {
        if self.understand(line).is_none() {
            self.stray.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn understand(&self, line: &str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        let event = words.next().filter(|word| ["begin", "end"].contains(word))?;
        let (prefix, number) = words.next()?.rsplit_once('.')?;
        let index = number.parse().ok().filter(|index| *index < HIGHEST_INDEX)?;
        let book = Arc::clone(self.books().get(prefix)?);
        book.mark(event, index, words.next().unwrap_or_default());
        Some(())
    }

    fn books(&self) -> MutexGuard<'_, HashMap<String, Arc<Book>>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes lines from every connection for ever.
pub async fn serve(listener: TcpListener, ledger: Arc<Ledger>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(read(stream, Arc::clone(&ledger)));
            }
            Err(error) => {
                eprintln!("sample: the ledger cannot accept a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

/// A last line without its line feed is of a pod that died while writing it, and never happened.
async fn read(stream: TcpStream, ledger: Arc<Ledger>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while matches!(reader.read_line(&mut line).await, Ok(count) if count > 0) && line.ends_with('\n') {
        ledger.line(&line);
        line.clear();
    }
}
