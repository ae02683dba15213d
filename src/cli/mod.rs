//! `kubectl restart`: restarts for people. One verb per file; what they share is how to reach the cluster (`connect`), how
//! to print (`output`), how to watch a restart (`follow`, `progress`) and how to end (`exit`).
//!
//! **Invariant:** everything is done with the caller's own rights; without them nothing works that would not work with
//! `kubectl` itself. Nothing is written but `RestartRequests`; by `inject`, the file that it was given; by `release`, what a
//! controller that is gone has left.

mod args;
mod cancel;
pub mod completion;
mod connect;
mod diff;
mod doctor;
mod exit;
mod follow;
mod history;
pub mod inject;
mod man;
mod names;
mod output;
mod pick;
mod plan;
mod progress;
mod release;
mod restart;
mod status;
mod survey;
mod undo;
mod watch;
mod workloads;

pub use exit::Exit;

use crate::client::Error;
use args::Global;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::process::ExitCode;

/// Restart a workload without losing one request
///
/// Asks the restart-controller to replace the pods of a Deployment, StatefulSet or DaemonSet: each pod leaves its Services,
/// finishes its requests and is replaced; if anything fails, configuration and pods are put back.
///
/// Exit codes: 0 done; 1 error; 2 the wait timed out; 3 the restart failed (or was cancelled) and everything is as before;
/// 4 it failed and something could not be put back; 130 interrupted, and the restart goes on.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-restart",
    bin_name = "kubectl restart",
    version,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    override_usage = "kubectl restart KIND/NAME... --reason TEXT [OPTIONS]\n       kubectl restart COMMAND [OPTIONS]",
    after_help = "Examples:\n  kubectl restart deploy/web --reason 'new price table'\n  kubectl restart deploy/web --reason 'new price table' --promote web-config=web-config-next\n  kubectl restart deploy -l app=web --reason 'node update' --timeout 1m --wait=false\n  kubectl restart plan deploy/web"
)]
pub struct Cli {
    // Options stand in the help under the last heading that was set.
    #[command(flatten)]
    ask: restart::Args,
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show where restarts stand
    Status(status::Args),
    /// Follow a restart to its end
    Watch(watch::Args),
    /// Show the restarts that ended
    History(history::Args),
    /// Cancel a restart before the first pod is touched
    Cancel(cancel::Args),
    /// Show what a restart would do, with every check's verdict; nothing is written
    Plan(Box<plan::Args>),
    /// Say why a workload cannot be restarted
    Doctor(doctor::Args),
    /// Compare the configuration now, the last known good, and a candidate
    Diff(diff::Args),
    /// Restart onto the configuration of an earlier restart
    Undo(undo::Args),
    /// Put back and let go what a controller that is gone for good has left under way
    Release(release::Args),
    /// Add the sidecar to a workload's YAML, or remove it
    Inject(inject::Args),
    /// Print a completion script
    Completion(completion::Args),
    /// Print or write manual pages
    Man(man::Args),
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(completion::Words),
}

/// Parses the arguments, does what they say, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    end_with_the_reader();
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        alone(&matches)?;
        Cli::from_arg_matches(&matches)
    });
    match parsed {
        Ok(cli) => run(cli).into(),
        Err(error) => {
            let words: Vec<String> = std::env::args().skip(1).collect();
            if let Some(why) = stranger(&words).filter(|_| error.kind() == ErrorKind::MissingRequiredArgument) {
                return failed(&why).into();
            }
            // clap's own code for errors, 2, means here that a wait timed out.
            let _ = error.print();
            if error.use_stderr() { Exit::Error.into() } else { Exit::Done.into() }
        }
    }
}

/// Whoever reads the output may have read enough, as `head` has, or have no room for it: neither is a fault of the program.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        match text.and_then(|text| text.strip_prefix("failed printing to stdout: ")) {
            // What a shell says of a program that SIGPIPE has ended.
            Some(why) if why.contains("Broken pipe") => std::process::exit(141),
            Some(why) => std::process::exit(failed(&format!("standard output: {why}")).code().into()),
            None => usual(panic),
        }
    }));
}

/// A first word that is neither a command nor a workload: without a reason, that is what is wrong with it.
fn stranger(words: &[String]) -> Option<String> {
    let word = words.first().filter(|word| !word.starts_with('-'))?;
    let why = word.parse::<crate::api::TargetRef>().err()?;
    if word.contains('/') || word.parse::<crate::api::TargetKind>().is_ok() {
        return Some(why);
    }
    Some(format!(
        "{word:?} is no command (kubectl restart --help lists them), and as a workload it {}",
        &why[word.len() + 3..]
    ))
}

/// Options of the restart itself beside a verb would do nothing.
fn alone(matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((verb, _)) = matches.subcommand() else { return Ok(()) };
    let command = Cli::command();
    let given = command.get_arguments().filter(|argument| !argument.is_global_set()).find(|argument| {
        let id = argument.get_id().as_str();
        matches.try_contains_id(id).unwrap_or(false) && matches.value_source(id) == Some(ValueSource::CommandLine)
    });
    let Some(given) = given else { return Ok(()) };
    let given = given.get_long().map_or_else(|| given.get_id().to_string(), |long| format!("--{long}"));
    let why = format!(
        "{given} goes with a restart, not before `{verb}`; write it after `{verb}` if it is one of its options\n"
    );
    Err(Cli::command().error(ErrorKind::ArgumentConflict, why))
}

