//! `kubectl restart status`: where restarts stand.
//!
//! **Invariant:** what is printed is what the objects say; nothing is followed.

use super::args::{Format, Global};
use super::connect::connect;
use super::exit::Exit;
use super::output::{ago, between, colours, name, painted, print_objects, print_table, requests};
use super::pick::Pick;
use crate::api::RestartRequest;
use crate::client::Error;
use crate::client::words::phase;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// Which ones.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Workloads (KIND/NAME: the restart under way, else the newest) or names of requests; none: all of the namespace
    #[arg(value_name = "KIND/NAME|NAME")]
    pub which: Vec<Pick>,
    /// What to print; by default a page about one, a table of several
    #[arg(short, long, value_enum)]
    pub output: Option<Format>,
}

/// The verb.
///
/// # Errors
/// When the cluster cannot be reached or refuses, or there is no such restart.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let mut found = vec![];
    for pick in &args.which {
        found.push(pick.find(&client).await?);
    }
    if args.which.is_empty() {
        found = client.all().await?;
        if found.is_empty() {
            eprintln!("No restarts in namespace {}.", client.namespace());
            if args.output.is_none_or(|format| !format.for_programs()) {
                return Ok(Exit::Done);
            }
        }
    }
    match args.output {
        None if args.which.len() == 1 => print!("{}", page(&found[0], colours(std::io::stdout().is_terminal()))),
        None | Some(Format::Table) => print_table(&requests(&found, false)),
        Some(Format::Wide) => print_table(&requests(&found, true)),
        Some(format) => print_objects(format, &found)?,
    }
    Ok(Exit::Done)
}

/// Everything about one restart.
fn page(request: &RestartRequest, colours: bool) -> String {
    let status = request.status.clone().unwrap_or_default();
    let mut page = String::new();
    let mut row = |what: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(page, "{:<14}{text}", format!("{what}:"));
        }
    };
    row("Name", name(request));
    row("Target", &request.spec.target_ref.to_string());
    row("Phase", &painted(phase(request), colours));
    row("Code", &status.code.map(|code| format!("{} {}", code.number(), code.reason())).unwrap_or_default());
    row("Message", &status.message);
    row("Progress", &status.progress);
    row("In flight", &status.in_flight.map(|count| count.to_string()).unwrap_or_default());
    row("Reason", &request.spec.reason);
    row("Trigger", request.spec.trigger.as_deref().unwrap_or_default());
    row("Requested by", status.requested_by.as_deref().or(request.spec.requested_by.as_deref()).unwrap_or_default());
    let (started, finished) =
        (status.started_at.as_ref().map(|time| time.0), status.finished_at.as_ref().map(|time| time.0));
    row(
        "Started",
        &started
            .map(|time| format!("{} ({} ago)", crate::client::timestamp(time), ago(Some(time))))
            .unwrap_or_default(),
    );
    row("Took", &between(started, finished));
    if finished.is_none() {
        row("Estimated", &status.estimated_seconds.map(super::output::span).unwrap_or_default());
    }
    for entry in status.snapshot.iter().flat_map(|snapshot| &snapshot.config_maps) {
        let note = if entry.restored {
            ", restored"
        } else if entry.promoted {
            ", promoted"
        } else {
            ""
        };
        row("ConfigMap", &format!("{} kept as {}{note}", entry.name, entry.snapshot));
    }
    for pod in &status.pods {
        row("Pod", &format!("{} {:?}", pod.name, pod.state));
    }
    if let Some(left) = status.outcome.as_ref().and_then(|outcome| outcome.not_restored.as_ref()) {
        row("Not restored", left);
    }
    if !status.history.is_empty() {
        page += "History:\n";
    }
    for entry in &status.history {
        let took = between(Some(entry.started_at.0), entry.finished_at.as_ref().map(|time| time.0));
        let _ = writeln!(
            page,
            "  {}  {:>5}  {} {}: {}",
            crate::client::timestamp(entry.started_at.0),
            took,
            entry.phase.word(),
            entry.reason,
            entry.message
        );
    }
    page
}
