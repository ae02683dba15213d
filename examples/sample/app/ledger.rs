//! Tells the ledger which requests began and which ended, one line each over one TCP connection.
//!
//! **Invariant:** a request never fails for the ledger, and waits for it at most a second; a line that could not be
//! sent is counted and not sent later, when it would say something about another time.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

/// The longest wait for the ledger: at start, and for one line.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// The service's end of the ledger.
pub struct Ledger {
    wanted: bool,
    pod: String,
    writer: Mutex<Option<OwnedWriteHalf>>,
    broken: Notify,
    unreported: AtomicU64,
}

/// The address of the Service `sample-ledger`, as Kubernetes puts it into the environment of pods born after it.
pub fn from_environment() -> Option<SocketAddr> {
    let host = std::env::var("SAMPLE_LEDGER_SERVICE_HOST").ok()?.parse().ok()?;
    let port = std::env::var("SAMPLE_LEDGER_SERVICE_PORT").ok()?.parse().ok()?;
    Some(SocketAddr::new(host, port))
}

impl Ledger {
    /// Connects, and goes on doing so whenever the connection is lost; returns after the first attempt.
    pub async fn connect(address: Option<SocketAddr>, pod: String) -> Arc<Self> {
        let ledger = Arc::new(Self {
            wanted: address.is_some(),
            pod,
            writer: Mutex::default(),
            broken: Notify::new(),
            unreported: AtomicU64::new(0),
        });
        if let Some(address) = address {
            let first = ledger.open(address).await;
            tokio::spawn(Arc::clone(&ledger).keep(address, first));
        }
        ledger
    }

    /// Reports a request's begin or end; on return the line is in the kernel's hands, or counted as unreported.
    pub async fn write(&self, event: &str, id: &str) {
        if !self.wanted {
            return;
        }
        let line = format!("{event} {id} {}\n", self.pod);
        let mut writer = self.writer.lock().await;
        let sent = match writer.as_mut() {
            Some(stream) => matches!(timeout(PATIENCE, stream.write_all(line.as_bytes())).await, Ok(Ok(()))),
            None => false,
        };
        if !sent {
            self.unreported.fetch_add(1, Ordering::Relaxed);
            if writer.take().is_some() {
                self.broken.notify_one();
            }
        }
    }

    /// Lines that could not be sent, for people.
    pub fn state(&self) -> Value {
        let connected = self.writer.try_lock().map_or(true, |writer| writer.is_some());
        json!({"connected": connected, "unreported": self.unreported.load(Ordering::Relaxed)})
    }

    async fn open(&self, address: SocketAddr) -> Option<OwnedReadHalf> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.ok()?.ok()?;
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        *self.writer.lock().await = Some(writer);
        Some(reader)
    }

    /// The ledger never answers: whatever ends the read is the end of the connection.
    async fn keep(self: Arc<Self>, address: SocketAddr, first: Option<OwnedReadHalf>) {
        let mut reader = first;
        loop {
            if let Some(open) = &mut reader {
                let mut nothing = [0; 1];
                tokio::select! {
                    _ = open.read(&mut nothing) => {}
                    () = self.broken.notified() => {}
                }
                self.writer.lock().await.take();
            }
            tokio::time::sleep(PAUSE).await;
            reader = self.open(address).await;
        }
    }
}
