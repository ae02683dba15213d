//! The controller's rights against what the API server's audit log saw it do in all the scenarios together: nothing that it
//! needed was denied, and nothing on the list stayed without use.
//!
//! **Invariant:** judged after the last scenario, and of the log alone.

use crate::support::cluster::SYSTEM;
use crate::support::{Result, ensure};
use libtest_mimic::{Failed, Trial};
use restart_controller::controller::rights::{Names, Place, RIGHTS, Right};
use serde::Deserialize;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// The trial, where there is a log; `whole` when no scenario was left out.
pub fn trial(whole: bool) -> Option<Trial> {
    let log = PathBuf::from(std::env::var_os("AUDIT_LOG")?);
    let sentence = "the controller was denied nothing, and used every right that it has";
    Some(Trial::test(sentence, move || judge(&log, whole).map_err(|error| Failed::from(error.to_string()))))
}

/// One request, as far as rights are concerned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    verb: String,
    group: String,
    resource: String,
    /// In the controller's own namespace.
    own: bool,
    /// Empty outside of it: no right there is bound to a name.
    name: String,
}

impl fmt::Display for Use {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, name, .. } = self;
        write!(formatter, "{verb} {resource}.{group} {name}")
    }
}

/// A line of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    object_ref: Option<Object>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct Annotations {
    /// `allow` or `forbid`: a refusal by a policy, a quota or a namespace that goes away is none of RBAC's.
    #[serde(default, rename = "authorization.k8s.io/decision")]
    decision: String,
}

fn judge(log: &Path, whole: bool) -> Result {
    let (mut uses, mut denied, mut requests) = (BTreeSet::new(), BTreeSet::new(), 0_u64);
    let mut kinds = HashSet::new();
    for line in BufReader::new(std::fs::File::open(log)?).lines() {
        let line = line?;
        requests += 1;
        // Tens of thousands of lines, of which a few hundred differ in what matters: the others are not parsed.
        if !kinds.insert(kind(&line)) {
            continue;
        }
        // The last one may be under way.
        let Ok(event) = serde_json::from_str::<Event>(&line) else { continue };
        if event.annotations.decision != "allow" {
            denied.insert(format!("{} {}", event.verb, event.uri));
        } else if let Some(object) = event.object_ref {
            uses.insert(used(event.verb, object));
        }
    }
    ensure!(requests > 0, "the audit log is empty");
    ensure!(denied.is_empty(), "denied for lack of a right: {denied:#?}");
    let beyond: Vec<String> = uses.iter().filter(|used| !listed(used)).map(Use::to_string).collect();
    ensure!(beyond.is_empty(), "done without being on the list, by somebody else's grant: {beyond:#?}");
    let idle = idle(&uses);
    ensure!(!whole || idle.is_empty(), "in no scenario used: {idle:#?}; take them off src/controller/rights.rs");
    eprintln!("e2e: {requests} requests of the controller, of {} kinds; without use: {idle:?}", uses.len());
    Ok(())
}

/// The parts of a line that are judged, as they stand there.
fn kind(line: &str) -> String {
    let part = |begin: &str, end: char| {
        let (_, rest) = line.split_once(begin)?;
        rest.split(end).next()
    };
    let parts =
        [part("\"verb\":\"", '"'), part("\"objectRef\":{", '}'), part("authorization.k8s.io/decision\":\"", '"')];
    parts.map(Option::unwrap_or_default).join(" ")
}

fn used(verb: String, object: Object) -> Use {
    let Object { api_group: group, resource, subresource, namespace, name } = object;
    let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
    let policies = group == "admissionregistration.k8s.io";
    let own = namespace == SYSTEM;
    Use { verb, group, resource, own, name: if own || policies { name } else { String::new() } }
}

fn listed(used: &Use) -> bool {
    RIGHTS.iter().any(|right| {
        covers(right, used)
            && right.resources.contains(&used.resource.as_str())
            && right.verbs.contains(&used.verb.as_str())
    })
}

/// Group, place and name are the right's.
fn covers(right: &Right, used: &Use) -> bool {
    let place = right.place != Place::Own || used.own;
    let name = match right.names {
        Names::Any => true,
        Names::One(name) => used.name == name,
        Names::Required => !used.name.is_empty(),
    };
    right.group == used.group && place && name
}

/// What of the list no request needed.
fn idle(uses: &BTreeSet<Use>) -> Vec<String> {
    let needed = |right: &Right, resource: &str, verb: &str| {
        // An apply of what is not there needs both rights and is logged as a patch (tests/it has one without the other).
        let applied = right.place == Place::Own && (resource, verb) == ("configmaps", "create");
        let logged = if applied { "patch" } else { verb };
        uses.iter().any(|used| covers(right, used) && used.resource == resource && used.verb == logged)
    };
    let mut idle = vec![];
    for right in RIGHTS {
        for resource in right.resources {
            let verbs = right.verbs.iter().filter(|verb| !needed(right, resource, verb));
            idle.extend(verbs.map(|verb| format!("{verb} {resource}.{} ({:?})", right.group, right.place)));
        }
    }
    idle
}
