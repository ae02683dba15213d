//! Fields that tell the app who asked and how: `Forwarded` (RFC 7239) and its older relatives `X-Forwarded-*`.
//!
//! What a client says of itself is replaced: an app that believes these fields would believe anybody. What a proxy says that
//! is named as trusted is kept, and that proxy is added to it.
//!
//! **Invariant:** after this the last address in each field is the one that the connection came from.

use super::http::lines::{field, lines};
use http::header::HOST;
use http::{HeaderValue, Request};
use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;

/// The fields that are set, in the order in which they are written.
pub const FIELDS: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];

/// An address or a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxies(IpNet);

impl FromStr for Proxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        range.map(Self).map_err(|_| format!("{text:?} is neither an address nor a range of them, such as 10.0.0.0/8"))
    }
}

/// Whether these fields are set, and whose are kept.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    is_on: bool,
    trusted: Vec<Proxies>,
}

/// What a request said so far, each field's lines joined by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// In the order of [`FIELDS`]; empty: not said.
    pub fields: [String; 4],
    /// The host that it asks for.
    pub host: String,
}

impl Forwarding {
    /// Sets the fields if `is_on`, and keeps those of requests from `trusted`.
    #[must_use]
    pub fn new(is_on: bool, trusted: Vec<Proxies>) -> Self {
        Self { is_on, trusted }
    }

    /// Whether the fields are set.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    fn trusts(&self, client: IpAddr) -> bool {
        self.trusted.iter().any(|Proxies(range)| range.contains(&client))
    }

    /// What the app is told, in the order of [`FIELDS`].
    #[must_use]
    pub fn tell(&self, said: &Said, client: IpAddr) -> [String; 4] {
        let client = client.to_canonical();
        let [mut addresses, mut scheme, mut host, mut forwarded] = said.fields.clone();
        if !self.trusts(client) {
            [addresses, scheme, host, forwarded] = Default::default();
        }
        append(&mut addresses, &client.to_string());
        append(&mut forwarded, &element(client, &said.host));
        if scheme.is_empty() {
            "http".clone_into(&mut scheme);
        }
        if host.is_empty() {
            said.host.clone_into(&mut host);
        }
        [addresses, scheme, host, forwarded]
    }
}

fn append(list: &mut String, element: &str) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(element);
}

fn element(client: IpAddr, host: &str) -> String {
    let client = match client {
        IpAddr::V4(client) => client.to_string(),
        IpAddr::V6(client) => format!("\"[{client}]\""),
    };
    // A host that could end the quoted text is left out.
    let is_plain =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    let host = if is_plain { format!(";host=\"{host}\"") } else { String::new() };
    format!("for={client};proto=http{host}")
}

