//! A preStop hook that an app has of its own: it runs after the drain. Kubernetes allows a container one hook, so the hook
//! is this program in the app's container, which waits for the sidecar beside it and then does what the app's hook did.
//!
//! **Invariant:** the app's own hook is carried out also where the sidecar does not answer: it may save what must not be lost.

use super::app::own_address;
use super::cli::WaitDrained;
use super::readiness::AppUrl;
use crate::wire;
use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

/// A request to the pod's own address, as the kubelet sends it for an httpGet hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThenGet {
    port: u16,
    path: String,
}

impl FromStr for ThenGet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, path) = text.split_once('/').ok_or("not PORT/PATH, such as 8080/shutdown")?;
        let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
        Ok(Self { port, path: format!("/{path}") })
    }
}

/// Waits until the sidecar lets the app go, and then carries out the app's own hook.
///
/// # Errors
/// A sentence: the app's own hook failed or could not be started. Of a command that runs the kubelet sees its own exit code.
pub async fn wait_drained(hook: WaitDrained) -> Result<(), String> {
    let sidecar = AppUrl::new(hook.admin, wire::WAIT_DRAINED_PATH);
    match sidecar.answers_2xx().await {
        Ok(true) => {}
        Ok(false) => warn(hook.admin, "it is ending"),
        Err(error) => warn(hook.admin, error),
    }
    if let Some(seconds) = hook.then_sleep {
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    }
    if let Some(get) = hook.then_get {
        return ask(&get).await;
    }
    match hook.command.split_first() {
        None => Ok(()),
        Some((program, arguments)) => {
            let error = Command::new(program).args(arguments).exec();
            Err(format!("the app's own hook {program:?}: {error}"))
        }
    }
}

/// Writes a warning. `eprintln` panics where standard error is closed, and the app's hook would not run.
fn warn(admin: SocketAddr, why: impl Display) {
    let _ = writeln!(std::io::stderr(), "restart-sidecar: the sidecar at {admin}: {why}; the app's own hook follows");
}

async fn ask(get: &ThenGet) -> Result<(), String> {
    let own = own_address(true).or_else(|| own_address(false)).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (address, path) = (SocketAddr::new(own, get.port), &get.path);
    match AppUrl::new(address, path).answers_2xx().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("the app's own hook http://{address}{path}: the answer is not 2xx")),
        Err(error) => Err(format!("the app's own hook http://{address}{path}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_a_port_and_a_path() {
        assert_eq!("8080/a/b?c=d".parse(), Ok(ThenGet { port: 8080, path: "/a/b?c=d".into() }));
        assert_eq!("8080/".parse(), Ok(ThenGet { port: 8080, path: "/".into() }));
        for bad in ["8080", "http/stop", "70000/", ""] {
            assert!(bad.parse::<ThenGet>().is_err(), "{bad}");
        }
    }
}
