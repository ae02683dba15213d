//! The sidecar: counts the requests in flight of the app beside it, and drains it before the pod goes (DESIGN 6).
//!
//! Traffic: Service → [`listen`] → [`http`] → the app on loopback; everything that begins to arrive is in [`count`].
//! The controller speaks to [`admin`] in the words of [`crate::wire`]; [`drain`] decides whom to obey; [`termination`] is the
//! preStop chain. [`state`] is all that these share.
//!
//! **Invariant:** no Kubernetes client, no token, no file: all it knows are its arguments and its pod's sockets.

pub mod admin;
pub mod arrivals;
pub mod cli;
pub mod count;
pub mod drain;
pub mod http;
pub mod http2;
pub mod listen;
pub mod metrics;
pub mod readiness;
pub mod state;
pub mod termination;

use cli::{Cli, Mode, Run, Verb};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Does what the command line says.
///
/// # Errors
/// A sentence for whoever wrote the command line.
pub async fn main(cli: Cli) -> Result<(), String> {
    match cli.verb {
        Verb::Run(run) => self::run(*run).await,
        Verb::Terminating(arguments) => termination::announce(&arguments.control_socket).await,
    }
}

/// Relays until SIGTERM (or SIGINT), then finishes what is in flight.
async fn run(arguments: Run) -> Result<(), String> {
    arguments.check()?;
    start_log(&arguments.log)?;
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
    /// Where it takes traffic; the port is chosen by the system if the argument was 0.
    pub listen: std::net::SocketAddr,
    /// Where its admin port is.
    pub admin: std::net::SocketAddr,
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
    let keys = arguments.trusted_keys.into_iter().collect();
    let shared = Arc::new(state::Shared::new(drain::Drain::new(arguments.pod_uid, keys)));
    let control = termination::listen(&arguments.control_socket)
        .map_err(|error| format!("cannot listen on control socket {:?}: {error}", arguments.control_socket))?;
    let traffic = listen::bind(arguments.listen, "traffic").await?;
    let admin = listen::bind(arguments.admin, "the admin port").await?;
    let sidecar = Sidecar {
        shared: Arc::clone(&shared),
        limits,
        listen: traffic.local_addr().map_err(|error| error.to_string())?,
        admin: admin.local_addr().map_err(|error| error.to_string())?,
    };
    tracing::info!(listen = %sidecar.listen, admin = %sidecar.admin, app = %arguments.upstream, boot = shared.drain(|drain| drain.boot().to_owned()), "started");
    let hearing = Arc::clone(&shared);
    tokio::spawn(async move { termination::hear(control, &hearing).await });
    let (app, readiness_url) = (arguments.upstream, arguments.readiness_url);
    tokio::spawn(admin::serve(
        admin,
        Arc::new(admin::Admin { shared: Arc::clone(&shared), app, readiness_url, limits }),
    ));
    match arguments.mode {
        Mode::Http => {
            let pool = http::pool::Pool::new(app, millis(arguments.upstream_idle_millis));
            let head_timeout = Duration::from_secs(arguments.head_timeout_seconds.into());
            let http2 = http2::Limits {
                streams: arguments.http2_max_streams,
                window: arguments.http2_window_kib * 1024,
                stall: Duration::from_secs(arguments.stall_timeout_seconds.into()),
            };
            let relay = Arc::new(http::connection::Relay { shared, pool, head_timeout, http2 });
            let expiring = Arc::clone(&relay);
            tokio::spawn(async move { expiring.pool.expire().await });
            tokio::spawn(listen::serve(traffic, relay));
        }
    }
    Ok(sidecar)
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
