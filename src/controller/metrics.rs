//! What Prometheus can scrape.
//!
//! **Invariant:** no label holds a name that users choose: the number of series does not grow with the cluster.

use super::leader;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::sync::Arc;
use std::time::Duration;

/// Every metric as it is scraped, with what it means.
pub const TABLE: [(&str, &str); 17] = [
    ("controller_runtime_reconcile_total", "Passes, by result: success, error or panic"),
    ("controller_runtime_reconcile_errors_total", "Passes that ended with an error, by its category"),
    ("controller_runtime_reconcile_panics_total", "Passes that panicked: each is a fault of restart-controller"),
    ("controller_runtime_reconcile_time_seconds", "Length of a pass"),
    ("restart_controller_requests_total", "Restarts that ended, by result: Completed, Failed or Cancelled"),
    ("restart_controller_phase_duration_seconds", "Time that restarts spent in a phase"),
    ("restart_controller_active_requests", "Restarts that have not ended"),
    ("restart_controller_evictions_total", "Evictions asked for, by the answer"),
    ("restart_controller_restores_total", "Configurations put back, by result"),
    (
        "restart_controller_hooks_total",
        "Hooks that ended, by when (pre or post) and result: success, failure or timeout",
    ),
    (
        "restart_controller_baseline_total",
        "Looks at what a workload runs well with, by result: recorded, known, unproven, busy, gone, conflict or error",
    ),
    ("restart_controller_drain_wait_seconds", "Time from the cordon of a pod to the end of its last request"),
    ("restart_controller_config_reloads_total", "Changes of the configuration file, by result: success or error"),
    ("restart_controller_undecodable_objects_total", "Times that a RestartRequest was met which cannot be read"),
    ("restart_controller_sidecar_errors_total", "Answers of sidecars that could not be used, by reason"),
    ("leader_election_master_status", "1 while this replica leads, by the name of the Lease; else 0"),
    ("restart_controller_build_info", "Version of restart-controller"),
];

type Labels = [(&'static str, &'static str); 1];
type Counters = Family<Labels, Counter>;
type PairCounters = Family<[(&'static str, &'static str); 2], Counter>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The counters; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Counters,
    errors: Counters,
    panics: Counter,
    time: Histogram,
    requests: Counters,
    phases: Histograms,
    active: Gauge,
    evictions: Counters,
    restores: Counters,
    hooks: PairCounters,
    baselines: Counters,
    drains: Histogram,
    reloads: Counters,
    undecodable: Counter,
    sidecars: Counters,
    leads: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            reconciles: Counters::default(),
            errors: Counters::default(),
            panics: Counter::default(),
            time: fast(),
            requests: Counters::default(),
            phases: Histograms::new_with_constructor(slow),
            active: Gauge::default(),
            evictions: Counters::default(),
            restores: Counters::default(),
            hooks: PairCounters::default(),
            baselines: Counters::default(),
            drains: slow(),
            reloads: Counters::default(),
            undecodable: Counter::default(),
            sidecars: Counters::default(),
            leads: Family::default(),
        };
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }
}

