//! The sidecar: counts the requests in flight of the app beside it, and drains it before the pod goes (DESIGN 6).
//!
//! Traffic: Service → [`listen`] → one of the [`threads`] → [`http`] ([`http2`] if the client speaks that) or [`tcp`] → the
//! app on loopback; in the third mode [`observe`] only looks. Everything that begins to arrive is in [`count`].
//! The controller speaks to [`admin`] in the words of [`crate::wire`]; [`drain`] decides whom to obey; [`termination`] is the
//! preStop chain. [`state`] is all that these share.
//!
//! **Invariant:** no Kubernetes client and no token: all it knows are its arguments and its pod's sockets. It writes no file but
//! the copy of itself that `--install` asks for.

pub mod admin;
pub mod app;
pub mod arrivals;
pub mod cgroup;
pub mod cli;
pub mod count;
pub mod descriptors;
pub mod drain;
pub mod due;
pub mod forwarded;
pub mod http;
pub mod http2;
pub mod idle;
pub mod ignored;
pub mod install;
pub mod level;
pub mod listen;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod own_hook;
#[cfg(feature = "planted")]
pub mod planted;
pub mod proxy_header;
pub mod quota;
pub mod readiness;
pub mod route;
pub mod seldom;
pub mod spare_ports;
pub mod state;
pub mod tcp;
pub mod termination;
pub mod threads;
pub mod tls;
pub mod traffic;
pub mod upstream;

/// What [`level`] counts by; `tests/interleavings` gives it other ones.
mod atomic {
    pub use std::sync::atomic::{AtomicU64, Ordering, fence};
}

use cli::{Cli, Run, Verb};
use descriptors::Room;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use threads::Threads;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use traffic::Traffic;

/// Does what the command line says.
///
/// # Errors
/// A sentence for whoever wrote the command line.
pub async fn main(cli: Cli) -> Result<(), String> {
    match cli.verb {
        Verb::Run(run) => self::run(*run).await,
        Verb::Terminating(arguments) => {
            termination::announce(&cli::control_socket(arguments.control_socket.as_deref())).await
        }
        Verb::WaitDrained(hook) => own_hook::wait_drained(hook).await,
    }
}

/// Relays until SIGTERM (or SIGINT), then finishes what is in flight.
async fn run(arguments: Run) -> Result<(), String> {
    memory::share_heap();
    arguments.check()?;
    start_log(&arguments.log)?;
    if let Some(directory) = &arguments.install {
        install::install(directory)?;
    }
    let mut stop = signals().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let sidecar = start(arguments).await?;
    tokio::select! {
        _ = stop.0.recv() => {}
        _ = stop.1.recv() => {}
    }
    tracing::info!("asked to end: finishing what is in flight");
    termination::finish(&sidecar.shared, sidecar.limits).await;
    Ok(())
}

/// A started sidecar.
pub struct Sidecar {
    /// Its state.
    pub shared: Arc<state::Shared>,
    /// How long its termination may take.
    pub limits: termination::Limits,
    /// Where it takes traffic; a port is chosen by the system if the argument was 0. Of several routes the first.
    pub listen: SocketAddr,
    /// Where each route does.
    pub routes: Vec<SocketAddr>,
    /// Where its admin port is.
    pub admin: SocketAddr,
}

