//! `kubectl restart diff`: the configuration now, the last that is known to run well, and the candidate.
//!
//! **Invariant:** ConfigMaps only, as the caller may read them; Secrets are never looked at.

use super::args::Global;
use super::connect::connect;
use super::exit::Exit;
use super::output::{colours, paint};
use super::restart::{Options, promotion};
use super::survey::seen;
use crate::api::{ConfigMapRef, TargetRef};
use crate::client::{Error, RestartClient};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use similar::TextDiff;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;

/// Of what.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A workload
    #[arg(value_name = "KIND/NAME")]
    pub target: TargetRef,
    /// Also what ConfigMap CANDIDATE would change in ConfigMap LIVE
    #[arg(long, value_name = "LIVE=CANDIDATE", value_parser = promotion)]
    pub promote: Vec<ConfigMapRef>,
}

/// The verb; differences are no error.
///
/// # Errors
/// When the cluster cannot be reached or refuses.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let options = Options { promote: args.promote.clone(), ..Options::default() };
    let ask = options.ask(args.target.clone(), "kubectl restart diff")?;
    let preview = seen(&client, &ask.spec).await?;
    if preview.facts.workload.is_none() {
        return Err(Error::NoTarget { target: args.target.clone(), namespace: client.namespace().to_owned() });
    }
    if let Some(missing) = preview.facts.missing_config_maps.first() {
        return Err(Error::Invalid(format!("ConfigMap {}/{missing} does not exist", client.namespace())));
    }
    let history = client.history_of(&args.target).await?;
    let good = history.and_then(|history| history.status).map(|status| status.last_known_good).unwrap_or_default();
    let colours = colours(std::io::stdout().is_terminal());
    for map in &preview.facts.config {
        let name = &map.entry.name;
        let Some(live) = copy(&client, name).await? else { continue };
        match good.iter().find(|good| good.config_map == *name) {
            None => println!("{name}: no run has shown yet what it runs well with"),
            Some(good) => match copy(&client, &good.snapshot).await? {
                Some(copy) => say(name, "last known good", "now", &changes(&copy, &live), colours),
                None => println!("{name}: its last known good ({}) is gone", good.snapshot),
            },
        }
        if let Some(candidate) = &map.from
            && let Some(from) = copy(&client, &candidate.name).await?
        {
            say(name, "now", &format!("candidate {}", candidate.name), &changes(&live, &from), colours);
        }
    }
    if preview.facts.config.is_empty() {
        println!("{} refers to no ConfigMap.", args.target);
    }
    Ok(Exit::Done)
}

/// A ConfigMap, if it exists.
pub async fn copy(client: &RestartClient, name: &str) -> Result<Option<ConfigMap>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.kube().clone(), client.namespace());
    let what = format!("read ConfigMap {}/{name}", client.namespace());
    api.get_opt(name).await.map_err(|source| Error::Kube { what, source })
}

fn say(name: &str, from: &str, to: &str, changes: &[(String, String)], colours: bool) {
    if changes.is_empty() {
        println!("{name}: {from} and {to} are the same");
    }
    for (key, change) in changes {
        println!("--- {name}/{key} ({from})\n+++ {name}/{key} ({to})");
        for line in change.lines() {
            let colour = match line.chars().next() {
                Some('+') => Some("32"),
                Some('-') => Some("31"),
                Some('@') => Some("36"),
                _ => None,
            };
            println!("{}", colour.map_or_else(|| line.to_owned(), |colour| paint(line, colour, colours)));
        }
    }
}

/// What differs, by key; of binary data only that it does.
fn changes(from: &ConfigMap, to: &ConfigMap) -> Vec<(String, String)> {
    let (old, new) = (from.data.clone().unwrap_or_default(), to.data.clone().unwrap_or_default());
    let (old_bytes, new_bytes) =
        (from.binary_data.clone().unwrap_or_default(), to.binary_data.clone().unwrap_or_default());
    let mut all = vec![];
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.get(key).map_or("", String::as_str), new.get(key).map_or("", String::as_str));
        if before != after {
            all.push((key.clone(), TextDiff::from_lines(before, after).unified_diff().to_string()));
        }
    }
    for key in old_bytes.keys().chain(new_bytes.keys()).collect::<BTreeSet<_>>() {
        if old_bytes.get(key) != new_bytes.get(key) {
            all.push((key.clone(), "binary data differ".to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_keys_that_differ_are_shown() {
        let map = |data: serde_json::Value| -> ConfigMap { serde_json::from_value(json!({"data": data})).unwrap() };
        let found =
            changes(&map(json!({"a": "1\n2\n", "b": "same"})), &map(json!({"a": "1\n3\n", "b": "same", "c": "new\n"})));
        assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert!(found[0].1.contains("-2\n+3\n"), "{}", found[0].1);
    }
}
