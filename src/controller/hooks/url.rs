//! A hook's URL, taken apart: a literal address is judged here, a name when it is resolved.
//!
//! **Invariant:** pure; what passes has a scheme, a host and a port that a connection can be made to.

use super::address::refusal;
use std::net::IpAddr;

/// Most characters of a path that a message shows.
const SHOWN_PATH: usize = 120;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Over TLS.
    pub https: bool,
    /// Who is called.
    pub host: Host,
    /// At which port.
    pub port: u16,
    /// The header `Host`.
    pub authority: String,
    /// What is asked for.
    pub path: String,
    /// For people, without the query: a query is where secrets are.
    pub shown: String,
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address that may be called.
    Address(IpAddr),
    /// A name.
    Name(String),
}

/// Takes a URL apart.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Target, String> {
    let url = url::Url::parse(text).map_err(|error| format!("http.url is no URL ({error}); correct it"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("http.url has the scheme {}; use http or https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("http.url holds a user or a password, which everybody could read; remove it".to_owned());
    }
    let host = match url.host().ok_or("http.url has no host")? {
        url::Host::Domain(name) => Host::Name(named(name)?),
        url::Host::Ipv4(address) => Host::Address(checked(address.into())?),
        url::Host::Ipv6(address) => Host::Address(checked(address.into())?),
    };
    let port = url.port_or_known_default().filter(|port| *port > 0).ok_or("http.url names port 0; use another one")?;
    let authority = url.authority().to_owned();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path: String = url.path().chars().take(SHOWN_PATH).collect();
    Ok(Target {
        https: url.scheme() == "https",
        host,
        port,
        shown: format!("{}://{authority}{path}", url.scheme()),
        path: format!("{}{query}", url.path()),
        authority,
    })
}

fn checked(address: IpAddr) -> Result<IpAddr, String> {
    match refusal(address) {
        None => Ok(address),
        Some(why) => {
            Err(format!("http.url names {address}, {why}, which hooks may not call; name a Service or another host"))
        }
    }
}

fn named(name: &str) -> Result<String, String> {
    let bare = name.trim_end_matches('.');
    if bare == "localhost" || bare.ends_with(".localhost") {
        return Err(format!(
            "http.url names {name}, a loopback address, which hooks may not call; name a Service or another host"
        ));
    }
    if bare.is_empty() {
        return Err("http.url has no host".to_owned());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = parse("https://web.shop:8443/hooks/pre?token=secret#part").unwrap();
        assert_eq!((target.https, target.port), (true, 8443));
        assert_eq!(target.host, Host::Name("web.shop".into()));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("web.shop:8443", "/hooks/pre?token=secret"));
        assert_eq!(target.shown, "https://web.shop:8443/hooks/pre");
        assert_eq!(parse("http://web").unwrap().port, 80);
        assert_eq!(parse("http://[fd00::1]:8080/").unwrap().authority, "[fd00::1]:8080");
        assert_eq!(parse("http://10.96.0.7/").unwrap().host, Host::Address([10, 96, 0, 7].into()));
    }

    #[test]
    fn a_loopback_or_link_local_address_is_refused_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0/",
            "http://localhost/",
            "http://LOCALHOST:80/",
            "http://localhost./",
            "http://a.localhost/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://①②⑦.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/",
            "http://[::]/",
            "http://255.255.255.255/",
        ] {
            let said = parse(url).unwrap_err();
            assert!(said.contains("which hooks may not call"), "{url}: {said}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (url, why) in [
            ("ftp://web/", "scheme ftp"),
            ("http://", "no URL"),
            ("http://user:word@web/", "a user or a password"),
            ("http://web:0/", "port 0"),
            ("http://web:99999/", "no URL"),
            ("http://[fe80::1%25eth0]/", "no URL"),
            ("http://./", "no"),
        ] {
            let said = parse(url).map(|target| target.shown).unwrap_err();
            assert!(said.contains(why), "{url}: {said}");
        }
    }
}
