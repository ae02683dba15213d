//! From the API server's host name to its addresses, as kubectl does it: by /etc/hosts and /etc/resolv.conf.
//!
//! **Invariant:** the C library's resolver is not asked on Linux: the program that is distributed is static, and there it
//! would load parts of whatever C library the machine has.

use crate::controller::hooks::resolve::resolved;
use hyper_util::client::legacy::connect::dns::Name;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// Resolves names for the connection to the API server.
#[derive(Clone, Copy, Debug)]
pub struct Names;

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move { Ok(addresses(name.as_str()).await?.into_iter()) })
    }
}

/// The port is the caller's to fill in.
async fn addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    if !cfg!(target_os = "linux") {
        return Ok(tokio::net::lookup_host((name, 0)).await?.collect());
    }
    let found = resolved(name).await.map_err(io::Error::other)?;
    Ok(found.into_iter().map(|address| (address, 0).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_machine_has_a_name() {
        let found = addresses("localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    }
}
