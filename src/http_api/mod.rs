//! The HTTP API, for programs that do not speak Kubernetes, and the page to watch a restart: `docs/http-api.md`.
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | the bodies of the API, field by field |
//! | `caller` | who asks: a client of the API server made of the bearer token, for this one request |
//! | `answers` | the four endpoints: status, request, cancel, history |
//! | `runs`, `views`, `diff`, `events` | what the page shows beyond that, and the live stream |
//! | `error`, `limits`, `callers`, `listen`, `tls` | refusals, what one caller may take, who that is, the socket, its certificate |
//! | [`openapi`], `page` | the document that describes it, and the files of the page |
//!
//! **Invariant:** there is no client with the controller's own rights in here: whatever is read or written for a caller
//! is read and written with the caller's token, and nothing is remembered between two requests but how much each caller took.

mod answers;
pub mod args;
mod caller;
mod callers;
mod diff;
mod error;
mod events;
mod limits;
mod listen;
pub mod openapi;
mod page;
mod runs;
mod target;
mod tls;
mod views;
pub mod wire;

pub use args::Args;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use caller::Server;
use error::ApiError;
use std::net::SocketAddr;
use std::sync::Arc;
use target::Target;

/// What every request shares.
#[derive(Clone, Debug)]
pub struct Shared {
    server: Server,
    default_target: Option<Target>,
    settings: Settings,
    limits: Arc<limits::Limits>,
}

/// What the controller permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// The wait for in-flight requests where a request names none, in seconds.
    pub default_timeout_seconds: i32,
    /// The longest such wait.
    pub max_wait_seconds: i32,
    /// Whether `force` is allowed.
    pub force: bool,
}

/// What the controller permits now: its configuration is read again when it changes.
#[derive(Clone)]
pub struct Settings(pub Arc<dyn Fn() -> Permitted + Send + Sync>);

impl Settings {
    fn now(&self) -> Permitted {
        (self.0)()
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.now().fmt(formatter)
    }
}

/// Serves for as long as the process lives, if it is asked to; returns the address with its real port.
///
/// # Errors
/// A sentence, when the address cannot be listened on, the certificate cannot be read or no API server is known.
pub async fn serve(args: &Args, settings: Settings) -> Result<Option<SocketAddr>, String> {
    let Some(address) = args.http_api else { return Ok(None) };
    let shared = Shared {
        server: Server::infer().await?,
        default_target: args.http_api_default_target.clone(),
        settings,
        limits: Arc::new(limits::Limits::new(args.http_api_rate)),
    };
    let bound = listen::listen(address, args.http_api_tls.clone(), router(shared)).await?;
    tracing::info!(http_api = %bound, tls = args.http_api_tls.is_some(), "serving /api/restart and the page");
    Ok(Some(bound))
}

fn router(shared: Shared) -> Router {
    let api = Router::new()
        .route("/api/restart/status", get(answers::status))
        .route("/api/restart/request", post(answers::request))
        .route("/api/restart/cancel", post(answers::cancel))
        .route("/api/restart/history", get(answers::history))
        .route("/api/restart/runs", get(views::list))
        .route("/api/restart/runs/{namespace}/{request_id}", get(views::one))
        .route("/api/restart/runs/{namespace}/{request_id}/diff", get(diff::diff))
        .route("/api/restart/events", get(events::events))
        .layer(from_fn(limits::in_time))
        .layer(from_fn_with_state(shared.clone(), limits::not_too_often));
    page::routes(api)
        .route("/openapi.json", get(openapi::served))
        .fallback(async || ApiError::no_such_path())
        .method_not_allowed_fallback(async || ApiError::no_such_method())
        .layer(limits::body())
        .layer(from_fn(page::headers))
        .with_state(shared)
}
