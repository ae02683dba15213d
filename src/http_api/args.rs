//! The command line of the HTTP API.
//!
//! **Invariant:** nothing here says who may do what: that is the API server's to decide, caller by caller.

use super::target::Target;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// How the HTTP API is served.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "http-api-arguments")]
pub struct Args {
    /// Where /api/restart and the page are served, as in [::]:8090; absent: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    pub http_api: Option<SocketAddr>,
    /// The workload that is meant where a caller names none, as in shop/Deployment/web.
    #[arg(long, value_name = "NAMESPACE/KIND/NAME", requires = "http_api")]
    pub http_api_default_target: Option<Target>,
    /// A directory with tls.crt and tls.key, read again when they change; absent: no TLS, and tokens in clear text.
    #[arg(long, value_name = "DIRECTORY", requires = "http_api")]
    pub http_api_tls: Option<PathBuf>,
    /// Requests per second that one address may send; twice as many at once.
    #[arg(long, value_name = "COUNT", default_value = "20")]
    pub http_api_rate: NonZeroU32,
}
