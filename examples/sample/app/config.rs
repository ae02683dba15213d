//! The service's configuration: one YAML file, read once.
//!
//! **Invariant:** a file that is missing or not understood ends the process; it is never replaced by defaults.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// The keys of the configuration file; all optional.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Comes back in every answer.
    pub greeting: String,
    /// How long a request takes that names no time of its own, in milliseconds.
    pub delay_millis: u32,
    /// True: exit with code 1 before serving.
    pub exit_at_start: bool,
    /// Exit with code 1 so long after the start of serving, in milliseconds.
    pub exit_after_millis: Option<u64>,
    /// False: `/healthz` answers 500.
    pub healthy: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            greeting: "hello".into(),
            delay_millis: 200,
            exit_at_start: false,
            exit_after_millis: None,
            healthy: true,
        }
    }
}

impl Config {
    /// Reads the file, or takes the defaults where none is named.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let Some(path) = file else { return Ok(Self::default()) };
        let content = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the configuration {}: {error}", path.display()))?;
        serde_yaml::from_str(&content)
            .map_err(|error| format!("the configuration {} is not valid: {error}; exiting", path.display()))
    }
}
