//! `kubectl restart plan`: what would happen, with every check's verdict.
//!
//! **Invariant:** nothing is written; the request is a dry run at the API server.

use super::args::{Format, Global};
use super::connect::connect;
use super::exit::Exit;
use super::output::{colours, print_value, span};
use super::restart::Options;
use super::survey::{Survey, Where, survey};
use super::workloads::{targets, understood};
use crate::api::{SnapshotSource, TargetRef};
use crate::client::Error;
use crate::controller::preview::{Exceptions, Preview};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// Of what.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Workloads; with -l, kinds
    #[arg(value_name = "KIND/NAME")]
    pub targets: Vec<String>,
    /// All workloads with these labels
    #[arg(short = 'l', long)]
    pub selector: Option<String>,
    /// Why it would be asked for
    #[arg(long, default_value = "kubectl restart plan")]
    pub reason: String,
    #[command(flatten)]
    pub options: Options,
    #[command(flatten)]
    pub place: Where,
    /// What to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// The verb; its exit code is 1 if a restart would be refused.
///
/// # Errors
/// When the cluster cannot be reached.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    understood(&args.targets, args.selector.as_deref())?;
    let client = connect(global).await?;
    let mut exit = Exit::Done;
    let mut values = vec![];
    for target in targets(&client, &args.targets, args.selector.as_deref()).await? {
        let ask = args.options.ask(target.clone(), &args.reason)?;
        let survey = survey(&client, &ask, &args.place).await?;
        if !survey.accepted() {
            exit = Exit::Error;
        }
        match args.output {
            Format::Table | Format::Wide => {
                print!("{}", page(&target, &survey, colours(std::io::stdout().is_terminal())));
            }
            Format::Name => println!("{target}"),
            Format::Json | Format::Yaml => values.push(value(&target, &survey)),
        }
    }
    match values.len() {
        0 => {}
        1 => print_value(args.output, &values[0])?,
        _ => print_value(args.output, &json!({"items": values}))?,
    }
    Ok(exit)
}

fn value(target: &TargetRef, survey: &Survey) -> Value {
    let preview = survey.preview.as_ref();
    json!({
        "targetRef": target,
        "accepted": survey.accepted(),
        "checks": survey.lines,
        "waitsFor": preview.and_then(|preview| preview.hold.clone()),
        "resolved": preview.map(|preview| preview.facts.resolved.clone()),
        "pods": preview.map(|preview| pods(preview)),
        "first": preview.map(|preview| preview.exceptions.first.clone()),
        "passedOver": preview.map(|preview| preview.exceptions.passed_over.clone()),
        "configMaps": preview.map(|preview| preview.facts.config.iter().map(|map| &map.entry).collect::<Vec<_>>()),
        "estimatedSeconds": survey.estimate,
    })
}

fn pods(preview: &Preview) -> Vec<&str> {
    preview
        .facts
        .pods
        .iter()
        .filter(|pod| !pod.terminating())
        .map(super::super::controller::facts::PodFacts::name)
        .collect()
}

fn page(target: &TargetRef, survey: &Survey, colours: bool) -> String {
    let word = if survey.accepted() { "would begin" } else { "would be refused" };
    let mut page = format!("A restart of {target} {word}:\n");
    for line in &survey.lines {
        page += &line.text(colours);
        page.push('\n');
    }
    if let Some(preview) = &survey.preview {
        page += &what_follows(preview, survey.estimate);
    }
    page + "Nothing was written.\n"
}

/// What would be done with pods that are not Ready.
pub fn exceptions(preview: &Preview) -> Vec<(&'static str, String)> {
    let said =
        |what, pods: &[String], why: &str| (!pods.is_empty()).then(|| (what, format!("{}: {why}", pods.join(", "))));
    let Exceptions { first, passed_over } = &preview.exceptions;
    let first = said("First", first, "not Ready, so replaced before all others and all at once");
    let passed_over = said("Skipped", passed_over, "cannot be replaced now, and nothing waits for them");
    first.into_iter().chain(passed_over).collect()
}

fn what_follows(preview: &Preview, estimate: Option<i64>) -> String {
    let (facts, mut page) = (&preview.facts, String::new());
    let mut row = |what: &str, text: &str| {
        let _ = writeln!(page, "{:<11}{text}", format!("{what}:"));
    };
    if let Some(hold) = &preview.hold {
        row("Waits for", hold);
    }
    let resolved = &facts.resolved;
    row(
        "Strategy",
        &format!(
            "{:?}, {} at a time, up to {}s for each pod's requests, quiet for {}s",
            resolved.strategy, resolved.max_parallel, resolved.timeout_seconds, resolved.quiet_seconds
        ),
    );
    row("Pods", &pods(preview).join(", "));
    for (what, text) in exceptions(preview) {
        row(what, &text);
    }
    for map in &facts.config {
        let entry = &map.entry;
        let state = match (entry.promoted, entry.source) {
            (true, _) => "is promoted, and goes back to what it holds now if the restart fails".to_owned(),
            (false, SnapshotSource::LastKnownGood) if entry.sha256 == map.digest => "is the last known good".to_owned(),
            (false, SnapshotSource::LastKnownGood) => {
                format!("has changed: goes back to the last known good ({}) if the restart fails", entry.snapshot)
            }
            (false, SnapshotSource::AtRequest) => "is copied; no run has shown yet that it is good".to_owned(),
        };
        row("ConfigMap", &format!("{} {state}", entry.name));
    }
    for budget in &facts.surroundings.budgets {
        let allowed = budget.status.as_ref().map_or(0, |status| status.disruptions_allowed);
        let name = budget.metadata.name.as_deref().unwrap_or_default();
        row("Budget", &format!("PodDisruptionBudget {name} allows {allowed} now"));
    }
    if let Some(seconds) = estimate {
        row("Takes", &format!("about {}, if requests take as long as they may", span(seconds)));
    }
    page
}
