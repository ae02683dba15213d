//! Whether the app can take a request: its port accepts a connection, or its own readiness URL answers 2xx.
//!
//! **Invariant:** at most one look at a time, and none within [`SHARED`] of the last one, however many probes come; a probe
//! is never a request that counts.

use super::upstream::Upstream;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// Longest wait for the app: below the probe's own timeout of 5 s (DESIGN 6).
const PATIENCE: Duration = Duration::from_secs(4);

/// How long what a look has found is answered to other probes: less than the shortest period of a kubelet's probe, 1 s.
const SHARED: Duration = Duration::from_millis(500);

/// Looks at the app, for all who ask.
pub struct AppLook {
    apps: Vec<Upstream>,
    url: Option<AppUrl>,
    /// When the last look ended, and what it found. Locked while one is under way, so that others wait for what it finds.
    last: Mutex<Option<(Instant, bool)>>,
}

impl AppLook {
    /// At each port of the app, or at its own readiness URL.
    #[must_use]
    pub fn new(apps: Vec<Upstream>, url: Option<AppUrl>) -> Self {
        Self { apps, url, last: Mutex::new(None) }
    }

    /// Whether the app can take a request, as of at most half a second ago.
    pub async fn is_ready(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, is_ready)) = *last
            && at.elapsed() < SHARED
        {
            return is_ready;
        }
        let is_ready = app_is_ready(&self.apps, self.url.as_ref()).await;
        *last = Some((Instant::now(), is_ready));
        is_ready
    }
}

/// A URL of the app: `http://HOST:PORT/PATH` with an address for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppUrl {
    address: SocketAddr,
    path: String,
}

impl FromStr for AppUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("it must begin with http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let address =
            authority.parse().map_err(|_| format!("{authority:?} is not ADDRESS:PORT, such as 127.0.0.1:8080"))?;
        if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err("its path has characters that must be percent-encoded".into());
        }
        Ok(Self { address, path: path.to_owned() })
    }
}

impl AppUrl {
    /// Of `path` at `address`.
    pub(super) fn new(address: SocketAddr, path: &str) -> Self {
        Self { address, path: path.to_owned() }
    }

    /// Whether a GET is answered with a status of success. The status line alone decides; the rest is not read.
    ///
    /// # Errors
    /// What the socket reports, also where the answer ends before its status.
    pub(super) async fn answers_2xx(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.address);
        stream.write_all(request.as_bytes()).await?;
        // As long as "HTTP/1.1 2".
        let mut start = [0; 10];
        stream.read_exact(&mut start).await?;
        Ok(start.starts_with(b"HTTP/1.") && start[9] == b'2')
    }
}

/// Whether the app accepts connections at all of `apps`; or is ready by `url`, if there is one.
async fn app_is_ready(apps: &[Upstream], url: Option<&AppUrl>) -> bool {
    let asked = async {
        match url {
            None => all_accept(apps).await,
            Some(url) => url.answers_2xx().await.unwrap_or(false),
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or(false)
}

async fn all_accept(apps: &[Upstream]) -> bool {
    for app in apps {
        if app.connect(PATIENCE).await.is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn probes_that_come_together_share_one_connection_to_the_app() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let look = AppLook::new(vec![Upstream::Tcp(listener.local_addr().unwrap())], None);
        let (first, second, third) = tokio::join!(look.is_ready(), look.is_ready(), look.is_ready());
        assert!(first && second && third && look.is_ready().await);
        let mut connections = 0;
        while tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_ok() {
            connections += 1;
        }
        assert_eq!(connections, 1);
        drop(listener);
        tokio::time::sleep(SHARED).await;
        assert!(!look.is_ready().await, "what was found does not last");
    }

    #[test]
    fn a_readiness_url_is_an_address_and_a_path() {
        let url: AppUrl = "http://127.0.0.1:8080/ready?deep=1".parse().unwrap();
        assert_eq!((url.address, url.path.as_str()), ("127.0.0.1:8080".parse().unwrap(), "/ready?deep=1"));
        assert_eq!("http://[::1]:80".parse::<AppUrl>().unwrap().path, "/");
        for bad in ["https://127.0.0.1:1/", "http://app:80/", "http://127.0.0.1/", "http://127.0.0.1:1/a b", ""] {
            assert!(bad.parse::<AppUrl>().is_err(), "{bad}");
        }
    }
}
