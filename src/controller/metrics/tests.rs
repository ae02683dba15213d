//! What is scraped is what the table says, name by name and label by label.

use super::*;
use table::Kind;

fn counted() -> String {
    let metrics = Metrics::default();
    metrics.most_workers(64);
    metrics.reconciled("success", Duration::from_millis(20));
    metrics.reconciled("error", Duration::from_millis(20));
    metrics.panicked();
    metrics.failed("conflict");
    metrics.request_finished("Completed", "");
    metrics.phase_left("Restarting", Duration::from_secs(4));
    metrics.active_requests(3);
    metrics.eviction("success");
    metrics.restore("success");
    metrics.hook("pre", "success");
    metrics.baseline("recorded");
    metrics.drained(Duration::from_secs(2));
    metrics.in_flight("a", Some(3));
    metrics.config_reloaded(true);
    metrics.undecodable();
    metrics.sidecar_error("timeout");
    metrics.leading(true);
    metrics.encoded()
}

/// Name and labels of each line.
fn samples(text: &str) -> Vec<(String, Vec<String>)> {
    let line = |line: &str| {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
        let names = labels.split(',').filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
        (name.to_owned(), names.filter(|name| name != "le").collect())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

#[test]
fn every_metric_of_the_table_is_scraped_with_its_kind_and_help() {
    let text = counted();
    for row in TABLE {
        let family = row.name.trim_end_matches("_total").trim_end_matches("_info");
        let kind = format!("# TYPE {family} {}\n", format!("{:?}", row.kind).to_lowercase());
        assert!(text.contains(&kind), "{kind} is missing in\n{text}");
        let help = format!("# HELP {family} {}.\n", row.help);
        assert!(!row.help.is_empty() && text.contains(&help), "{help} is missing in\n{text}");
    }
}

#[test]
fn nothing_is_scraped_that_the_table_does_not_name_with_these_labels() {
    for (name, labels) in samples(&counted()) {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        let row = TABLE.iter().find(|row| row.name == family).unwrap_or_else(|| panic!("{name}"));
        let known: Vec<&str> = row.labels.iter().map(|(label, _)| *label).collect();
        assert_eq!(labels, known, "{name}");
    }
}

#[test]
fn names_keep_the_conventions_of_prometheus() {
    for row in TABLE {
        let (name, counts) = (row.name, row.name.ends_with("_total"));
        assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{name}");
        assert_eq!(counts, row.kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_seconds"), row.kind == Kind::Histogram, "{name}");
        assert_eq!(name.ends_with("_info"), row.kind == Kind::Info, "{name}");
    }
}

#[test]
fn what_has_not_happened_yet_is_nought_and_not_absent() {
    let text = Metrics::default().encoded();
    for result in RESULTS {
        let line =
            format!("controller_runtime_reconcile_total{{controller=\"restartrequest\",result=\"{result}\"}} 0\n");
        assert!(text.contains(&line), "{text}");
    }
    assert!(text.contains("controller_runtime_reconcile_panics_total{controller=\"restartrequest\"} 0\n"), "{text}");
    assert!(text.contains("restart_controller_config_valid 1\n"), "{text}");
}

#[test]
fn a_pass_counts_as_under_way_until_it_is_dropped() {
    let metrics = Metrics::default();
    let line = |count| format!("controller_runtime_active_workers{{controller=\"restartrequest\"}} {count}\n");
    let (one, other) = (metrics.working(), metrics.working());
    assert!(metrics.encoded().contains(&line(2)));
    drop((one, other));
    assert!(metrics.encoded().contains(&line(0)));
}

#[test]
fn requests_in_flight_are_the_sum_over_the_runs_and_go_with_them() {
    let metrics = Metrics::default();
    metrics.in_flight("a", Some(3));
    metrics.in_flight("b", Some(4));
    metrics.in_flight("a", Some(2));
    assert!(metrics.encoded().contains("restart_controller_in_flight_requests 6\n"));
    metrics.in_flight("b", None);
    metrics.in_flight("never", None);
    assert!(metrics.encoded().contains("restart_controller_in_flight_requests 2\n"));
}

#[test]
fn the_first_failure_is_seen_as_an_increase() {
    let text = Metrics::default().encoded();
    for line in [
        "restart_controller_requests_total{result=\"Failed\",code=\"RESTART_006\"} 0",
        "restart_controller_requests_total{result=\"Completed\",code=\"\"} 0",
        "restart_controller_restores_total{result=\"conflict\"} 0",
        "restart_controller_hooks_total{when=\"post\",result=\"timeout\"} 0",
        "restart_controller_evictions_total{result=\"budget\"} 0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}
