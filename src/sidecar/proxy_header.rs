//! The header of the PROXY protocol, version 2, which tells the app who its client is (haproxy's proxy-protocol.txt, 2.2).
//!
//! **Invariant:** both addresses are of one family, as the header wants it; a client of IPv4 on a socket of IPv6 is one of IPv4.

use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, on behalf of another.
const VERSION_AND_COMMAND: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// The longest: twelve bytes, four more, two addresses of IPv6 and two ports.
const LONGEST: usize = 16 + 36;

/// A header, ready to be sent before the first byte of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    bytes: [u8; LONGEST],
    length: usize,
}

impl ProxyHeader {
    /// That of a client's connection; none when the client has left.
    #[must_use]
    pub fn of(client: &TcpStream) -> Option<Self> {
        Some(Self::new(client.peer_addr().ok()?, client.local_addr().ok()?))
    }

    /// A connection from `source` to `destination`.
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
        let mut header = Self { bytes: [0; LONGEST], length: 0 };
        header.append(&SIGNATURE);
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                header.append(&[VERSION_AND_COMMAND, TCP_OVER_IPV4, 0, 12]);
                header.append(&from.octets());
                header.append(&to.octets());
            }
            (from, to) => {
                header.append(&[VERSION_AND_COMMAND, TCP_OVER_IPV6, 0, 36]);
                header.append(&octets(from));
                header.append(&octets(to));
            }
        }
        header.append(&source.port().to_be_bytes());
        header.append(&destination.port().to_be_bytes());
        header
    }

    /// What is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn append(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(source: &str, destination: &str) -> Vec<u8> {
        ProxyHeader::new(source.parse().unwrap(), destination.parse().unwrap()).bytes().to_vec()
    }

    #[test]
    fn a_client_of_ipv4_is_told_as_the_specification_says() {
        let expected = [&SIGNATURE[..], b"\x21\x11\x00\x0c\x0a\x00\x00\x07\x0a\x00\x00\x01\xc3\x50\x1f\x4c"].concat();
        assert_eq!(header("10.0.0.7:50000", "10.0.0.1:8012"), expected);
        assert_eq!(
            header("[::ffff:10.0.0.7]:50000", "[::ffff:10.0.0.1]:8012"),
            expected,
            "of a socket for both families"
        );
    }

    #[test]
    fn a_client_of_ipv6_is_told_with_both_addresses_of_its_family() {
        let told = header("[fd00::7]:1", "[fd00::1]:2");
        assert_eq!((told.len(), &told[12..16]), (52, &b"\x21\x21\x00\x24"[..]));
        assert_eq!(&told[16..18], b"\xfd\x00");
        assert_eq!(&told[48..], b"\x00\x01\x00\x02");
        assert_eq!(header("10.0.0.7:1", "[fd00::1]:2")[26..32], *b"\xff\xff\x0a\x00\x00\x07", "mapped");
    }
}
