//! `kubectl restart undo`: a restart onto configuration that an earlier run had.
//!
//! **Invariant:** it is a restart like any other, with an earlier copy as the candidate: it fails and is restored like any
//! other, and needs the same rights.

use super::args::{DryRun, Format, Global, Wait};
use super::connect::connect;
use super::diff::copy;
use super::exit::Exit;
use super::follow::Follow;
use super::output::{Table, ago, full_name, name, print_objects, print_table, print_value};
use super::restart::{ask_and_follow, follows};
use crate::api::{ConfigMapRef, Phase, RestartRequest, TargetRef};
use crate::client::{Ask, Error, RestartClient, timestamp};
use crate::controller::contents::digest;
use kube::api::ListParams;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;

/// Of what, to what.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A workload
    #[arg(value_name = "KIND/NAME")]
    pub target: TargetRef,
    /// The earlier restart whose configuration is wanted; by default the last that differs from the present one
    #[arg(long, value_name = "REQUEST")]
    pub to: Option<String>,
    /// Only show what there is to go back to
    #[arg(long)]
    pub list: bool,
    /// Why; by default it says where to
    #[arg(long)]
    pub reason: Option<String>,
    /// Follow it to its end; the default on a terminal and with --wait-timeout
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
}

/// A content that is still kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Earlier {
    run: String,
    config_map: String,
    copy: String,
    sha256: String,
}

/// The verb.
///
/// # Errors
/// When nothing earlier is kept, and when the cluster cannot be reached or refuses.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let runs = runs(&client, &args.target).await?;
    if args.list {
        return list(&client, &runs, args.output).await.map(|()| Exit::Done);
    }
    let wanted = runs.iter().filter(|run| args.to.as_deref().is_none_or(|to| to == name(run)));
    let mut back: BTreeMap<String, Earlier> = BTreeMap::new();
    for earlier in wanted.flat_map(contents) {
        if !back.contains_key(&earlier.config_map) && differs(&client, &earlier).await? {
            back.insert(earlier.config_map.clone(), earlier);
        }
    }
    if back.is_empty() {
        let of = args.to.as_ref().map(|to| format!(" of {to}")).unwrap_or_default();
        return Err(Error::Invalid(format!(
            "{} has no earlier configuration{of} that is kept and differs from the present one; look at: kubectl restart undo {} --list -n {}",
            args.target,
            args.target,
            client.namespace()
        )));
    }
    let listed: Vec<String> =
        back.values().map(|earlier| format!("{} of {}", earlier.config_map, earlier.run)).collect();
    let reason = args.reason.clone().unwrap_or_else(|| format!("undo: back to {}", listed.join(", ")));
    let mut ask = Ask::new(args.target.clone(), reason.chars().take(1024).collect::<String>());
    let promoted =
        back.into_values().map(|earlier| ConfigMapRef { name: earlier.config_map, from: Some(earlier.copy) });
    ask.spec.config.config_maps = Some(promoted.collect());
    ask.dry_run = args.dry_run == DryRun::Server;
    let follows = !ask.dry_run && follows(args.wait, &args.limit, std::io::stderr().is_terminal());
    let follow = Follow { client: &client, global, wait: &args.limit, format: args.output };
    let (exit, request) = ask_and_follow(&follow, follows, &ask).await?;
    if args.output.for_programs() {
        print_objects(args.output, &[request])?;
    }
    Ok(exit)
}

/// The workload's requests that had copies, newest first.
async fn runs(client: &RestartClient, target: &TargetRef) -> Result<Vec<RestartRequest>, Error> {
    let fields = format!("spec.targetRef.kind={},spec.targetRef.name={}", target.kind.word(), target.name);
    let all = client.requests().list(&ListParams::default().fields(&fields)).await;
    let what = format!("list RestartRequests of {target} in namespace {}", client.namespace());
    let mut all = all.map_err(|source| Error::Kube { what, source })?.items;
    all.retain(|request| request.status.as_ref().is_some_and(|status| status.snapshot.is_some()));
    all.sort_by_key(|request| {
        Reverse(request.status.as_ref().and_then(|status| status.started_at.as_ref()).map(|time| time.0))
    });
    Ok(all)
}

/// What pods ran on after it if it completed, and before it in any case.
fn contents(run: &RestartRequest) -> Vec<Earlier> {
    let entries =
        run.status.iter().filter_map(|status| status.snapshot.as_ref()).flat_map(|snapshot| &snapshot.config_maps);
    let earlier = |map: &str, copy: &str, sha256: &str| Earlier {
        run: name(run).to_owned(),
        config_map: map.to_owned(),
        copy: copy.to_owned(),
        sha256: sha256.to_owned(),
    };
    let mut all = vec![];
    for entry in entries {
        let after = run.phase() == Some(Phase::Completed);
        if after {
            all.push(earlier(&entry.name, &entry.candidate, &entry.candidate_sha256));
        }
        if !after || entry.sha256 != entry.candidate_sha256 {
            all.push(earlier(&entry.name, &entry.snapshot, &entry.sha256));
        }
    }
    all
}

/// The copy is kept, and the ConfigMap holds something else.
async fn differs(client: &RestartClient, earlier: &Earlier) -> Result<bool, Error> {
    let Some(live) = copy(client, &earlier.config_map).await? else { return Ok(false) };
    let kept = copy(client, &earlier.copy).await?;
    Ok(digest(&live) != earlier.sha256 && kept.is_some_and(|kept| digest(&kept) == earlier.sha256))
}

async fn list(client: &RestartClient, runs: &[RestartRequest], format: Format) -> Result<(), Error> {
    let mut table = Table::new(&["REQUEST", "RESULT", "STARTED", "CONFIGMAP", "COPY", "DIFFERS"]);
    let mut values = vec![];
    for run in runs {
        let started = run.status.as_ref().and_then(|status| status.started_at.as_ref()).map(|time| time.0);
        let result = run.phase().map(Phase::word).unwrap_or_default().to_owned();
        for earlier in contents(run) {
            let differs = differs(client, &earlier).await?;
            values.push(json!({"request": earlier.run, "result": result, "startedAt": started.map(timestamp),
                "configMap": earlier.config_map, "copy": earlier.copy, "sha256": earlier.sha256, "differs": differs}));
            table.row(vec![
                earlier.run,
                result.clone(),
                format!("{} ago", ago(started)),
                earlier.config_map,
                earlier.copy,
                if differs { "yes" } else { "no, or gone" }.to_owned(),
            ]);
        }
    }
    match format {
        Format::Table | Format::Wide => print_table(&table),
        Format::Name => runs.iter().for_each(|run| println!("{}", full_name(run))),
        Format::Json | Format::Yaml => print_value(format, &json!({"items": values}))?,
    }
    Ok(())
}
