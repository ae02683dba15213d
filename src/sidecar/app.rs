//! Connections to the app: where it listens, which address it sees them come from, and how long it may take to accept.
//!
//! An app that trusts whatever comes from a loopback address (a database's own users, a console) must not trust the whole
//! network because a relay stands before it. Connections therefore come from the pod's own address, as those of any other
//! pod come from theirs.
//!
//! **Invariant:** no connection to the app comes from a loopback address unless the command line asks for that or the
//! pod has no other address.

use super::http::socket;
use super::proxy_header::ProxyHeader;
use super::seldom::Seldom;
use super::spare_ports::SparePorts;
use super::upstream::Upstream;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Addresses for documentation (RFC 5737, RFC 3849): a route to them is the default route. No packet is sent there.
const ELSEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The port of the discard protocol; see above.
const DISCARD: u16 = 9;

/// Spare ports that one connection tries: where so many are taken, nearly all are.
const TRIES: usize = 256;

static NO_ADDRESS: Seldom = Seldom::new();

/// Which address the app sees its connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The pod's own address: the one that its default route has.
    Pod,
    /// A loopback address, which the kernel chooses.
    Loopback,
    /// This one.
    Address(IpAddr),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pod" => Ok(Self::Pod),
            "loopback" => Ok(Self::Loopback),
            address => address
                .parse()
                .map(Self::Address)
                .map_err(|_| format!("{address:?} is neither pod nor loopback nor an IP address")),
        }
    }
}

/// The app, as a place to connect to.
#[derive(Clone, Debug)]
pub struct App {
    upstream: Upstream,
    from: Option<IpAddr>,
    patience: Duration,
    /// Whether it wants to be told who its clients are.
    wants_header: bool,
    header: Option<ProxyHeader>,
    spare_ports: Arc<SparePorts>,
}

impl App {
    /// The app that listens there and may take `patience` to accept a connection. Where the pod has no address of
    /// its own to come from, connections come from a loopback address, and a warning says so.
    #[must_use]
    pub fn new(upstream: Upstream, source: Source, patience: Duration) -> Self {
        let from = upstream.address().and_then(|address| address_of(source, address));
        Self { upstream, from, patience, wants_header: false, header: None, spare_ports: Arc::default() }
    }

    /// The same app, which expects the header of the PROXY protocol at the start of each connection, if it `wants` it.
    #[must_use]
    pub fn with_proxy_header(self, wants: bool) -> Self {
        Self { wants_header: wants, ..self }
    }

    /// The same app, to be connected to on behalf of `client`.
    #[must_use]
    pub fn on_behalf_of(&self, client: &TcpStream) -> Self {
        let header = if self.wants_header { ProxyHeader::of(client) } else { None };
        Self { header, ..self.clone() }
    }

    /// Whether a connection serves one client alone: it begins with the name of that one.
    #[must_use]
    pub fn knows_its_client(&self) -> bool {
        self.wants_header
    }

    /// Where it listens.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the socket reports; `TimedOut` for an app that did not accept in time.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let stream = match &self.upstream {
            Upstream::Tcp(address) => self.open_from_any_port(*address).await?,
            Upstream::Unix(_) => self.upstream.connect(self.patience).await?,
        };
        if let Some(header) = &self.header {
            socket::write_all(&stream, header.bytes()).await?;
        }
        Ok(stream)
    }

    async fn open_from_any_port(&self, address: SocketAddr) -> io::Result<TcpStream> {
        match self.open(address, self.from, 0).await {
            Err(error) if has_no_port(&error) => self.open_from_spare_port(address, error).await,
            opened => opened,
        }
    }

    /// The kernel has given all ports of its own range.
    async fn open_from_spare_port(&self, address: SocketAddr, mut error: io::Error) -> io::Result<TcpStream> {
        let from = self.from.unwrap_or(address.ip());
        for port in self.spare_ports.take(TRIES) {
            match self.open(address, Some(from), port).await {
                Err(other) if has_no_port(&other) => error = other,
                opened => return opened,
            }
        }
        Err(error)
    }

    /// Opens a connection from this address and port; from port 0, one that the kernel chooses.
    async fn open(&self, address: SocketAddr, from: Option<IpAddr>, port: u16) -> io::Result<TcpStream> {
        let opening = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            // The port is chosen when it is known where the connection goes, so that none is taken twice. A kernel
            // without the option takes one at once, which costs ports alone.
            let _ = setsockopt(&opening, sockopt::IpBindAddressNoPort, &true);
            opening.set_reuseaddr(port > 0)?;
            opening.bind(SocketAddr::new(from, port))?;
        }
        tokio::time::timeout(self.patience, opening.connect(address)).await?
    }
}

/// The address that connections to `app` come from; absent where the kernel is to choose.
fn address_of(source: Source, app: SocketAddr) -> Option<IpAddr> {
    match source {
        Source::Loopback => None,
        Source::Address(from) => Some(from),
        Source::Pod => {
            let own = own_address(app.is_ipv4());
            if own.is_none() && NO_ADDRESS.is_due() {
                tracing::warn!(
                    "this pod has no address of its own: the app sees every connection come from a loopback address, and may trust it for that"
                );
            }
            own
        }
    }
}

/// The port is taken, or the kernel has none left.
fn has_no_port(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

/// The address that a connection to another pod would come from.
pub(super) fn own_address(is_v4: bool) -> Option<IpAddr> {
    let (any, elsewhere) = if is_v4 {
        (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(ELSEWHERE_V4))
    } else {
        (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(ELSEWHERE_V6))
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((elsewhere, DISCARD)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(5);

    async fn seen_by_the_app(source: Source) -> IpAddr {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = App::new(Upstream::Tcp(app.local_addr().unwrap()), source, PATIENCE).connect().await.unwrap();
        let (_accepted, peer) = app.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        peer.ip()
    }

    #[tokio::test]
    async fn the_app_sees_the_pods_own_address_or_what_was_asked_for() {
        assert!(seen_by_the_app(Source::Loopback).await.is_loopback());
        assert_eq!(seen_by_the_app(Source::Address("127.0.0.7".parse().unwrap())).await.to_string(), "127.0.0.7");
        // A machine without a route has no other address.
        let own = own_address(true).unwrap_or(Ipv4Addr::LOCALHOST.into());
        assert_eq!(seen_by_the_app(Source::Pod).await, own);
    }

    #[tokio::test]
    async fn an_app_that_does_not_accept_is_given_up_in_time() {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let app = App::new(Upstream::Tcp(address), Source::Loopback, Duration::from_millis(200));
        let mut held = vec![];
        let error = loop {
            match app.connect().await {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(held.len() < 5, "a backlog of 0 holds {} connections", held.len());
    }

    #[test]
    fn a_source_is_a_word_or_an_address() {
        assert_eq!("pod".parse(), Ok(Source::Pod));
        assert_eq!("loopback".parse(), Ok(Source::Loopback));
        assert_eq!("10.0.0.1".parse(), Ok(Source::Address("10.0.0.1".parse().unwrap())));
        assert!("localhost".parse::<Source>().unwrap_err().contains("neither pod nor loopback"));
    }
}
