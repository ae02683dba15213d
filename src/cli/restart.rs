//! `kubectl restart deploy/web --reason …`: asks, and follows on a terminal.
//!
//! **Invariant:** of several workloads the next is asked for only when the one before is done.

use super::args::{DryRun, Format, Global, Wait, duration, seconds};
use super::connect::connect;
use super::exit::Exit;
use super::follow::Follow;
use super::output::{full_name, name, print_objects};
use super::workloads::{targets, understood};
use crate::api::{ConcurrencyPolicy, ConfigMapRef, RestartRequest, Strategy, StrategyType, TargetRef, TimeoutPolicy};
use crate::client::{Ask, Error};
use clap::ValueEnum;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::io::IsTerminal as _;
use std::time::Duration;

/// What to restart, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Workloads, such as deploy/web, sts/db or ds/log; with -l, kinds
    #[arg(value_name = "KIND/NAME")]
    pub targets: Vec<String>,
    #[command(flatten)]
    pub how: How,
    /// Follow each restart to its end; the default on a terminal, with several workloads, and with --wait-timeout
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub wait: Option<bool>,
    #[command(flatten)]
    pub limit: Wait,
    /// Only ask whether it would be accepted
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub dry_run: DryRun,
    /// What to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    /// The object's name; by default one is made
    #[arg(long, conflicts_with = "selector")]
    pub name: Option<String>,
    /// All workloads with these labels
    #[arg(short = 'l', long)]
    pub selector: Option<String>,
}

/// The restart itself, as `plan` takes it too.
#[derive(Clone, Debug, clap::Args)]
pub struct How {
    /// Why; everybody who looks at the restart sees it
    #[arg(long, required = true)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub options: Options,
}

/// Everything but the reason.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Restart")]
pub struct Options {
    /// Do not wait for in-flight requests
    #[arg(long)]
    pub force: bool,
    /// Longest wait for one pod's in-flight requests; by default the controller's
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// What happens when that wait runs out
    #[arg(long, value_enum, default_value_t)]
    pub on_timeout: OnTimeout,
    /// Write ConfigMap CANDIDATE over ConfigMap LIVE before any pod is replaced; put back if the restart fails
    #[arg(long, value_name = "LIVE=CANDIDATE", value_parser = promotion)]
    pub promote: Vec<ConfigMapRef>,
    /// Refuse if the configuration differs from the last that ran well
    #[arg(long, conflicts_with = "promote")]
    pub no_reload: bool,
    /// The run's key: asking again with the same one restarts no second time
    #[arg(long)]
    pub trigger: Option<String>,
    /// How pods are replaced; by default surge for Deployments, else rolling
    #[arg(long, value_enum)]
    pub strategy: Option<HowReplaced>,
    /// Most pods at once, as a count or a percentage
    #[arg(long, value_name = "COUNT")]
    pub max_parallel: Option<String>,
    /// Permit what interrupts service, such as taking the last ready endpoint
    #[arg(long)]
    pub allow_disruption: bool,
    /// Wait for a turn if the workload is already being restarted
    #[arg(long)]
    pub queue: bool,
    /// How long all pods must stay Ready at the end; 10s by default
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub soak: Option<Duration>,
}

/// What happens when in-flight requests outlast the wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnTimeout {
    /// The restart fails and is undone
    #[default]
    Fail,
    /// The pod goes all the same
    Proceed,
}

/// How pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HowReplaced {
    /// A replacement is Ready before a pod leaves
    Surge,
    /// A pod leaves, then its replacement comes
    Rolling,
}

/// `LIVE=CANDIDATE`.
pub fn promotion(text: &str) -> Result<ConfigMapRef, String> {
    match text.split_once('=') {
        Some((name, from)) if !name.is_empty() && !from.is_empty() => {
            Ok(ConfigMapRef { name: name.to_owned(), from: Some(from.to_owned()) })
        }
        _ => Err(format!("{text:?} is not LIVE=CANDIDATE, such as web-config=web-config-next")),
    }
}

impl Options {
    /// What is asked for `target`.
    ///
    /// # Errors
    /// When a time is beyond measure.
    pub fn ask(&self, target: TargetRef, reason: &str) -> Result<Ask, Error> {
        let mut ask = Ask::new(target, reason).force(self.force).config_reload(!self.no_reload);
        let spec = &mut ask.spec;
        spec.timeout_seconds = self.timeout.map(seconds).transpose()?;
        spec.trigger.clone_from(&self.trigger);
        spec.on_timeout = match self.on_timeout {
            OnTimeout::Fail => TimeoutPolicy::Fail,
            OnTimeout::Proceed => TimeoutPolicy::Proceed,
        };
        if self.queue {
            spec.concurrency_policy = ConcurrencyPolicy::Queue;
        }
        if let Some(soak) = self.soak {
            spec.verify.soak_seconds = seconds(soak)?;
        }
        if !self.promote.is_empty() {
            spec.config.config_maps = Some(self.promote.clone());
        }
        let strategy = Strategy {
            strategy_type: self.strategy.map(|how| match how {
                HowReplaced::Surge => StrategyType::Surge,
                HowReplaced::Rolling => StrategyType::Rolling,
            }),
            max_parallel: self.max_parallel.as_ref().map(|text| match text.parse() {
                Ok(count) => IntOrString::Int(count),
                Err(_) => IntOrString::String(text.clone()),
            }),
            allow_disruption: self.allow_disruption,
        };
        spec.strategy = Some(strategy).filter(|strategy| *strategy != Strategy::default());
        Ok(ask)
    }
}

