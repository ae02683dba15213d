//! The arguments of `restart-sidecar`.
//!
//! **Invariant:** everything that can be wrong with an argument is said before a socket is opened.

use super::app::Source;
use super::forwarded::Proxies;
use super::own_hook::ThenGet;
use super::readiness::AppUrl;
use super::route::{Relayed, Route};
use super::upstream::Upstream;
use crate::wire;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ed25519_dalek::VerifyingKey;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Counts the requests in flight of the app beside it, and drains it before the pod goes.
#[derive(Debug, Parser)]
#[command(name = "restart-sidecar", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Relay traffic to the app until SIGTERM.
    Run(Box<Run>),
    /// Tell the sidecar that runs in this pod that the pod is being terminated: its preStop hook.
    Terminating(Terminating),
    /// Wait until the app may go, and then carry out the app's own preStop hook: the hook of an app's container.
    WaitDrained(WaitDrained),
}

/// How traffic is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// HTTP/1.1 and HTTP/2 without TLS: requests are counted.
    Http,
    /// Any protocol: connections are counted.
    Tcp,
    /// No relay: the app's own connections are watched, and those that are not idle counted. Nothing listens for traffic.
    Observe,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// How traffic is understood.
    #[arg(long, value_enum, default_value = "http")]
    pub mode: Mode,
    /// Where the Service's traffic arrives.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:8012")]
    pub listen: SocketAddr,
    /// One of several ports: where its traffic arrives (PORT or ADDRESS:PORT), where the app listens for it (PORT,
    /// ADDRESS:PORT or unix:PATH), and how it is understood; given once for each, instead of `--listen`, `--upstream` and `--mode`.
    #[arg(long, value_name = "LISTEN=UPSTREAM[,http|grpc|tcp]", conflicts_with_all = ["mode", "listen", "upstream"])]
    pub route: Vec<Route>,
    /// Where reports, commands, probes and metrics are served.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:8022")]
    pub admin: SocketAddr,
    /// Where the app listens: a port, or the path of a socket that both containers see. In `observe` mode the port is the one that
    /// is watched, at every address.
    #[arg(long, value_name = "ADDRESS:PORT|unix:PATH", default_value = "127.0.0.1:8080")]
    pub upstream: Upstream,
    /// The address that connections to the app come from: `pod`, the pod's own; `loopback`, which an app may trust as it
    /// trusts what runs beside it; or an address of this pod.
    #[arg(long, value_name = "pod|loopback|ADDRESS", default_value = "pod")]
    pub app_source: Source,
    /// Begin each connection to the app with the header of the PROXY protocol, version 2, which names the client; an app that
    /// does not expect it takes it for garbage.
    #[arg(long)]
    pub proxy_protocol: bool,
    /// Tell the app of each request (HTTP) who sent it, by `Forwarded` and `X-Forwarded-For`, `-Proto` and `-Host`; what the
    /// client says there itself is replaced.
    #[arg(long)]
    pub forwarded: bool,
    /// A proxy, or a range of them, whose own fields are kept and extended; may be given several times.
    #[arg(long, value_name = "ADDRESS[/LENGTH]", requires = "forwarded")]
    pub trusted_proxy: Vec<Proxies>,
    /// Longest time for the app to accept a connection.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub connect_timeout_seconds: u32,
    /// The app's own readiness URL; without it, a port that accepts is ready.
    #[arg(long, value_name = "URL", value_parser = clap::value_parser!(AppUrl))]
    pub readiness_url: Option<AppUrl>,
    /// A public key whose drain commands are obeyed; may be given several times.
    #[arg(long = "trusted-key", value_name = "ID=BASE64", value_parser = wire::parse_public_key)]
    pub trusted_keys: Vec<(String, VerifyingKey)>,
    /// UID of this pod, from the downward API.
    #[arg(long, env = "POD_UID", default_value = "", hide_default_value = true)]
    pub pod_uid: String,
    /// The pod's terminationGracePeriodSeconds; 0 leaves no time to wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub grace_seconds: u32,
    /// Shortest time without a request before the app may go.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(..=600_000))]
    pub quiet_millis: u32,
    /// How long a connection to the app is kept idle; must be below the app's own limit.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(..=600_000))]
    pub upstream_idle_millis: u32,
    /// Most client connections at a time; by default as many as memory and the limit of open files allow, with one to the app each.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
    /// Threads that serve client connections; by default one for each CPU that the container may use, but at most 4.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: Option<u32>,
    /// A path whose requests (HTTP) neither count nor hold up a drain, such as /metrics; may be given several times.
    #[arg(long, value_name = "PATH", value_parser = path)]
    pub ignore_path: Vec<String>,
    /// The beginning of a User-Agent whose requests (HTTP) neither count nor hold up a drain, besides the kubelet's
    /// `kube-probe/`; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub ignore_user_agent: Vec<String>,
    /// Longest time for the head of a request to arrive once it has begun.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub head_timeout_seconds: u32,
    /// Longest time for a client to take nothing of an answer that waits for it, or (HTTP/1.1) to send nothing of a body.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub stall_timeout_seconds: u32,
    /// Longest time for a client connection to be idle, without a request in flight; then it is closed. Not in `tcp` mode.
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub idle_timeout_seconds: u32,
    /// Memory that this process may use; by default the limit of its control group, which is that of its container.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..))]
    pub memory_limit_mib: Option<u32>,
    /// Most requests at a time on one connection of HTTP/2.
    #[arg(long, value_name = "COUNT", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub http2_max_streams: u32,
    /// Most bytes of one body of HTTP/2 that may be on their way through, in each direction: the window of a stream; by default
    /// 64, or less where memory is limited to less than 152 MiB.
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(16..=16_384))]
    pub http2_window_kib: Option<u32>,
    /// In `observe` mode: the app's port never speaks TLS. Otherwise a connection counts as busy until the app has sent more on
    /// it than a handshake.
    #[arg(long)]
    pub plaintext: bool,
    /// Name of the socket, in this pod's network namespace, on which `terminating` is heard; by default `restart-sidecar`,
    /// followed by `-` and the environment's `POD_UID` if that is set.
    #[arg(long, value_name = "NAME")]
    pub control_socket: Option<String>,
    /// A directory to copy this program into, so that other containers of the pod can run `wait-drained` from there.
    #[arg(long, value_name = "DIRECTORY")]
    pub install: Option<PathBuf>,
    /// What to log: error, warn, info, debug or a tracing filter.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Arguments of `terminating`.