/// The head of a request with what the app is told instead of what it said. `head` is whole and well-formed.
#[must_use]
pub fn edited(forwarding: &Forwarding, head: &[u8], client: IpAddr) -> Vec<u8> {
    let told = forwarding.tell(&said(head), client);
    let mut edited = Vec::with_capacity(head.len() + 256);
    for line in lines(head) {
        if line == b"\r\n" {
            for (name, value) in FIELDS.iter().zip(&told).filter(|(_, value)| !value.is_empty()) {
                edited.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        if field(line).and_then(|(name, _)| place(name)).is_none() {
            edited.extend_from_slice(line);
        }
    }
    edited
}

/// The same of a request of HTTP/2.
pub fn edit<T>(forwarding: &Forwarding, request: &mut Request<T>, client: IpAddr) {
    let headers = request.headers();
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
    let mut said = Said::default();
    for (name, field) in FIELDS.iter().zip(&mut said.fields) {
        headers.get_all(*name).iter().filter_map(text).for_each(|value| append(field, &value));
    }
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    said.host = authority.or_else(|| headers.get(HOST).and_then(text)).unwrap_or_default();
    for (name, value) in FIELDS.iter().zip(forwarding.tell(&said, client)) {
        match HeaderValue::from_str(&value) {
            Ok(value) if !value.is_empty() => drop(request.headers_mut().insert(*name, value)),
            Ok(_) | Err(_) => drop(request.headers_mut().remove(*name)),
        }
    }
}

fn said(head: &[u8]) -> Said {
    let mut said = Said::default();
    for (name, value) in lines(head).filter_map(field) {
        // What is no text is no address either.
        let Ok(value) = std::str::from_utf8(value.trim_ascii()) else { continue };
        match place(name) {
            Some(place) => append(&mut said.fields[place], value),
            None if name.eq_ignore_ascii_case(b"host") => value.clone_into(&mut said.host),
            None => {}
        }
    }
    said
}

/// Which of the fields has this name.
fn place(name: &[u8]) -> Option<usize> {
    FIELDS.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "10.0.0.7";
    const LYING: &str = "GET /a:b HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 127.0.0.1\r\nfOrWaRdEd: for=127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Other: stays\r\n\r\n";

    fn told(trusted: &[&str], head: &str, client: &str) -> String {
        let forwarding = Forwarding::new(true, trusted.iter().map(|range| range.parse().unwrap()).collect());
        String::from_utf8(edited(&forwarding, head.as_bytes(), client.parse().unwrap())).unwrap()
    }

    #[test]
    fn what_a_client_says_of_itself_is_replaced() {
        assert_eq!(
            told(&[], LYING, CLIENT),
            "GET /a:b HTTP/1.1\r\nHost: shop\r\nX-Other: stays\r\nx-forwarded-for: 10.0.0.7\r\nx-forwarded-proto: http\r\nx-forwarded-host: shop\r\nforwarded: for=10.0.0.7;proto=http;host=\"shop\"\r\n\r\n"
        );
    }

    #[test]
    fn what_a_trusted_proxy_says_is_kept_and_the_proxy_is_added() {
        let head = LYING.replace("X-Other: stays", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: www.shop");
        let told = told(&["10.0.0.0/8"], &head, "::ffff:10.0.0.7");
        assert!(told.contains("x-forwarded-for: 127.0.0.1, 192.0.2.1, 10.0.0.7\r\n"), "{told}");
        assert!(told.contains("x-forwarded-proto: https\r\nx-forwarded-host: www.shop\r\n"), "{told}");
        assert!(told.contains("forwarded: for=127.0.0.1, for=10.0.0.7;proto=http;host=\"shop\"\r\n"), "{told}");
    }

    #[test]
    fn an_address_of_ipv6_is_quoted_and_a_host_that_would_break_out_is_left_out() {
        let told = told(&["10.0.0.1"], "GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", "fd00::7");
        assert!(told.contains("forwarded: for=\"[fd00::7]\";proto=http\r\n\r\n"), "{told}");
    }

    #[test]
    fn a_request_of_http2_is_told_the_same() {
        let request =
            Request::get("http://shop:80/").header("x-forwarded-for", "127.0.0.1").header("x-forwarded-for", "::1");
        let mut request = request.header("x-forwarded-host", "evil").body(()).unwrap();
        edit(&Forwarding::new(true, vec![]), &mut request, CLIENT.parse().unwrap());
        let told = |name| request.headers().get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(told("x-forwarded-for"), ["10.0.0.7"]);
        assert_eq!(told("x-forwarded-proto"), ["http"]);
        assert_eq!(told("x-forwarded-host"), ["shop:80"]);
        assert_eq!(told("forwarded"), ["for=10.0.0.7;proto=http;host=\"shop:80\""]);
    }

    #[test]
    fn a_range_is_an_address_or_has_a_length() {
        assert!("10.0.0.0/8".parse::<Proxies>().is_ok() && "::1".parse::<Proxies>().is_ok());
        assert!("10.0.0.0/40".parse::<Proxies>().unwrap_err().contains("neither an address"));
    }
}
