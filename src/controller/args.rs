//! The command line.
//!
//! **Invariant:** only where and how to run; what a restart does is configured in the file (DESIGN 4).

use super::telemetry::Format;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How `restart-controller run` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The configuration file, read again when it changes; without it the defaults hold.
    #[arg(long, env = "RESTART_CONTROLLER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Which log lines are written: a level, or `target=level` with commas between.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
    /// The shape of a log line.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: Format,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub admin: SocketAddr,
    /// Look after these namespaces only; repeat, or separate by commas. Absent: all.
    #[arg(long, value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// The namespace of the controller's own Secret and ConfigMap. Absent: that of its service account.
    #[arg(long, env = "POD_NAMESPACE")]
    pub own_namespace: Option<String>,
    /// The pod that Events name as their source.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
}