impl Metrics {
    /// A pass ended: `success`, `error` or `panic`.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&[("result", result)]).inc();
        self.time.observe(took.as_secs_f64());
        if result == "panic" {
            self.panics.inc();
        }
    }

    /// A pass ended with an error of this category.
    pub fn failed(&self, category: &'static str) {
        self.errors.get_or_create(&[("category", category)]).inc();
    }

    /// A restart ended: `Completed`, `Failed` or `Cancelled`.
    pub fn request_finished(&self, result: &'static str) {
        self.requests.get_or_create(&[("result", result)]).inc();
    }

    /// A restart left a phase after so long.
    pub fn phase_left(&self, phase: &'static str, after: Duration) {
        self.phases.get_or_create(&[("phase", phase)]).observe(after.as_secs_f64());
    }

    /// How many restarts have not ended.
    pub fn active_requests(&self, count: usize) {
        self.active.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// An eviction was answered: `success`, `budget`, `conflict`, `gone` or `error`.
    pub fn eviction(&self, result: &'static str) {
        self.evictions.get_or_create(&[("result", result)]).inc();
    }

    /// A configuration was put back, or not: `success`, `conflict` or `error`.
    pub fn restore(&self, result: &'static str) {
        self.restores.get_or_create(&[("result", result)]).inc();
    }

    /// A hook ended: `pre` or `post`, and `success`, `failure` or `timeout`.
    pub fn hook(&self, when: &'static str, result: &'static str) {
        self.hooks.get_or_create(&[("when", when), ("result", result)]).inc();
    }

    /// A look at what a workload runs well with ended.
    pub fn baseline(&self, result: &'static str) {
        self.baselines.get_or_create(&[("result", result)]).inc();
    }

    /// A pod's last request ended so long after its cordon.
    pub fn drained(&self, after: Duration) {
        self.drains.observe(after.as_secs_f64());
    }

    /// The configuration file changed and was understood, or not.
    pub fn config_reloaded(&self, understood: bool) {
        self.reloads.get_or_create(&[("result", if understood { "success" } else { "error" })]).inc();
    }

    /// A RestartRequest was met that cannot be read.
    pub fn undecodable(&self) {
        self.undecodable.inc();
    }

    /// A sidecar's answer could not be used.
    pub fn sidecar_error(&self, reason: &'static str) {
        self.sidecars.get_or_create(&[("reason", reason)]).inc();
    }

    /// This replica leads, or does not.
    pub fn leading(&self, leads: bool) {
        self.leads.get_or_create(&[("name", leader::NAME)]).set(i64::from(leads));
    }

    /// Everything, as text for Prometheus (`OpenMetrics` 1.0).
    #[must_use]
    pub fn encoded(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn registered(&self) -> Registry {
        let mut registry = Registry::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        register(&mut registry, "controller_runtime_reconcile_total", self.reconciles.clone());
        register(&mut registry, "controller_runtime_reconcile_errors_total", self.errors.clone());
        register(&mut registry, "controller_runtime_reconcile_panics_total", self.panics.clone());
        register(&mut registry, "controller_runtime_reconcile_time_seconds", self.time.clone());
        register(&mut registry, "restart_controller_requests_total", self.requests.clone());
        register(&mut registry, "restart_controller_phase_duration_seconds", self.phases.clone());
        register(&mut registry, "restart_controller_active_requests", self.active.clone());
        register(&mut registry, "restart_controller_evictions_total", self.evictions.clone());
        register(&mut registry, "restart_controller_restores_total", self.restores.clone());
        register(&mut registry, "restart_controller_hooks_total", self.hooks.clone());
        register(&mut registry, "restart_controller_baseline_total", self.baselines.clone());
        register(&mut registry, "restart_controller_drain_wait_seconds", self.drains.clone());
        register(&mut registry, "restart_controller_config_reloads_total", self.reloads.clone());
        register(&mut registry, "restart_controller_undecodable_objects_total", self.undecodable.clone());
        register(&mut registry, "restart_controller_sidecar_errors_total", self.sidecars.clone());
        register(&mut registry, "leader_election_master_status", self.leads.clone());
        register(&mut registry, "restart_controller_build_info", build);
        registry
    }
}

/// The encoder adds the suffix of counters and infos, and the full stop after the help.
fn register(registry: &mut Registry, scraped: &str, metric: impl Metric) {
    let help = TABLE.iter().find(|(name, _)| *name == scraped).map_or("", |(_, help)| help);
    let name = scraped.strip_suffix("_total").or_else(|| scraped.strip_suffix("_info")).unwrap_or(scraped);
    registry.register(name, help, metric);
}

/// Up to the limit of a pass.
fn fast() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0])
}

/// Up to an hour.
fn slow() -> Histogram {
    Histogram::new([0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> String {
        let metrics = Metrics::default();
        metrics.reconciled("success", Duration::from_millis(20));
        metrics.reconciled("panic", Duration::from_millis(20));
        metrics.failed("conflict");
        metrics.request_finished("Completed");
        metrics.phase_left("Restarting", Duration::from_secs(4));
        metrics.active_requests(3);
        metrics.eviction("success");
        metrics.restore("success");
        metrics.hook("pre", "success");
        metrics.baseline("recorded");
        metrics.drained(Duration::from_secs(2));
        metrics.config_reloaded(true);
        metrics.undecodable();
        metrics.sidecar_error("timeout");
        metrics.leading(true);
        metrics.encoded()
    }

    #[test]
    fn every_metric_of_the_table_is_scraped_with_its_help() {
        let text = counted();
        for (name, help) in TABLE {
            assert!(text.contains(name), "{name} is missing in\n{text}");
            assert!(
                !help.is_empty() && text.contains(&format!("{help}.\n")),
                "the help of {name} is missing in\n{text}"
            );
        }
    }

    #[test]
    fn nothing_is_scraped_that_the_table_does_not_name() {
        let text = counted();
        let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
        for name in names {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(TABLE.iter().any(|(known, _)| *known == family), "{name}");
        }
    }

    #[test]
    fn a_panic_is_counted_twice_over_and_labels_tell_results_apart() {
        let text = counted();
        assert!(text.contains("controller_runtime_reconcile_panics_total 1"), "{text}");
        assert!(text.contains("controller_runtime_reconcile_total{result=\"panic\"} 1"), "{text}");
        assert!(text.contains("restart_controller_active_requests 3"), "{text}");
    }
}
