//! Listeners that serve IPv6 and IPv4 alike.
//!
//! **Invariant:** an address is listened on as it was given, but for `[::]` on a node without IPv6.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpListener;

/// A listener on `address`. One on `[::]` takes connections of both families; where the node has no IPv6 it is one on
/// `0.0.0.0` instead.
///
/// # Errors
/// What the kernel says of `address`.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await.map_err(|_| error)
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn one_listener_serves_both_families() {
        let listener = listen("[::]:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("IPv4 is served");
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.expect("IPv6 is served");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_refused_in_either_family() {
        let taken = listen("[::]:0".parse().unwrap()).await.unwrap().local_addr().unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let again = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), held.local_addr().unwrap().port());
        assert_eq!(listen(again).await.unwrap_err().kind(), io::ErrorKind::AddrInUse, "{taken}");
    }
}
