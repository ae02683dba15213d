//! Which addresses a hook may call: none that means the controller's own machine, its link, or more than one receiver.
//!
//! **Invariant:** an address is judged by what it reaches, however it is written: an IPv4 address inside an IPv6 one is
//! judged as itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds answer a machine with its own credentials, or take orders for it, outside the link-local range: Alibaba's
/// metadata, Azure's host agent (`WireServer`), Oracle's metadata.
const CLOUDS_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// The same over IPv6: Amazon's and Google's metadata.
const CLOUDS_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
const CLOUD: &str = "a cloud's address for its machines, which gives credentials";

/// Why this address is not called; absent: it may be.
#[must_use]
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| v6(address), v4),
    }
}

fn v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_link_local() {
        Some("a link-local address")
    } else if address.octets()[0] == 0 {
        // Linux takes 0.0.0.0 for itself, and nothing else of 0.0.0.0/8 for anybody.
        Some("an unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_broadcast() {
        Some("the broadcast address")
    } else if CLOUDS_V4.contains(&address) {
        Some(CLOUD)
    } else {
        None
    }
}

fn v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_unicast_link_local() {
        Some("a link-local address")
    } else if address.is_unspecified() {
        Some("an unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if CLOUDS_V6.contains(&address) {
        Some(CLOUD)
    } else {
        None
    }
}

/// The IPv4 address that this one stands for: mapped (`::ffff:0:0/96`), compatible (`::/96`), or NAT64 (`64:ff9b::/96`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., high, low] = address.segments();
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    match address.segments() {
        // `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_controllers_own_machine_or_link_is_refused() {
        for (address, why) in [
            ("127.0.0.1", "a loopback address"),
            ("127.255.255.254", "a loopback address"),
            ("169.254.0.1", "a link-local address"),
            ("169.254.169.254", "a link-local address"),
            ("0.0.0.0", "an unspecified address"),
            ("0.1.2.3", "an unspecified address"),
            ("224.0.0.1", "a multicast address"),
            ("239.255.255.255", "a multicast address"),
            ("255.255.255.255", "the broadcast address"),
            ("::1", "a loopback address"),
            ("::", "an unspecified address"),
            ("fe80::1", "a link-local address"),
            ("febf:ffff::1", "a link-local address"),
            ("ff02::1", "a multicast address"),
            ("::ffff:127.0.0.1", "a loopback address"),
            ("::ffff:169.254.169.254", "a link-local address"),
            ("::ffff:0.0.0.0", "an unspecified address"),
            ("::127.0.0.1", "a loopback address"),
            ("64:ff9b::169.254.169.254", "a link-local address"),
            ("100.100.100.200", CLOUD),
            ("168.63.129.16", CLOUD),
            ("192.0.0.192", CLOUD),
            ("fd00:ec2::254", CLOUD),
            ("fd20:ce::254", CLOUD),
            ("::ffff:100.100.100.200", CLOUD),
            ("64:ff9b::168.63.129.16", CLOUD),
        ] {
            assert_eq!(refusal(address.parse().unwrap()), Some(why), "{address}");
        }
    }

    #[test]
    fn pods_services_and_other_hosts_may_be_called() {
        for address in [
            "10.96.0.1",
            "10.244.1.7",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.253.255.255",
            "169.255.0.1",
            "8.8.8.8",
            "1.0.0.1",
            "fd00::1",
            "2001:db8::1",
            "fec0::1",
            "::ffff:10.96.0.1",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(refusal(address.parse().unwrap()), None, "{address}");
        }
    }
}
