//! Completion of the program by shells, and by kubectl itself.
//!
//! **Invariant:** completing asks the cluster for names only, gives up after two seconds, and is silent when it fails.

use super::args::Global;
use super::connect::connect;
use super::exit::Exit;
use super::workloads::names_of;
use crate::api::TargetKind;
use crate::client::Error;
use clap::{Arg, Command};
use std::time::Duration;

/// Nobody waits longer for a completion.
const LIMIT: Duration = Duration::from_secs(2);
/// Cobra's directive: no file names.
const NO_FILES: &str = ":4";

/// For which shell.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The shell; `kubectl` prints the program that kubectl looks for: save it as kubectl_complete-restart in the PATH
    pub shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// bash, for `kubectl-restart`
    Bash,
    /// zsh, for `kubectl-restart`
    Zsh,
    /// fish, for `kubectl-restart`
    Fish,
    /// PowerShell, for `kubectl-restart`
    Powershell,
    /// kubectl's own completion, for `kubectl restart`
    Kubectl,
}

/// What kubectl calls, by KEP-2379.
pub const KUBECTL: &str = include_str!("kubectl_complete-restart");

/// The verb.
#[must_use]
pub fn run(args: &Args, mut command: Command) -> Exit {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Kubectl => {
            print!("{KUBECTL}");
            return Exit::Done;
        }
    };
    command.set_bin_name("kubectl-restart");
    clap_complete::generate(shell, &mut command, "kubectl-restart", &mut std::io::stdout());
    Exit::Done
}

/// The words so far, the last of which is being written.
#[derive(Clone, Debug, clap::Args)]
pub struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Answers kubectl as Cobra would: a candidate and its description a line, then what else the shell may do.
///
/// # Errors
/// None: without a cluster there are no candidates.
pub async fn complete(args: &Words, command: &Command) -> Result<Exit, Error> {
    let (last, before) = args.words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut candidates = from_command(last, before, command);
    if !last.starts_with('-') && candidates.is_empty() || verb(before, command).is_none() {
        let names = tokio::time::timeout(LIMIT, workloads(before)).await;
        candidates.extend(names.unwrap_or_default());
    }
    candidates.retain(|(candidate, _)| candidate.starts_with(last));
    for (candidate, description) in candidates {
        println!("{candidate}\t{description}");
    }
    println!("{NO_FILES}");
    Ok(Exit::Done)
}

fn verb<'a>(before: &[String], command: &'a Command) -> Option<&'a Command> {
    before.iter().find_map(|word| command.find_subcommand(word)).filter(|verb| !verb.is_hide_set())
}

fn first_line(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// Verbs, options, and an option's values.
fn from_command(last: &str, before: &[String], command: &Command) -> Vec<(String, String)> {
    let verb = verb(before, command);
    let options: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| verb.is_none() || arg.is_global_set())
        .chain(verb.into_iter().flat_map(Command::get_arguments))
        .collect();
    if let Some(option) = before.last().and_then(|word| options.iter().find(|arg| spelled(arg, word))) {
        let values = option.get_possible_values();
        return values.iter().map(|value| (value.get_name().to_owned(), first_line(value.get_help()))).collect();
    }
    if last.starts_with('-') {
        let long = |arg: &&Arg| Some((format!("--{}", arg.get_long()?), first_line(arg.get_help())));
        return options.iter().filter_map(long).collect();
    }
    if verb.is_some() {
        return vec![];
    }
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.map(|verb| (verb.get_name().to_owned(), first_line(verb.get_about()))).collect()
}

/// It takes a value, which comes next.
fn spelled(arg: &Arg, word: &str) -> bool {
    let long = arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
    let short = arg.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str()));
    (long || short) && arg.get_action().takes_values() && !arg.is_require_equals_set()
}

async fn workloads(before: &[String]) -> Vec<(String, String)> {
    let Ok(client) = connect(&global(before)).await else { return vec![] };
    let mut found = vec![];
    for kind in TargetKind::ALL {
        let names = names_of(&client, kind, None).await.unwrap_or_default();
        found.extend(names.into_iter().map(|name| (format!("{}/{name}", kind.short()), kind.word().to_owned())));
    }
    found
}

/// How the words so far reach the cluster.
fn global(before: &[String]) -> Global {
    let value = |names: [&str; 2]| {
        before.iter().enumerate().find_map(|(at, word)| {
            let (name, inline) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
            names.contains(&name).then(|| inline.or_else(|| before.get(at + 1).cloned()))?
        })
    };
    Global {
        namespace: value(["-n", "--namespace"]),
        context: value(["--context", "--context"]),
        kubeconfig: value(["--kubeconfig", "--kubeconfig"]).map(Into::into),
        as_user: value(["--as", "--as"]),
        as_group: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn offered(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let (last, before) = words.split_last().unwrap();
        let command = super::super::Cli::command();
        let all = from_command(last, before, &command).into_iter().map(|(candidate, _)| candidate);
        all.filter(|candidate| candidate.starts_with(last)).collect()
    }

    #[test]
    fn verbs_options_and_values_are_offered_where_they_may_stand() {
        assert_eq!(offered(&["st"]), ["status"]);
        assert_eq!(offered(&["status", "--na"]), ["--namespace"]);
        assert!(offered(&["deploy/web", "--rea"]).contains(&"--reason".to_owned()));
        assert_eq!(offered(&["status", "-o", "w"]), ["wide"]);
        assert!(offered(&["status", ""]).is_empty());
        assert!(!offered(&[""]).contains(&"__complete".to_owned()));
    }

    #[test]
    fn the_namespace_is_taken_from_the_words_so_far() {
        let words = ["status", "-n", "shop", "--context=prod"].map(str::to_owned);
        assert_eq!(
            (global(&words).namespace.as_deref(), global(&words).context.as_deref()),
            (Some("shop"), Some("prod"))
        );
    }
}