#[derive(Debug, Args)]
pub struct Terminating {
    /// Name of the running sidecar's socket, by default as in `run`.
    #[arg(long, value_name = "NAME")]
    pub control_socket: Option<String>,
}

/// Arguments of `wait-drained`.
#[derive(Debug, Args)]
pub struct WaitDrained {
    /// The admin port of the sidecar in this pod.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from(([127, 0, 0, 1], wire::ADMIN_PORT)))]
    pub admin: SocketAddr,
    /// Then wait for this time, as a sleep hook does.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["then_get", "command"])]
    pub then_sleep: Option<u32>,
    /// Then send a GET to this port of the pod's own address, as an httpGet hook does.
    #[arg(long, value_name = "PORT/PATH", conflicts_with = "command")]
    pub then_get: Option<ThenGet>,
    /// Then run this in place of this program, as an exec hook does.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

const CONTROL_SOCKET: &str = "restart-sidecar";

/// The control socket's name: as `given`, or by default one that no other pod of the same network namespace (`hostNetwork`)
/// has. Both verbs run in one container, so the environment tells both the same.
#[must_use]
pub fn control_socket(given: Option<&str>) -> String {
    default_socket(given, std::env::var("POD_UID").ok().as_deref())
}

fn default_socket(given: Option<&str>, pod_uid: Option<&str>) -> String {
    match (given, pod_uid.filter(|uid| !uid.is_empty())) {
        (Some(name), _) => name.to_owned(),
        (None, Some(uid)) => format!("{CONTROL_SOCKET}-{uid}"),
        (None, None) => CONTROL_SOCKET.to_owned(),
    }
}

/// Longest name of an abstract socket that the kernel takes, in bytes.
const MAX_SOCKET_NAME: usize = 107;

impl Run {
    /// Every port that takes traffic; none where nothing is relayed.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        let relayed = match self.mode {
            Mode::Http => Relayed::Http,
            Mode::Tcp => Relayed::Tcp,
            Mode::Observe => return vec![],
        };
        let one = Route { listen: self.listen, upstream: self.upstream.clone(), relayed };
        if self.route.is_empty() { vec![one] } else { self.route.clone() }
    }

    /// How traffic is understood, all of it together: connections alone are counted only if all routes do so.
    #[must_use]
    pub fn wire_mode(&self) -> wire::Mode {
        match self.mode {
            Mode::Observe => wire::Mode::Observe,
            Mode::Http | Mode::Tcp if self.routes().iter().all(|route| route.relayed == Relayed::Tcp) => {
                wire::Mode::Tcp
            }
            Mode::Http | Mode::Tcp => wire::Mode::Http,
        }
    }

    /// The port of the app, which an observer watches.
    ///
    /// # Errors
    /// The app has none.
    pub fn watched_port(&self) -> Result<u16, String> {
        let address =
            self.upstream.address().ok_or("--mode observe watches a port: --upstream must be ADDRESS:PORT")?;
        Ok(address.port())
    }

    /// What no single argument shows.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn check(&self) -> Result<(), String> {
        if !self.trusted_keys.is_empty() && self.pod_uid.is_empty() {
            return Err("--trusted-key needs the pod's UID: set POD_UID from the downward API (metadata.uid)".into());
        }
        let mut ids: Vec<_> = self.trusted_keys.iter().map(|(id, _)| id).collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        if ids.len() < all {
            return Err("--trusted-key: two keys have the same id".into());
        }
        if self.mode == Mode::Observe {
            self.watched_port()?;
        }
        let addresses = |route: Route| [Some(route.listen), route.upstream.address()].into_iter().flatten();
        if !are_different(self.routes().into_iter().flat_map(addresses).chain([self.admin])) {
            return Err(
                "--listen, --admin and --upstream, and those of each --route, must be different addresses".into()
            );
        }
        if !(1..=MAX_SOCKET_NAME).contains(&control_socket(self.control_socket.as_deref()).len()) {
            return Err(format!("--control-socket must have 1 to {MAX_SOCKET_NAME} bytes"));
        }
        Ok(())
    }
}