/// The verb.
///
/// # Errors
/// When the cluster cannot be reached or refuses.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    if args.name.is_some() && args.targets.len() > 1 {
        return Err(Error::Invalid("--name goes with one workload".to_owned()));
    }
    understood(&args.targets, args.selector.as_deref())?;
    let client = connect(global).await?;
    let targets = targets(&client, &args.targets, args.selector.as_deref()).await?;
    let follows = args.dry_run == DryRun::None
        && follows(args.wait, &args.limit, targets.len() > 1 || std::io::stderr().is_terminal());
    if !follows && targets.len() > 1 && args.dry_run == DryRun::None {
        eprintln!("warning: --wait=false with several workloads: all are asked for at once, not in order");
    }
    let follow = Follow { client: &client, global, wait: &args.limit, format: args.output };
    let mut asked = vec![];
    let mut ended = Ok(Exit::Done);
    for (number, target) in targets.iter().enumerate() {
        ended = one(args, &follow, follows, target, &mut asked).await;
        let left = &targets[number + 1..];
        if matches!(ended, Ok(Exit::Done)) {
            continue;
        }
        if !left.is_empty() {
            eprintln!("stopped at {target}: {} more not asked for ({})", left.len(), listed(left));
        }
        break;
    }
    if args.output.for_programs() && !asked.is_empty() {
        print_objects(args.output, &asked)?;
    }
    ended
}

/// One of several.
async fn one(
    args: &Args,
    follow: &Follow<'_>,
    follows: bool,
    target: &TargetRef,
    asked: &mut Vec<RestartRequest>,
) -> Result<Exit, Error> {
    let mut ask = args.how.options.ask(target.clone(), args.how.reason.as_deref().unwrap_or_default())?;
    ask.name.clone_from(&args.name);
    ask.dry_run = args.dry_run == DryRun::Server;
    let (exit, request) = ask_and_follow(follow, follows, &ask).await?;
    asked.push(request);
    Ok(exit)
}

/// Whether to follow to the end: as was said, else when there is a limit to it, else by `default`.
pub fn follows(wait: Option<bool>, limit: &Wait, default: bool) -> bool {
    wait.unwrap_or(limit.wait_timeout.is_some() || default)
}

fn listed(targets: &[TargetRef]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Asks, says so, and follows if that is wanted.
///
/// # Errors
/// When the cluster cannot be reached or refuses.
pub async fn ask_and_follow(follow: &Follow<'_>, follows: bool, ask: &Ask) -> Result<(Exit, RestartRequest), Error> {
    let asked = follow.client.request_restart(ask).await?;
    let what = match (asked.new, ask.dry_run) {
        (true, false) => "created",
        (true, true) => "created (server dry run)",
        (false, _) => "unchanged: this trigger was asked for before",
    };
    let for_people = !follow.format.for_programs();
    if for_people {
        println!("{} {what}", full_name(&asked.request));
    }
    if follows {
        return follow.follow(asked.request, Some(asked.estimated_time)).await;
    }
    if !ask.dry_run && for_people {
        eprintln!("Follow it:    kubectl restart watch {}{}", name(&asked.request), follow.options());
    }
    Ok((Exit::Done, asked.request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_names_both_config_maps() {
        assert_eq!(promotion("a=b").unwrap(), ConfigMapRef { name: "a".into(), from: Some("b".into()) });
        assert!(promotion("a").unwrap_err().contains("LIVE=CANDIDATE"));
        assert!(promotion("a=").is_err());
    }

    #[test]
    fn what_is_not_said_is_left_to_the_controller() {
        let ask = Options::default().ask("deploy/web".parse().unwrap(), "why").unwrap();
        assert_eq!(ask, Ask::new("deploy/web".parse().unwrap(), "why"));
    }

    #[test]
    fn a_parallelism_is_a_count_or_a_percentage() {
        let asked = |text: &str| {
            let options = Options { max_parallel: Some(text.to_owned()), ..Options::default() };
            options.ask("deploy/web".parse().unwrap(), "why").unwrap().spec.strategy.unwrap().max_parallel
        };
        assert_eq!(asked("2"), Some(IntOrString::Int(2)));
        assert_eq!(asked("25%"), Some(IntOrString::String("25%".into())));
    }
}
