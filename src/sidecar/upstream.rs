//! Where the app listens: at a port of a loopback address, or at a socket in the file system.
//!
//! A Unix socket is a cheaper way than TCP over the loopback device, and no other pod can reach it. Once connected, both are read
//! and written in the same way, so a connected Unix socket is held as a [`TcpStream`]. The kernel refuses or ignores the
//! options that only TCP has (no delay, keep-alive, a reset), and the sidecar depends on none of them for the app.
//!
//! **Invariant:** an upstream is in this pod: a relay to elsewhere would count what it does not protect.

use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;

const UNIX: &str = "unix:";

/// Where the app listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A port of a loopback address.
    Tcp(SocketAddr),
    /// A path on which the app has a stream socket.
    Unix(PathBuf),
}

impl Upstream {
    /// The address, if it has one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Opens a connection from whatever address, and tells the app nothing.
    ///
    /// # Errors
    /// What the socket reports; `TimedOut` for an app that did not accept in time.
    pub async fn connect(&self, patience: Duration) -> io::Result<TcpStream> {
        match self {
            Self::Tcp(address) => tokio::time::timeout(patience, TcpStream::connect(address)).await?,
            Self::Unix(path) => connect_to(path, patience).await,
        }
    }
}

/// The kernel connects at once unless too many wait to be accepted, and then tells no poller when there is room: only a thread
/// of its own can wait for that.
async fn connect_to(path: &Path, patience: Duration) -> io::Result<TcpStream> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let waiting = tokio::task::spawn_blocking(move || wait_for_room(&address, patience));
            as_stream(tokio::time::timeout(patience, waiting).await???)
        }
        connected => connected.and_then(|()| as_stream(socket)),
    }
}

fn wait_for_room(address: &SockAddr, patience: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The time that a connect may take, too (unix(7) does not say so, the kernel's af_unix.c does).
    socket.set_write_timeout(Some(patience))?;
    match socket.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        connected => connected.map(|()| socket),
    }
}

fn as_stream(socket: Socket) -> io::Result<TcpStream> {
    socket.set_write_timeout(None)?;
    socket.set_nonblocking(true)?;
    TcpStream::from_std(std::net::TcpStream::from(OwnedFd::from(socket)))
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix(UNIX) else {
            let address = address(text, Ipv4Addr::LOCALHOST.into())?;
            let is_own = address.ip().is_loopback();
            return if is_own {
                Ok(Self::Tcp(address))
            } else {
                Err("the app must listen on a loopback address".into())
            };
        };
        if !path.starts_with('/') {
            return Err(format!("{path:?} is not an absolute path, such as unix:/sockets/app"));
        }
        SockAddr::unix(path).map_err(|_| format!("{path:?} is longer than the path of a socket may be (107 bytes)"))?;
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}

/// `PORT`, which is one of `host`, or `ADDRESS:PORT`.
///
/// # Errors
/// It is neither.
pub fn address(text: &str, host: IpAddr) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port: u16| SocketAddr::new(host, port));
    port.or_else(|_| text.parse()).map_err(|_| format!("{text:?} is neither a port nor ADDRESS:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_port_an_address_or_a_path() {
        for (text, shown) in [("80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80"), ("unix:/a/b", "unix:/a/b")] {
            assert_eq!(text.parse::<Upstream>().map(|it| it.to_string()), Ok(shown.to_owned()));
        }
        let long = format!("unix:/{}", "a".repeat(200));
        for (text, part) in [
            ("10.0.0.1:80", "loopback"),
            ("app", "neither a port"),
            ("unix:a", "absolute"),
            (long.as_str(), "longer than"),
        ] {
            assert!(text.parse::<Upstream>().unwrap_err().contains(part), "{text}");
        }
    }

    #[tokio::test]
    async fn an_app_that_accepts_nothing_is_given_up_in_time_and_one_that_accepts_late_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let app = Upstream::Unix(path);
        let _first = app.connect(Duration::from_secs(5)).await.unwrap();
        let error = app.connect(Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let accepting = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(200));
            (listener.accept().unwrap(), listener)
        });
        app.connect(Duration::from_secs(20)).await.unwrap();
        accepting.await.unwrap();
    }
}