fn run(cli: Cli) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let done = runtime.block_on(dispatch(cli));
    runtime.shutdown_background();
    done.unwrap_or_else(|error| {
        // The table of codes is about restarts; what is wrong with the words here is in none of them.
        let code = error.code().filter(|_| !matches!(error, Error::Invalid(_)));
        let code = code.map(|code| format!("{}: ", code.number())).unwrap_or_default();
        failed(&format!("{code}{error}{}", next(&error)))
    })
}

/// What to do about it, where the error does not say so for everybody.
fn next(error: &Error) -> String {
    match error {
        Error::AlreadyRestarting { namespace, holder, .. } => {
            format!("\nFollow that one: kubectl restart watch {holder} -n {namespace}\nOr take a turn:  --queue")
        }
        Error::Kube { .. } if error.status() == Some(401) => {
            "\nThe cluster does not know who you are: log in again, or look at: kubectl auth whoami".to_owned()
        }
        Error::Kube { .. } if error.status() == Some(403) => {
            "\nAsk for the right, or look at what is missing: kubectl restart doctor KIND/NAME".to_owned()
        }
        Error::Kube { source: kube::Error::Service(_) | kube::Error::HyperError(_), .. } => {
            "\nIs this the cluster that you mean, and does it answer? kubectl cluster-info".to_owned()
        }
        // Not one object is missing, but the kind.
        Error::Kube { .. } if error.status() == Some(404) && error.to_string().ends_with("404 page not found") => {
            "\nrestart-controller is not installed in this cluster, or it is another one than you mean: kubectl config current-context"
                .to_owned()
        }
        Error::Kube { .. } | Error::NoTarget { .. } | Error::CannotCancel(_) | Error::Invalid(_) => String::new(),
    }
}

async fn dispatch(cli: Cli) -> Result<Exit, Error> {
    let Cli { global, ask, verb } = cli;
    match verb {
        None => restart::run(&global, &ask).await,
        Some(Verb::Status(args)) => status::run(&global, &args).await,
        Some(Verb::Watch(args)) => watch::run(&global, &args).await,
        Some(Verb::History(args)) => history::run(&global, &args).await,
        Some(Verb::Cancel(args)) => cancel::run(&global, &args).await,
        Some(Verb::Plan(args)) => plan::run(&global, &args).await,
        Some(Verb::Doctor(args)) => doctor::run(&global, &args).await,
        Some(Verb::Diff(args)) => diff::run(&global, &args).await,
        Some(Verb::Undo(args)) => undo::run(&global, &args).await,
        Some(Verb::Release(args)) => release::run(&global, &args).await,
        Some(Verb::Inject(args)) => inject::run(&args),
        Some(Verb::Completion(args)) => Ok(completion::run(&args, Cli::command())),
        Some(Verb::Man(args)) => man::run(&args, Cli::command()),
        Some(Verb::Complete(words)) => completion::complete(&words, &Cli::command()).await,
    }
}

fn failed(why: &str) -> Exit {
    eprintln!("error: {why}");
    Exit::Error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, String> {
        let matches = Cli::command().try_get_matches_from(line.split(' ')).map_err(|error| error.to_string())?;
        alone(&matches).map_err(|error| error.to_string())?;
        Cli::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_restart_needs_a_reason_and_a_verb_does_not() {
        assert!(parsed("kubectl-restart deploy/web").unwrap_err().contains("--reason"));
        assert!(parsed("kubectl-restart deploy/web --reason why").unwrap().verb.is_none());
        assert!(parsed("kubectl-restart status").unwrap().verb.is_some());
    }

    #[test]
    fn a_word_that_is_nothing_is_said_so_before_a_reason_is_asked_for() {
        let said = |word: &str| stranger(&[word.to_owned()]).unwrap_or_default();
        assert_eq!(
            said("stauts"),
            "\"stauts\" is no command (kubectl restart --help lists them), and as a workload it has no kind: write deployment/stauts, statefulset/stauts or daemonset/stauts"
        );
        assert!(said("deploy").contains("write deploy/NAME"));
        assert!(said("pod/web").contains("no kind that can be restarted"));
        assert_eq!((said("deploy/web"), said("--force")), (String::new(), String::new()));
    }

    #[test]
    fn where_the_namespace_stands_does_not_matter() {
        for line in ["kubectl-restart -n shop status deploy/web", "kubectl-restart status deploy/web -n shop"] {
            let cli = parsed(line).unwrap();
            assert_eq!((cli.global.namespace.as_deref(), cli.verb.is_some()), (Some("shop"), true), "{line}");
        }
    }

    #[test]
    fn an_option_that_would_do_nothing_is_an_error() {
        assert!(parsed("kubectl-restart --force status").unwrap_err().contains("--force goes with a restart"));
        assert!(parsed("kubectl-restart deploy/web status").is_err());
    }
}
