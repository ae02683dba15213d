//! Whether the app can take a request: its port accepts a connection, or its own readiness URL answers 2xx.
//!
//! **Invariant:** asked anew for every probe; a probe is never a request that counts.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for the app: below the probe's own timeout of 5 s (DESIGN 6).
const PATIENCE: Duration = Duration::from_secs(4);

/// A readiness URL of the app: `http://HOST:PORT/PATH` with an address for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessUrl {
    address: SocketAddr,
    path: String,
}

impl FromStr for ReadinessUrl {
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

/// Whether the app at `app` is ready, by `url` if there is one.
pub async fn app_is_ready(app: SocketAddr, url: Option<&ReadinessUrl>) -> bool {
    let asked = async {
        match url {
            None => TcpStream::connect(app).await.is_ok(),
            Some(url) => answers_2xx(url).await.unwrap_or(false),
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or(false)
}

async fn answers_2xx(url: &ReadinessUrl) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(url.address).await?;
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", url.path, url.address);
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 2": the status line alone decides.
    let mut start = [0; 10];
    stream.read_exact(&mut start).await?;
    Ok(start.starts_with(b"HTTP/1.") && start[9] == b'2')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readiness_url_is_an_address_and_a_path() {
        let url: ReadinessUrl = "http://127.0.0.1:8080/ready?deep=1".parse().unwrap();
        assert_eq!((url.address, url.path.as_str()), ("127.0.0.1:8080".parse().unwrap(), "/ready?deep=1"));
        assert_eq!("http://[::1]:80".parse::<ReadinessUrl>().unwrap().path, "/");
        for bad in ["https://127.0.0.1:1/", "http://app:80/", "http://127.0.0.1/", "http://127.0.0.1:1/a b", ""] {
            assert!(bad.parse::<ReadinessUrl>().is_err(), "{bad}");
        }
    }
}
