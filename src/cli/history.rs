//! `kubectl restart history`: the restarts that ended, from what the controller keeps of each workload.
//!
//! **Invariant:** requests that are deleted are in it all the same.

use super::args::{Format, Global};
use super::connect::connect;
use super::exit::Exit;
use super::output::{Table, ago, between, print_table, print_value};
use crate::api::{RestartHistory, RunRecord, TargetRef};
use crate::client::{Error, RestartClient};
use kube::api::ListParams;
use serde_json::json;
use std::cmp::Reverse;

/// Of which workload.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A workload; none: all of the namespace
    #[arg(value_name = "KIND/NAME")]
    pub target: Option<TargetRef>,
    /// At most so many, newest first
    #[arg(long, default_value_t = 10)]
    pub limit: usize,
    /// What to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// The verb.
///
/// # Errors
/// When the cluster cannot be reached or refuses.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let runs = runs(&client, args).await?;
    if args.output.for_programs() {
        return printed(args.output, &runs).map(|()| Exit::Done);
    }
    if runs.is_empty() {
        let of = args.target.as_ref().map(|target| format!(" of {target}")).unwrap_or_default();
        eprintln!("No restart{of} has ended in namespace {}.", client.namespace());
    } else {
        print_table(&table(&runs, args.output == Format::Wide));
    }
    Ok(Exit::Done)
}

async fn runs(client: &RestartClient, args: &Args) -> Result<Vec<(TargetRef, RunRecord)>, Error> {
    let histories: Vec<RestartHistory> = if let Some(target) = &args.target {
        client.history_of(target).await?.into_iter().collect()
    } else {
        let what = format!("list RestartHistories in namespace {}", client.namespace());
        let all = client.histories().list(&ListParams::default()).await;
        all.map_err(|source| Error::Kube { what, source })?.items
    };
    let of = |history: RestartHistory| {
        let target = history.spec.target_ref;
        history.status.map(|status| status.runs).unwrap_or_default().into_iter().map(move |run| (target.clone(), run))
    };
    let mut runs: Vec<_> = histories.into_iter().flat_map(of).collect();
    runs.sort_by_key(|(_, run)| Reverse(run.finished_at.as_ref().map(|time| time.0)));
    runs.truncate(args.limit);
    Ok(runs)
}

fn printed(format: Format, runs: &[(TargetRef, RunRecord)]) -> Result<(), Error> {
    if format == Format::Name {
        for (_, run) in runs {
            println!("restartrequest.restart-controller.dev/{}", run.request);
        }
        return Ok(());
    }
    let entry = |(target, run): &(TargetRef, RunRecord)| json!({"targetRef": target, "run": run});
    print_value(format, &json!({"items": runs.iter().map(entry).collect::<Vec<_>>()}))
}

fn table(runs: &[(TargetRef, RunRecord)], wide: bool) -> Table {
    let mut heading = vec!["TARGET", "RESULT", "CODE", "ENDED", "TOOK", "REQUESTED-BY", "REASON", "REQUEST"];
    if wide {
        heading.extend(["TRIGGER", "RESTORED", "MESSAGE"]);
    }
    let mut table = Table::new(&heading);
    for (target, run) in runs {
        let (started, finished) =
            (run.started_at.as_ref().map(|time| time.0), run.finished_at.as_ref().map(|time| time.0));
        let mut cells = vec![
            target.to_string(),
            run.result.word().to_owned(),
            run.code.map(|code| code.number().to_owned()).unwrap_or_default(),
            Some(ago(finished)).filter(|ago| !ago.is_empty()).map(|ago| format!("{ago} ago")).unwrap_or_default(),
            between(started, finished),
            run.requested_by.clone().unwrap_or_default(),
            run.reason.clone(),
            run.request.clone(),
        ];
        if wide {
            cells.push(run.trigger.clone().unwrap_or_default());
            let restored: Vec<&str> = run.restored.iter().map(|map| map.config_map.as_str()).collect();
            cells.push(restored.join(","));
            cells.push(run.message.clone());
        }
        table.row(cells);
    }
    table
}
