//! Logs: JSON lines on standard output, or text for people.
//!
//! **Invariant:** set up once, before anything else; no other module chooses a format or a destination.

use super::error::Error;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object per line.
    #[default]
    Json,
}

/// Begins to log what `filter` (`info`, or `restart_controller=debug,kube=warn`) lets through.
///
/// # Errors
/// When the filter is not understood.
pub fn start(filter: &str, format: Format) -> Result<(), Error> {
    let filter = EnvFilter::try_new(filter).map_err(|error| Error::Startup(format!("--log {filter:?}: {error}")))?;
    let colours = std::io::stdout().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(true).with_ansi(colours);
    let started = match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| Error::Startup(format!("logging: {error}")))
}
