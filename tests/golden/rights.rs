//! The chart's rules and the table in `docs/security.md`, from the list of the controller's rights.

use super::{hold, root, updating};
use std::fmt::Write as _;
use std::fs;
use std::sync::Once;

// Constants only: included as a file, so that the chart can be written out while the controller does not compile.
#[path = "../../src/controller/rights.rs"]
#[allow(dead_code, missing_docs, reason = "the library uses the rest")]
mod list;

use list::{Names, Place, RIGHTS, Right};

const CHART: &str = "charts/restart-controller/templates/_rights.tpl";
const HEAD: &str = "{{- /* Generated from src/controller/rights.rs by `make golden`; do not edit. */}}\n";
const PAGE: &str = "docs/security.md";
const BEGIN: &str = "<!-- rights of the controller: `make golden` writes this table -->\n";
const END: &str = "<!-- end of rights of the controller -->";
const WIDTH: usize = 120;

#[test]
fn the_charts_rules_are_the_list_in_the_code() {
    written();
}

#[test]
fn the_page_on_security_shows_the_list_in_the_code() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    hold(PAGE, &format!("{before}{BEGIN}{}{END}{after}", table()));
}

/// No right to write what the page says is never written, nor to become somebody else.
#[test]
fn nothing_on_the_list_writes_a_workload_or_reads_foreign_secrets() {
    let reads = ["get", "list", "watch"];
    for right in RIGHTS {
        let writes = right.verbs.iter().any(|verb| !reads.contains(verb));
        assert!(!(right.group == "apps" && writes), "{right:?}");
        assert!(right.resources != ["secrets"] || right.place == Place::Own, "{right:?}");
        assert!(!right.verbs.iter().any(|verb| ["*", "impersonate", "escalate", "bind"].contains(verb)), "{right:?}");
        for resource in right.resources {
            assert!(!["pods/exec", "pods/attach", "serviceaccounts/token", "*"].contains(resource), "{right:?}");
        }
    }
}

/// The chart's file, before anybody renders the chart.
pub fn written() {
    static ONCE: Once = Once::new();
    if updating() {
        ONCE.call_once(|| hold(CHART, &template()));
    } else {
        hold(CHART, &template());
    }
}

fn template() -> String {
    let of = |places: &[Place]| {
        let rights = RIGHTS.iter().filter(|right| places.contains(&right.place));
        rights.fold("rules:\n".to_owned(), |text, right| text + &rule(right))
    };
    let mut text = HEAD.to_owned();
    for (name, places) in [
        ("rights", &[Place::Workloads, Place::Cluster][..]),
        ("rights-own", &[Place::Own]),
        ("rights-policies", &[Place::Policies]),
    ] {
        let _ = write!(text, "{{{{- define \"restart-controller.{name}\" -}}}}\n{}{{{{- end }}}}\n", of(places));
    }
    text
}

fn rule(right: &Right) -> String {
    let list = |words: &[&str]| words.join(", ");
    let group = if right.group.is_empty() { "\"\"" } else { right.group };
    let mut text = comment(right.why);
    let _ = writeln!(text, "  - apiGroups: [{group}]");
    let _ = writeln!(text, "    resources: [{}]", list(right.resources));
    text += &names(right.names);
    let _ = writeln!(text, "    verbs: [{}]", list(right.verbs));
    if right.place == Place::Cluster {
        return format!("  {{{{- if not .Values.watchNamespaces }}}}\n{text}  {{{{- end }}}}\n");
    }
    text
}

fn names(names: Names) -> String {
    match names {
        Names::Any => String::new(),
        Names::One(name) => format!("    resourceNames: [{name}]\n"),
        Names::Required => "    resourceNames:\n      {{- range include \"restart-controller.policies\" . | splitList \",\" }}\n      - {{ splitList \"/\" . | last }}\n      {{- end }}\n".to_owned(),
    }
}

/// Wrapped.
fn comment(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), "  #".to_owned());
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            lines += &line;
            lines += "\n";
            "  #".clone_into(&mut line);
        }
        line += " ";
        line += word;
    }
    format!("{lines}{line}\n")
}

fn table() -> String {
    let mut table = "| where | what | verbs | what for |\n|---|---|---|---|\n".to_owned();
    for right in RIGHTS {
        let place = match right.place {
            Place::Workloads => "where it restarts",
            Place::Cluster => "the cluster",
            Place::Own => "its own namespace",
            Place::Policies => "the cluster, with `admission.require`",
        };
        let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
        let resources: Vec<String> =
            right.resources.iter().map(|resource| format!("`{}`", in_group(resource, &group))).collect();
        let named = match right.names {
            Names::Any => String::new(),
            Names::One(name) => format!(" named `{name}`"),
            Names::Required => " of the chart, by name".to_owned(),
        };
        let _ = writeln!(
            table,
            "| {place} | {}{named} | {} | {} |",
            resources.join(", "),
            right.verbs.join(", "),
            right.why
        );
    }
    table
}

/// `restartrequests.restart-controller.dev/status`.
fn in_group(resource: &str, group: &str) -> String {
    match resource.split_once('/') {
        Some((resource, sub)) => format!("{resource}{group}/{sub}"),
        None => format!("{resource}{group}"),
    }
}
