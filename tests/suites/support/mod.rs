//! What the suites run: the sidecar as a process, an app, other people's programs.

mod admin;
mod app;
mod sidecar;
mod tool;

pub use app::App;
pub use sidecar::Sidecar;
pub use tool::{run, suite_program};

use std::future::Future;
use std::time::Duration;

/// Longest wait for anything that is expected.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Waits until `condition` holds; asks often.
pub async fn becomes<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    soon(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// An address of this machine that nobody listens on.
pub fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