fn are_different(addresses: impl Iterator<Item = SocketAddr>) -> bool {
    let mut addresses: Vec<_> = addresses.filter(|address| address.port() != 0).collect();
    let all = addresses.len();
    addresses.sort();
    addresses.dedup();
    addresses.len() == all
}

/// A path as a request names it.
fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?');
    if is_path { Ok(text.to_owned()) } else { Err("not a path, such as /healthz".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<Run, String> {
        let all = ["restart-sidecar", "run"].iter().chain(arguments);
        match Cli::try_parse_from(all).map_err(|error| error.to_string())?.verb {
            Verb::Run(run) => run.check().map(|()| *run),
            Verb::Terminating(_) | Verb::WaitDrained(_) => unreachable!("the verb is run"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_design() {
        let run = run(&[]).unwrap();
        assert_eq!((run.listen.port(), run.admin.port()), (wire::TRAFFIC_PORT, wire::ADMIN_PORT));
        assert_eq!(run.upstream.address().unwrap().port(), wire::APP_PORT);
        assert_eq!((run.quiet_millis, run.upstream_idle_millis, run.grace_seconds), (2_000, 1_000, 60));
    }

    #[test]
    fn a_grace_period_of_none_is_taken() {
        assert_eq!(run(&["--grace-seconds=0"]).unwrap().grace_seconds, 0);
    }

    #[test]
    fn two_pods_in_one_network_namespace_have_two_control_sockets() {
        assert_eq!(default_socket(None, Some("uid-1")), "restart-sidecar-uid-1");
        assert_eq!(
            (default_socket(None, None), default_socket(None, Some(""))),
            (CONTROL_SOCKET.into(), CONTROL_SOCKET.into())
        );
        assert_eq!(default_socket(Some("mine"), Some("uid-1")), "mine");
    }

    #[test]
    fn each_bad_argument_is_named_in_the_error() {
        let key = "k=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (arguments, part) in [
            (vec!["--upstream", "10.0.0.1:80"], "loopback"),
            (vec!["--upstream", "localhost"], "ADDRESS:PORT"),
            (vec!["--upstream", "unix:app"], "absolute"),
            (vec!["--upstream", "unix:/app", "--mode", "observe"], "watches a port"),
            (vec!["--trusted-key", "k1"], "ID=BASE64"),
            (vec!["--trusted-key", key], "POD_UID"),
            (vec!["--trusted-key", key, "--trusted-key", key, "--pod-uid", "u"], "same id"),
            (vec!["--grace-seconds", "86401"], "grace-seconds"),
            (vec!["--admin", "[::]:8012"], "different"),
            (vec!["--mode", "smtp"], "mode"),
            (vec!["--trusted-proxy", "10.0.0.0/8"], "--forwarded"),
            (vec!["--forwarded", "--trusted-proxy", "ingress"], "neither an address"),
            (vec!["--ignore-path", "metrics"], "not a path"),
            (vec!["--route", "8012=8080", "--route", "8012=9090"], "different"),
            (vec!["--route", "8012=8080", "--listen", "[::]:1"], "cannot be used with"),
            (vec!["--app-source", "localhost"], "neither pod nor loopback"),
            (vec!["--readiness-url", "https://127.0.0.1:1/"], "http://"),
            (vec!["--control-socket", ""], "control-socket"),
        ] {
            let error = run(&arguments).unwrap_err();
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}
