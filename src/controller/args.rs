//! The command line.
//!
//! **Invariant:** only where and how to run; what a restart does is configured in the file (DESIGN 4).

use super::admission::Policy;
use super::leader::Settings;
use super::telemetry::Format;
use k8s_openapi::jiff::SignedDuration;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    #[arg(long, default_value = "[::]:8080")]
    pub admin: SocketAddr,
    /// The HTTP API and its page.
    #[command(flatten)]
    pub http: crate::http_api::Args,
    /// Look after these namespaces only; repeat, or separate by commas. Absent: all.
    #[arg(long, value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// The namespace of the controller's own Secret, ConfigMap and Lease. Absent: that of its service account.
    #[arg(long, env = "POD_NAMESPACE")]
    pub own_namespace: Option<String>,
    /// The pod that Events name as their source, and the Lease as its holder.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
    /// Begin no restart without this policy and its binding of the same name, `ValidatingAdmissionPolicy/NAME` or
    /// `MutatingAdmissionPolicy/NAME`; repeat, or separate by commas.
    #[arg(long, value_name = "KIND/NAME", value_delimiter = ',')]
    pub require_admission: Vec<Policy>,
    /// Act only while holding the Lease; `false` only where no other replica runs.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,
    /// How long the other replicas wait after the last renewal of the Lease that they saw.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15s")]
    pub leader_elect_lease_duration: Duration,
    /// How long after its last successful renewal the leader acts; then the process ends with exit code 1.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub leader_elect_renew_deadline: Duration,
    /// Between two renewals of the Lease, and between two attempts.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2s")]
    pub leader_elect_retry_period: Duration,
}

impl Args {
    /// The settings of the election.
    ///
    /// # Errors
    /// A sentence that names the two arguments that do not go together.
    pub fn election(&self) -> Result<Settings, String> {
        let settings = Settings {
            lease: self.leader_elect_lease_duration,
            deadline: self.leader_elect_renew_deadline,
            retry: self.leader_elect_retry_period,
        };
        settings.checked().map_err(|why| format!("--leader-elect-*: {why}"))
    }
}

/// `15s`, `1500ms`, `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "not a duration, as in 15s or 500ms".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("restart-controller").chain(line.split_whitespace());
        Command::try_parse_from(words).map(|command| command.args)
    }

    #[test]
    fn the_election_is_on_with_client_gos_numbers_unless_told_otherwise() {
        let args = parsed("").unwrap();
        assert_eq!((args.leader_elect, args.election()), (true, Ok(Settings::default())));
        assert!(!parsed("--leader-elect=false").unwrap().leader_elect);
        assert!(parsed("--leader-elect").unwrap().leader_elect);
    }

    #[test]
    fn durations_have_a_unit_and_must_go_together() {
        let args = parsed("--leader-elect-renew-deadline 1500ms --leader-elect-retry-period 500ms").unwrap();
        assert_eq!(args.election().unwrap().deadline, Duration::from_millis(1500));
        assert!(parsed("--leader-elect-retry-period 5").is_err());
        assert!(parsed("--leader-elect-retry-period=-5s").is_err());
        let why = parsed("--leader-elect-renew-deadline 20s").unwrap().election().unwrap_err();
        assert!(why.contains("renew deadline (20s) must be shorter"), "{why}");
    }
}