/// Opens the sockets and starts to serve.
///
/// # Errors
/// A socket that cannot be opened, and why.
pub async fn start(arguments: Run) -> Result<Sidecar, String> {
    let limits = termination::Limits {
        grace: Duration::from_secs(arguments.grace_seconds.into()),
        quiet: millis(arguments.quiet_millis),
    };
    let routes = arguments.routes();
    let mut listeners = vec![];
    for route in &routes {
        listeners.push(listen::bind(route.listen, "traffic").await?);
    }
    let ports: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
    let ports = ports.map_err(|error| error.to_string())?;
    let threads = if routes.is_empty() { 1 } else { threads::count(arguments.threads) };
    let shared = Arc::new(state_of(&arguments, &ports, threads));
    let socket = cli::control_socket(arguments.control_socket.as_deref());
    let control = termination::listen(&socket)
        .map_err(|error| format!("cannot listen on control socket {socket:?}: {error}; choose another name by --control-socket, here and in the preStop hook"))?;
    let admin = listen::bind(arguments.admin, "the admin port").await?;
    let sidecar = Sidecar {
        shared: Arc::clone(&shared),
        limits,
        listen: ports.first().copied().unwrap_or(arguments.listen),
        routes: ports,
        admin: admin.local_addr().map_err(|error| error.to_string())?,
    };
    let apps = if routes.is_empty() {
        vec![arguments.upstream.clone()]
    } else {
        routes.iter().map(|route| route.upstream.clone()).collect()
    };
    let most = descriptors::limits(threads);
    http::splice::allow(most.pipes);
    let clients = most.clients.min(shared.quota.connections());
    let clients = arguments.max_connections.map_or(clients, |count| count as usize);
    tracing::info!(mode = ?shared.mode(), listen = %sidecar.listen, admin = %sidecar.admin, ?apps, memory_budget = shared.quota.limit(), connections = clients, threads, boot = shared.drain(|drain| drain.boot().to_owned()), "started");
    let look = readiness::AppLook::new(apps, arguments.readiness_url.clone());
    if routes.is_empty() {
        start_observing(&arguments, limits.quiet, Arc::clone(&shared))?;
    } else {
        watch_over(&arguments, &shared);
        let (room, tunnels) = (Room::new(clients), Room::new((clients / 4 * 3).max(1)));
        take(
            listeners,
            &room,
            &Threads::start(threads, Traffic::new(arguments, &routes, tunnels, Arc::clone(&shared)))?,
        );
    }
    let hearing = Arc::clone(&shared);
    tokio::spawn(async move { termination::hear(control, &hearing).await });
    admin::start(admin, admin::Admin { shared, app: look, limits }, most.admin)?;
    Ok(sidecar)
}

fn state_of(arguments: &Run, ports: &[SocketAddr], threads: usize) -> state::Shared {
    let drain = drain::Drain::new(arguments.pod_uid.clone(), arguments.trusted_keys.iter().cloned().collect());
    let memory = arguments.memory_limit_mib.map(|mib| u64::from(mib) << 20).or_else(cgroup::memory_limit);
    let further = threads::MEMORY * (threads as u64 - 1);
    let quota = quota::Quota::new(memory.map(|memory| memory.saturating_sub(further)));
    let shared = state::Shared::new(arguments.wire_mode(), drain).with_quota(quota).with_threads(threads);
    shared.with_routes(ports.iter().map(SocketAddr::port))
}

/// Starts what looks after connections that are there.
fn watch_over(arguments: &Run, shared: &Arc<state::Shared>) {
    let (idle_timeout, sweeping) = (Duration::from_secs(arguments.idle_timeout_seconds.into()), Arc::clone(shared));
    tokio::spawn(async move { sweeping.idle.sweep(idle_timeout).await });
    let giving_back = Arc::clone(shared);
    tokio::spawn(async move { memory::give_back(&giving_back).await });
}

/// Takes the connections of each route.
fn take(listeners: Vec<TcpListener>, room: &Room, threads: &Arc<Threads>) {
    for (route, listener) in listeners.into_iter().enumerate() {
        let (room, threads) = (room.clone(), Arc::clone(threads));
        tokio::spawn(async move {
            let start = |client, room| threads.take(route, client, room);
            listen::serve(listener, &room, &threads.shared, start).await
        });
    }
}

fn start_observing(arguments: &Run, quiet: Duration, shared: Arc<state::Shared>) -> Result<(), String> {
    let rule = observe::judge::Rule { quiet, plaintext: arguments.plaintext };
    let observer = observe::Observer::new(arguments.watched_port()?, rule).map_err(|error| {
        format!("--mode observe: the kernel does not list TCP connections by sock_diag (inet_diag, tcp_diag): {error}")
    })?;
    tokio::spawn(observer.run(shared));
    Ok(())
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

fn signals() -> std::io::Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

fn start_log(filter: &str) -> Result<(), String> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| format!("--log {filter:?}: {error}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    Ok(())
}
