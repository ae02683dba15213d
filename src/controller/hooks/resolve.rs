//! From a host to the addresses that may be called. The binary is static: the C library's resolver does not work in it.
//!
//! **Invariant:** what is returned was judged, and is what is connected to: a name is never resolved a second time.

use super::address::refusal;
use super::url::Host;
use hickory_resolver::TokioResolver;
use std::net::IpAddr;

/// The addresses of a host. A name without a dot is a Service of `namespace`, the request's: the search list of the
/// controller's own pod would find one in the controller's.
///
/// # Errors
/// The name is unknown, or one of its addresses may not be called.
pub async fn addresses(host: &Host, namespace: &str) -> Result<Vec<IpAddr>, String> {
    match host {
        Host::Address(address) => judged(&address.to_string(), vec![*address]),
        Host::Name(name) => {
            let short = !name.contains('.');
            let asked = if short { format!("{name}.{namespace}.svc") } else { name.clone() };
            let hint = || format!("; a name without a dot is a Service of namespace {namespace}");
            let found = resolved(&asked).await;
            judged(name, found.map_err(|why| if short { why + &hint() } else { why })?)
        }
    }
}

/// The addresses that /etc/hosts and the servers of /etc/resolv.conf know, of which none is judged.
///
/// # Errors
/// A sentence that names the host.
pub async fn resolved(name: &str) -> Result<Vec<IpAddr>, String> {
    let unknown = |why: String| format!("{name} cannot be resolved: {why}");
    // Made anew each time: the configuration is read as it is now, and no answer outlives the question.
    let resolver = TokioResolver::builder_tokio()
        .and_then(hickory_resolver::ResolverBuilder::build)
        .map_err(|error| unknown(format!("/etc/resolv.conf: {error}")))?;
    let found = resolver.lookup_ip(name).await.map_err(|error| unknown(error.to_string()))?;
    Ok(found.iter().collect())
}

/// One address that may not be called speaks against the name: who answers so is not to be trusted with the others.
fn judged(name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, String> {
    if addresses.is_empty() {
        return Err(format!("{name} has no address"));
    }
    match addresses.iter().find_map(|address| Some((address, refusal(*address)?))) {
        Some((address, why)) => Err(format!("{name} is {address}, {why}, which hooks may not call")),
        None => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_that_may_not_be_called_speaks_against_the_name() {
        let (good, bad): (IpAddr, IpAddr) = ("10.96.0.7".parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert_eq!(judged("web", vec![good]), Ok(vec![good]));
        let said = judged("web", vec![good, bad]).unwrap_err();
        assert_eq!(said, "web is 127.0.0.1, a loopback address, which hooks may not call");
        assert_eq!(judged("web", vec![]).unwrap_err(), "web has no address");
    }
}
