//! The HTTP API, for programs that do not speak Kubernetes, and the page to watch a restart: `docs/http-api.md`.
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | the bodies of the API, field by field |
//! | `caller` | who asks: a client of the API server made of the bearer token, for this one request |
//! | `answers` | the four endpoints: status, request, cancel, history |
//! | `runs`, `views`, `diff`, `events` | what the page shows beyond that, and the live stream |
//! | `error`, `limits`, `listen` | refusals, what one caller may take, the socket |
//! | [`openapi`], `page` | the document that describes it, and the files of the page |
//!
//! **Invariant:** there is no client with the controller's own rights in here: whatever is read or written for a caller
//! is read and written with the caller's token, and nothing is remembered between two requests.

mod answers;
pub mod args;
mod caller;
mod diff;
mod error;
mod events;
mod limits;
mod listen;
pub mod openapi;
mod page;
mod runs;
mod target;
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
    default_timeout: DefaultTimeout,
    limits: Arc<limits::Limits>,
}

/// The wait for in-flight requests where a request names none, in seconds, as it is configured now.
#[derive(Clone)]
pub struct DefaultTimeout(pub Arc<dyn Fn() -> i32 + Send + Sync>);

impl std::fmt::Debug for DefaultTimeout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", (self.0)())
    }
}

/// Serves for as long as the process lives, if it is asked to; returns the address with its real port.
///
/// # Errors
/// A sentence, when the address cannot be listened on, the certificate cannot be read or no API server is known.
pub async fn serve(args: &Args, default_timeout: DefaultTimeout) -> Result<Option<SocketAddr>, String> {
    let Some(address) = args.http_api else { return Ok(None) };
    let shared = Shared {
        server: Server::infer().await?,
        default_target: args.http_api_default_target.clone(),
        default_timeout,
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
        .layer(from_fn_with_state(shared.limits.clone(), limits::not_too_often));
    page::routes(api)
        .route("/openapi.json", get(openapi::served))
        .fallback(async || ApiError::no_such_path())
        .method_not_allowed_fallback(async || ApiError::no_such_method())
        .layer(limits::body())
        .layer(from_fn(page::headers))
        .with_state(shared)
}
