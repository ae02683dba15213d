//! `docs/metrics.md`, and the metrics that the chart's alerts and dashboard ask for.

use super::{hold, root};
use restart_controller::controller::metrics::table::{Kind, TABLE, page};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn the_page_of_metrics_is_what_the_table_says() {
    hold("docs/metrics.md", &page());
}

#[test]
fn alerts_and_dashboard_ask_for_no_metric_that_is_not_in_the_table_and_the_dashboard_shows_all() {
    let known: BTreeSet<String> = TABLE.iter().flat_map(|row| series(row.name, row.kind)).collect();
    for file in ["alerts.yaml", "dashboard.json"] {
        let asked = asked(&fs::read_to_string(root().join("charts/restart-controller/files").join(file)).unwrap());
        assert!(asked.is_subset(&known), "{file} asks for {:?}", asked.difference(&known).collect::<Vec<_>>());
        let missing = |name: &str, kind| series(name, kind).iter().all(|series| !asked.contains(series));
        let missing: Vec<&str> = TABLE
            .iter()
            .map(|row| (row.name, row.kind))
            .filter(|&(name, kind)| missing(name, kind))
            .map(|(name, _)| name)
            .collect();
        assert!(file == "alerts.yaml" || missing.is_empty(), "the dashboard does not show {missing:?}");
    }
}

/// As they are scraped.
fn series(name: &str, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Counter | Kind::Gauge | Kind::Info => vec![name.to_owned()],
        Kind::Histogram => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
    }
}

/// Words that begin as our metrics do.
fn asked(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let prefixes = ["restart_controller_", "controller_runtime_", "leader_election_"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}
