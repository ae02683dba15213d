//! The differential oracle: the end of a plan is that of the undisturbed run of its path, apart from what its faults explain.
//!
//! **Invariant:** what a fault explains stands in one table, [`explained`].

use crate::end::{Content, End};
use crate::fault::{Fault, When};
use crate::path::{Path, Story};
use crate::plan::Injection;
use crate::proxy::Kind;
use crate::support::Result;
use crate::support::cluster::path as file;
use restart_controller::api::{ConditionStatus, Phase};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FILE: &str = "tests/faults/undisturbed.json";

/// What the undisturbed run of a path did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undisturbed {
    /// How many writes of each kind it made.
    pub writes: BTreeMap<String, u32>,
    /// How it ended.
    pub end: End,
}

/// The undisturbed runs by path.
pub type Known = BTreeMap<String, Undisturbed>;

/// As they were written down.
pub fn known() -> Result<Known> {
    match std::fs::read_to_string(file(FILE)) {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::default()),
        Err(error) => Err(error.into()),
    }
}

/// Writes them down.
pub fn write(known: &Known) -> Result {
    Ok(std::fs::write(file(FILE), serde_json::to_string_pretty(known)? + "\n")?)
}

/// What differs, in a sentence.
pub fn differs(known: &Undisturbed, found: &End, path: Path, injections: &[Injection]) -> Option<String> {
    let same = *found == known.end || injections.iter().any(|one| explained(*one, path, &known.end, found));
    (!same).then(|| {
        let json = |end: &End| serde_json::to_string(end).unwrap_or_default();
        format!("the end differs from that of the undisturbed run: {} instead of {}", json(found), json(&known.end))
    })
}

/// The table: which other ends a fault explains.
fn explained(injection: Injection, path: Path, undisturbed: &End, found: &End) -> bool {
    match injection.fault {
        // A refusal for good: the run fails by it and is put back. What is refused while it is put back stays as it is, and
        // the request says so.
        Fault::Status(..) if is_refused(injection) => {
            let phase = found.phase == Some(Phase::Failed) || !path.story.keeps_request();
            let is_left = is_refused_map(injection) && found.restored == Some(ConditionStatus::False);
            phase && (is_left || is_put_back(path, undisturbed, found))
        }
        Fault::Status(..)
        | Fault::Kill(_)
        | Fault::Reset(_)
        | Fault::Garbage
        | Fault::Latency(..)
        | Fault::Stop(_)
        | Fault::Window(_) => false,
    }
}

/// The API server refuses it for good.
pub fn is_refused(injection: Injection) -> bool {
    injection.fault == Fault::Status(422, When::Before)
}

/// The API server refuses for good to write a ConfigMap of people, which may be what would have put it back.
pub fn is_refused_map(injection: Injection) -> bool {
    is_refused(injection) && injection.point.kind == Kind::Map
}

fn is_put_back(path: Path, undisturbed: &End, found: &End) -> bool {
    let first = if path.story == Story::BrokenInPlace { Content::Bad } else { Content::Good };
    let content = found.configuration == Some(first) || found.configuration == undisturbed.configuration;
    // A namespace whose deletion was to come after the refusal is still there: its pods are judged by the invariants.
    content && (undisturbed.gone || found.ready == undisturbed.ready)
}
