//! The transitions that the search has seen, as a list and as a diagram.
//!
//! **Invariant:** what is printed depends on the set of transitions alone.

use crate::search::Transition;
use restart_controller::api::{Phase, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// One line each: from, to, why.
pub fn list(seen: &BTreeSet<Transition>) -> String {
    let mut text = String::new();
    for (from, to, reason) in seen {
        let _ = writeln!(text, "{} -> {}: {reason}", place(*from), place(Some(*to)));
    }
    text
}

fn place(at: Option<(Phase, Step)>) -> String {
    at.map_or("(new)".into(), |(phase, step)| format!("{phase:?}/{step:?}"))
}

/// A page for the docs: states are steps, grouped by phase.
pub fn diagram(seen: &BTreeSet<Transition>) -> String {
    let mut text = String::from(HEAD);
    text.push_str("```mermaid\nstateDiagram-v2\n");
    let mut phases: BTreeMap<Phase, BTreeSet<Step>> = BTreeMap::new();
    for (from, to, _) in seen {
        for (phase, step) in from.iter().chain([to]) {
            phases.entry(*phase).or_default().insert(*step);
        }
    }
    for (phase, steps) in &phases {
        let _ = writeln!(text, "    state {phase:?} {{");
        for step in steps {
            let _ = writeln!(text, "        {phase:?}_{step:?}: {step:?}");
        }
        text.push_str("    }\n");
    }
    for ((from, to), reasons) in edges(seen) {
        let from = from.map_or("[*]".into(), node);
        let _ = writeln!(text, "    {from} --> {}: {}", node(to), label(&reasons));
    }
    for phase in phases.keys().filter(|phase| phase.is_terminal()) {
        let _ = writeln!(text, "    {} --> [*]", node((*phase, Step::Finished)));
    }
    text.push_str("```\n\n");
    table(&mut text, seen);
    text
}

const HEAD: &str = "# The states of a restart\n\n\
    Written by `tests/model` from every transition that the exhaustive search sees (`UPDATE=1` rewrites it).\n\
    A box is a phase, a state in it a step; the words on an arrow are the reasons in `status.history`.\n\n";

type Edge = (Option<(Phase, Step)>, (Phase, Step));

fn edges(seen: &BTreeSet<Transition>) -> BTreeMap<Edge, Vec<&'static str>> {
    let mut edges: BTreeMap<Edge, Vec<&'static str>> = BTreeMap::new();
    for (from, to, reason) in seen.iter().filter(|(from, to, _)| *from != Some(*to)) {
        edges.entry((*from, *to)).or_default().push(reason);
    }
    edges
}

fn node((phase, step): (Phase, Step)) -> String {
    format!("{phase:?}_{step:?}")
}

fn label(reasons: &[&str]) -> String {
    match reasons {
        [one] => (*one).to_owned(),
        [one, two] => format!("{one}, {two}"),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        [] => String::new(),
    }
}

fn table(text: &mut String, seen: &BTreeSet<Transition>) {
    text.push_str("| from | to | reasons |\n|---|---|---|\n");
    let mut rows: BTreeMap<Edge, Vec<&'static str>> = BTreeMap::new();
    for (from, to, reason) in seen {
        rows.entry((*from, *to)).or_default().push(reason);
    }
    for ((from, to), reasons) in rows {
        let _ = writeln!(text, "| {} | {} | {} |", place(from), place(Some(to)), reasons.join(", "));
    }
}

/// Compares, or rewrites with `UPDATE=1`.
pub fn golden(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("the directory can be made");
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let missing: Vec<&str> = known.lines().filter(|line| !text.lines().any(|seen| seen == *line)).collect();
    let fresh: Vec<&str> = text.lines().filter(|line| !known.lines().any(|seen| seen == *line)).collect();
    assert!(known == text, "{} differs; not seen: {missing:#?}; new: {fresh:#?}", path.display());
}
