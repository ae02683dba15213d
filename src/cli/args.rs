//! What several verbs take.
//!
//! **Invariant:** an option means the same wherever it stands, and what kubectl has too is written as kubectl writes it.

use crate::client::Error;
use clap::ValueEnum;
use std::time::Duration;

/// How to reach the cluster.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct Global {
    /// Namespace; by default that of the kubeconfig's context
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Path of the kubeconfig; by default $KUBECONFIG, then ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to impersonate; may be given several times
    #[arg(long, global = true, value_name = "GROUP", requires = "as_user")]
    pub as_group: Vec<String>,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// More columns
    Wide,
    /// The objects
    Json,
    /// The objects
    Yaml,
    /// Kinds and names
    Name,
}

impl Format {
    /// Whether a program reads it: nothing else may stand on standard output then.
    #[must_use]
    pub fn for_programs(self) -> bool {
        match self {
            Self::Table | Self::Wide => false,
            Self::Json | Self::Yaml | Self::Name => true,
        }
    }
}

/// Whether something is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is
    #[default]
    None,
    /// The API server checks it, and writes nothing
    Server,
}

/// How long to look at a restart.
#[derive(Clone, Debug, clap::Args)]
pub struct Wait {
    /// Give up watching after this time, with exit code 2; the restart goes on. By default its own end is waited for
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait_timeout: Option<Duration>,
}

/// `30s`, `2m`, `1h30m`, or seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write 30s, 2m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut total, mut number) = (0u64, String::new());
    for letter in text.chars() {
        let unit = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(wrong()),
        };
        let count: u64 = number.parse().map_err(|_| wrong())?;
        total = count.checked_mul(unit).and_then(|seconds| total.checked_add(seconds)).ok_or_else(wrong)?;
        number.clear();
    }
    if text.is_empty() || !number.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(total)) }
}

/// Whole seconds that fit the API.
pub fn seconds(duration: Duration) -> Result<i32, Error> {
    i32::try_from(duration.as_secs()).map_err(|_| Error::Invalid(format!("{duration:?} is too long")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_for_kubectl() {
        for (text, expected) in [("30s", 30), ("2m", 120), ("1h30m", 5400), ("45", 45), ("0s", 0)] {
            assert_eq!(duration(text).unwrap().as_secs(), expected, "{text}");
        }
        for text in ["", "s", "3x", "5m3", "-1s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
