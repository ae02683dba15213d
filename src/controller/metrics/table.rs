//! The table of metrics: what `/metrics` registers by and `docs/metrics.md` is written from.
//!
//! **Invariant:** names are public API: what is here may be in somebody's alert.

use std::fmt::Write as _;

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, in seconds.
    Histogram,
    /// Always 1; its labels are the news.
    Info,
}

/// One metric, as it is scraped.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels, each with the values that it can have.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it means; no full stop.
    pub help: &'static str,
}

const fn row(
    name: &'static str,
    kind: Kind,
    labels: &'static [(&'static str, &'static str)],
    help: &'static str,
) -> Row {
    Row { name, kind, labels, help }
}

const CONTROLLER: (&str, &str) = ("controller", "`restartrequest`");

/// Every metric.
pub const TABLE: &[Row] = &[
    row(
        "controller_runtime_reconcile_total",
        Kind::Counter,
        &[
            CONTROLLER,
            ("result", "`success`: nothing left to do; `requeue`, `requeue_after`: more at once, or later; `error`"),
        ],
        "Passes by result",
    ),
    row("controller_runtime_reconcile_errors_total", Kind::Counter, &[CONTROLLER], "Passes that ended with an error"),
    row(
        "controller_runtime_reconcile_panics_total",
        Kind::Counter,
        &[CONTROLLER],
        "Passes that panicked: each is a fault of restart-controller",
    ),
    row("controller_runtime_reconcile_time_seconds", Kind::Histogram, &[CONTROLLER], "Length of a pass"),
    row("controller_runtime_active_workers", Kind::Gauge, &[CONTROLLER], "Passes under way"),
    row("controller_runtime_max_concurrent_reconciles", Kind::Gauge, &[CONTROLLER], "Most passes at any time"),
    row(
        "leader_election_master_status",
        Kind::Gauge,
        &[("name", "the Lease, `restart-controller`")],
        "1 while this replica leads, 0 while it stands by",
    ),
    row(
        "restart_controller_requests_total",
        Kind::Counter,
        &[
            ("result", "`Completed`, `Failed`, `Cancelled`"),
            ("code", "`RESTART_001` and so on; empty when all went well"),
        ],
        "Restarts that ended",
    ),
    row("restart_controller_active_requests", Kind::Gauge, &[], "Restarts that have not ended"),
    row(
        "restart_controller_phase_duration_seconds",
        Kind::Histogram,
        &[("phase", "`Pending`, `Preparing`, `Restarting`, `WaitingRequests`, `Recovering`")],
        "Time from entering a phase to leaving it",
    ),
    row(
        "restart_controller_drain_wait_seconds",
        Kind::Histogram,
        &[],
        "Time from the cordon of a pod to the end of its last request and of the quiet window",
    ),
    row("restart_controller_in_flight_requests", Kind::Gauge, &[], "Requests in flight in pods that are being drained"),
    row(
        "restart_controller_evictions_total",
        Kind::Counter,
        &[(
            "result",
            "`success`; `budget`: refused by a PodDisruptionBudget; `conflict`: the pod has changed; `gone`; `error`",
        )],
        "Evictions asked for, by the answer",
    ),
    row(
        "restart_controller_restores_total",
        Kind::Counter,
        &[("result", "`success`; `conflict`: somebody else has changed it; `error`")],
        "ConfigMaps put back",
    ),
    row(
        "restart_controller_hooks_total",
        Kind::Counter,
        &[("when", "`pre`, `post`"), ("result", "`success`, `failure`, `timeout`")],
        "Hooks that ended",
    ),
    row(
        "restart_controller_baseline_total",
        Kind::Counter,
        &[("result", "`recorded`, `known`, `unproven`, `busy`, `gone`, `conflict`, `error`")],
        "Looks at what a workload runs well with",
    ),
    row(
        "restart_controller_pass_errors_total",
        Kind::Counter,
        &[(
            "category",
            "`timeout`, `sidecar`, `not_leading`, `startup`, `internal`, `not_found`, `conflict`, `throttled`, `refused`, `server_error`, `unsendable`, `garbled`, `unreachable`",
        )],
        "Passes that ended with an error, by what went wrong",
    ),
    row(
        "restart_controller_sidecar_errors_total",
        Kind::Counter,
        &[(
            "reason",
            "`address`, `unreachable`, `not_leading`, `timeout`, `malformed`, `version`, `mode`, `wrong_pod`, `refused`, `no_place`",
        )],
        "Answers of sidecars that could not be used",
    ),
    row(
        "restart_controller_undecodable_objects_total",
        Kind::Counter,
        &[],
        "Times that a RestartRequest was met which cannot be read",
    ),
    row("restart_controller_events_waiting", Kind::Gauge, &[], "Kubernetes Events that wait to be published"),
    row(
        "restart_controller_events_lost_total",
        Kind::Counter,
        &[(
            "reason",
            "`full`: 512 others wait; `namespace_full`: 128 others of its namespace wait; `refused`; `timeout`",
        )],
        "Kubernetes Events that were not published",
    ),
    row(
        "restart_controller_config_reloads_total",
        Kind::Counter,
        &[("result", "`success`, `error`")],
        "Changes of the configuration file, by whether they were understood",
    ),
    row(
        "restart_controller_config_valid",
        Kind::Gauge,
        &[],
        "1 while the configuration file is understood, 0 while older settings hold instead",
    ),
    row(
        "restart_controller_build_info",
        Kind::Info,
        &[("version", "as in `--version`")],
        "Version of restart-controller",
    ),
];

const HEAD: &str = "\
# Metrics

Generated from src/controller/metrics/table.rs by `make golden`; do not edit.

Each replica serves them at `/metrics` on its port `admin` (8080), as OpenMetrics text. No label holds a name that users
choose. Those of `controller_runtime_*` and `leader_election_*` are named and labelled as controller-runtime does it, so
dashboards for it work. A replica that stands by counts no passes: sum over the replicas.

| metric | kind | labels | meaning |
|---|---|---|---|
";

/// `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for Row { name, kind, labels, help } in TABLE {
        let labels: Vec<String> = labels.iter().map(|(label, values)| format!("`{label}`: {values}")).collect();
        // Writing into a String does not fail.
        let _ =
            writeln!(page, "| `{name}` | {} | {} | {help} |", format!("{kind:?}").to_lowercase(), labels.join("<br>"));
    }
    page
}
