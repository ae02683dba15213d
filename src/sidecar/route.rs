//! A route: a port that takes traffic, where it leads, and how it is understood. A pod whose app has several ports has one for
//! each; all of them share one count and one drain.
//!
//! **Invariant:** a route leads to this pod and nowhere else, as every [`Upstream`] does.

use super::upstream::{Upstream, address};
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// How the traffic of a route is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// HTTP/1.1 and HTTP/2, gRPC included: requests are counted.
    Http,
    /// Any protocol: connections are counted.
    Tcp,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where its traffic arrives.
    pub listen: SocketAddr,
    /// Where the app listens.
    pub upstream: Upstream,
    /// How it is understood.
    pub relayed: Relayed,
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (listen, rest) = text.split_once('=').ok_or("not LISTEN=UPSTREAM, such as 8012=8080,http")?;
        let (upstream, relayed) = rest.split_once(',').unwrap_or((rest, "http"));
        let relayed = match relayed {
            "http" | "grpc" => Relayed::Http,
            "tcp" => Relayed::Tcp,
            other => return Err(format!("{other:?} is neither http nor grpc nor tcp")),
        };
        let listen = address(listen, Ipv6Addr::UNSPECIFIED.into())?;
        Ok(Self { listen, upstream: upstream.parse()?, relayed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_two_ports_and_a_protocol() {
        let route =
            |text: &str| text.parse::<Route>().map(|it| (it.listen.to_string(), it.upstream.to_string(), it.relayed));
        let of = |listen: &str, upstream: &str, relayed| Ok((listen.to_owned(), upstream.to_owned(), relayed));
        assert_eq!(route("8012=8080"), of("[::]:8012", "127.0.0.1:8080", Relayed::Http));
        assert_eq!(route("8013=9090,grpc"), of("[::]:8013", "127.0.0.1:9090", Relayed::Http));
        assert_eq!(route("8012=unix:/sockets/app,tcp"), of("[::]:8012", "unix:/sockets/app", Relayed::Tcp));
        assert_eq!(route("10.0.0.1:1=[::1]:2,tcp"), of("10.0.0.1:1", "[::1]:2", Relayed::Tcp));
        for (text, part) in [
            ("8012", "LISTEN=UPSTREAM"),
            ("8012=app", "neither a port"),
            ("8012=10.0.0.1:80", "loopback"),
            ("8012=8080,smtp", "neither http"),
            ("99999=1", "neither a port"),
        ] {
            assert!(route(text).unwrap_err().contains(part), "{text}");
        }
    }
}
