//! The service: reads its configuration once, answers slowly, and has no grace whatever.
//!
//! **Invariant:** SIGTERM ends the process at once, in the middle of any answer: whatever survives a restart survives
//! because somebody else waited.

mod config;
mod ledger;
mod received;
mod work;

use crate::http::{self, Body, json, listen, text};
use clap::Args;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use config::Config;
pub use ledger::Ledger;
pub use received::Received;

/// The arguments of `sample app`.
#[derive(Args)]
pub struct Options {
    /// The address to serve on.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// The configuration file (YAML), read once at start; without it the defaults hold.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Read the configuration, say whether the service would start on it, and end.
    #[arg(long)]
    check: bool,
    /// How long to do nothing before serving.
    #[arg(long, default_value_t = 0)]
    start_delay_millis: u64,
    /// Where to report the begin and end of requests, IP:port; default: the Service `sample-ledger`, if Kubernetes
    /// names it in the environment.
    #[arg(long, env = "LEDGER")]
    ledger: Option<SocketAddr>,
    /// The name to report under.
    #[arg(long, env = "HOSTNAME", default_value = "sample")]
    pod: String,
}

/// What every request can see.
pub struct App {
    /// As read at start.
    pub config: Config,
    /// Where the begin and end of requests are reported.
    pub ledger: Arc<Ledger>,
    /// Somebody has asked it to look unhealthy.
    pub sick: AtomicBool,
    /// What `/hook` was sent.
    pub received: Received,
}

impl App {
    /// As its configuration says.
    pub fn new(config: Config, ledger: Arc<Ledger>) -> Self {
        Self { config, ledger, sick: AtomicBool::new(false), received: Received::default() }
    }
}

/// Runs the service until a signal ends it.
pub async fn run(options: Options) -> Result<(), String> {
    die_at_sigterm()?;
    let config = Config::load(options.config.as_deref())?;
    println!("sample: configuration: {}", json!(config));
    if config.exit_at_start {
        return Err("the configuration says exitAtStart: true; exiting".into());
    }
    if options.check {
        return Ok(());
    }
    tokio::time::sleep(Duration::from_millis(options.start_delay_millis)).await;
    let ledger = Ledger::connect(options.ledger.or_else(ledger::from_environment), options.pod).await;
    let listener = listen(options.listen).await?;
    println!("sample: serving on {}", options.listen);
    if let Some(millis) = config.exit_after_millis {
        let why = format!("the configuration says exitAfterMillis: {millis}");
        tokio::spawn(async move { exit_after(Duration::from_millis(millis), &why).await });
    }
    serve(listener, App::new(config, ledger)).await;
    Ok(())
}

/// Serves on a listener for ever.
pub async fn serve(listener: TcpListener, app: App) {
    let app = Arc::new(app);
    http::serve(listener, move |request| route(Arc::clone(&app), request)).await;
}

async fn route(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/work" => work::answer(app, request).await,
        "/healthz" if app.sick.load(Ordering::Relaxed) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, "POST /sick was asked for")
        }
        "/healthz" if app.config.healthy => text(StatusCode::OK, "ok"),
        "/healthz" => text(StatusCode::INTERNAL_SERVER_ERROR, "the configuration says healthy: false"),
        "/sick" if request.method() == Method::POST => {
            app.sick.store(true, Ordering::Relaxed);
            text(StatusCode::OK, "unhealthy from now on")
        }
        "/exit" if request.method() == Method::POST => {
            tokio::spawn(exit_after(Duration::from_millis(100), "POST /exit was asked for"));
            text(StatusCode::OK, "exiting")
        }
        "/hook" => app.received.take(request).await,
        "/hooks" => app.received.all(),
        "/config" => json(StatusCode::OK, &json!({"config": app.config, "ledger": app.ledger.state()})),
        _ => text(
            StatusCode::NOT_FOUND,
            "paths are /work?id=...&millis=...&chunks=..., /healthz, /config, /hook?status=...&millis=..., /hooks, and POST /sick and /exit",
        ),
    }
}

/// Process 1 of a container ignores signals that it has no handler for, hence the handler.
pub fn die_at_sigterm() -> Result<(), String> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(|error| format!("cannot handle signals: {error}"))?;
        tokio::spawn(async move {
            signals.recv().await;
            std::process::exit(0);
        });
    }
    Ok(())
}

async fn exit_after(time: Duration, why: &str) {
    tokio::time::sleep(time).await;
    eprintln!("sample: {why}; exiting");
    std::process::exit(1);
}
