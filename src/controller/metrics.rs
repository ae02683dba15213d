//! What Prometheus can scrape.
//!
//! **Invariant:** no label holds a name that users choose: the number of series does not grow with the cluster.

pub mod table;

use super::leader;
use crate::api::Code;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use table::TABLE;

/// As controller-runtime names a controller: its kind in lower case.
const CONTROLLER: [(&str, &str); 1] = [("controller", "restartrequest")];
const HOOKS: [&str; 3] = ["success", "failure", "timeout"];
const RESULTS: [&str; 4] = ["success", "requeue", "requeue_after", "error"];

type Label = [(&'static str, &'static str); 1];
type Pair = [(&'static str, &'static str); 2];
type Counters = Family<Label, Counter>;
type Pairs = Family<Pair, Counter>;
type Gauges = Family<Label, Gauge>;
type Histograms = Family<Label, Histogram, fn() -> Histogram>;

/// The counters; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Pairs,
    reconcile_errors: Counters,
    panics: Counters,
    time: Histograms,
    workers: Gauges,
    most_workers: Gauges,
    errors: Counters,
    requests: Pairs,
    phases: Histograms,
    active: Gauge,
    evictions: Counters,
    restores: Counters,
    hooks: Pairs,
    baselines: Counters,
    drains: Histogram,
    in_flight: Gauge,
    /// By run: what `in_flight` is the sum of.
    draining: Arc<Mutex<HashMap<String, i64>>>,
    reloads: Counters,
    config_valid: Gauge,
    undecodable: Counter,
    sidecars: Counters,
    leads: Gauges,
    events_waiting: Gauge,
    events_lost: Counters,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            reconciles: Pairs::default(),
            reconcile_errors: Counters::default(),
            panics: Counters::default(),
            time: Histograms::new_with_constructor(fast),
            workers: Gauges::default(),
            most_workers: Gauges::default(),
            errors: Counters::default(),
            requests: Pairs::default(),
            phases: Histograms::new_with_constructor(slow),
            active: Gauge::default(),
            evictions: Counters::default(),
            restores: Counters::default(),
            hooks: Pairs::default(),
            baselines: Counters::default(),
            drains: slow(),
            in_flight: Gauge::default(),
            draining: Arc::default(),
            reloads: Counters::default(),
            config_valid: Gauge::default(),
            undecodable: Counter::default(),
            sidecars: Counters::default(),
            leads: Gauges::default(),
            events_waiting: Gauge::default(),
            events_lost: Counters::default(),
        };
        metrics.registry = Arc::new(metrics.registered());
        metrics.begin();
        metrics
    }
}

/// A pass under way; over when it is dropped.
#[derive(Debug)]
pub struct Working(Gauge);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// As controller-runtime does: what has not happened yet is 0 and not absent. A counter that appeared with its first
    /// event would have no `increase()` by it.
    fn begin(&self) {
        for result in RESULTS {
            drop(self.reconciles.get_or_create(&[CONTROLLER[0], ("result", result)]));
        }
        drop(self.reconcile_errors.get_or_create(&CONTROLLER));
        drop(self.panics.get_or_create(&CONTROLLER));
        drop(self.workers.get_or_create(&CONTROLLER));
        self.config_valid.set(1);
        self.begin_restarts();
    }

    fn begin_restarts(&self) {
        let failed = Code::ALL.iter().map(|code| ("Failed", code.number()));
        for (result, code) in failed.chain([("Completed", ""), ("Cancelled", "")]) {
            drop(self.requests.get_or_create(&[("result", result), ("code", code)]));
        }
        for result in ["success", "budget", "conflict", "gone", "error"] {
            drop(self.evictions.get_or_create(&[("result", result)]));
        }
        for reason in ["full", "namespace_full", "refused", "timeout"] {
            drop(self.events_lost.get_or_create(&[("reason", reason)]));
        }
        for result in ["success", "conflict", "error"] {
            drop(self.restores.get_or_create(&[("result", result)]));
        }
        for (when, result) in ["pre", "post"].into_iter().flat_map(|when| HOOKS.map(|result| (when, result))) {
            drop(self.hooks.get_or_create(&[("when", when), ("result", result)]));
        }
    }

    /// At most so many passes take place at any time.
    pub fn most_workers(&self, count: usize) {
        self.most_workers.get_or_create(&CONTROLLER).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A pass begins.
    #[must_use]
    pub fn working(&self) -> Working {
        let gauge = self.workers.get_or_create_owned(&CONTROLLER);
        gauge.inc();
        Working(gauge)
    }

    /// A pass ended: `success`, `requeue`, `requeue_after` or `error`.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&[CONTROLLER[0], ("result", result)]).inc();
        self.time.get_or_create(&CONTROLLER).observe(took.as_secs_f64());
        if result == "error" {
            self.reconcile_errors.get_or_create(&CONTROLLER).inc();
        }
    }

    /// A pass panicked, which is an error as well.
    pub fn panicked(&self) {
        self.panics.get_or_create(&CONTROLLER).inc();
    }

    /// A pass ended with an error of this category.
    pub fn failed(&self, category: &'static str) {
        self.errors.get_or_create(&[("category", category)]).inc();
    }

    /// A restart ended: `Completed`, `Failed` or `Cancelled`, with a code or the empty word.
    pub fn request_finished(&self, result: &'static str, code: &'static str) {
        self.requests.get_or_create(&[("result", result), ("code", code)]).inc();
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

    /// The requests in flight in the pods that the run of this UID drains; None: it drains none, or they are not known.
    pub fn in_flight(&self, run: &str, count: Option<i64>) {
        let mut draining = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        match count {
            Some(count) => draining.insert(run.to_owned(), count),
            None => draining.remove(run),
        };
        self.in_flight.set(draining.values().sum());
    }

    /// The configuration file changed and was understood, or not.
    pub fn config_reloaded(&self, understood: bool) {
        self.reloads.get_or_create(&[("result", if understood { "success" } else { "error" })]).inc();
        self.config_valid.set(i64::from(understood));
    }

    /// A RestartRequest was met that cannot be read.
    pub fn undecodable(&self) {
        self.undecodable.inc();
    }

    /// A sidecar's answer could not be used.
    pub fn sidecar_error(&self, reason: &'static str) {
        self.sidecars.get_or_create(&[("reason", reason)]).inc();
    }

    /// So many Events wait to be published.
    pub fn events_waiting(&self, count: usize) {
        self.events_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// An Event was not published: `full`, `namespace_full`, `refused` or `timeout`.
    pub fn event_lost(&self, reason: &'static str) {
        self.events_lost.get_or_create(&[("reason", reason)]).inc();
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
        register(&mut registry, "controller_runtime_reconcile_total", self.reconciles.clone());
        register(&mut registry, "controller_runtime_reconcile_errors_total", self.reconcile_errors.clone());
        register(&mut registry, "controller_runtime_reconcile_panics_total", self.panics.clone());
        register(&mut registry, "controller_runtime_reconcile_time_seconds", self.time.clone());
        register(&mut registry, "controller_runtime_active_workers", self.workers.clone());
        register(&mut registry, "controller_runtime_max_concurrent_reconciles", self.most_workers.clone());
        register(&mut registry, "leader_election_master_status", self.leads.clone());
        register(&mut registry, "restart_controller_requests_total", self.requests.clone());
        register(&mut registry, "restart_controller_active_requests", self.active.clone());
        register(&mut registry, "restart_controller_phase_duration_seconds", self.phases.clone());
        register(&mut registry, "restart_controller_drain_wait_seconds", self.drains.clone());
        register(&mut registry, "restart_controller_in_flight_requests", self.in_flight.clone());
        register(&mut registry, "restart_controller_evictions_total", self.evictions.clone());
        register(&mut registry, "restart_controller_restores_total", self.restores.clone());
        register(&mut registry, "restart_controller_hooks_total", self.hooks.clone());
        register(&mut registry, "restart_controller_baseline_total", self.baselines.clone());
        register(&mut registry, "restart_controller_pass_errors_total", self.errors.clone());
        register(&mut registry, "restart_controller_sidecar_errors_total", self.sidecars.clone());
        register(&mut registry, "restart_controller_undecodable_objects_total", self.undecodable.clone());
        register(&mut registry, "restart_controller_events_waiting", self.events_waiting.clone());
        register(&mut registry, "restart_controller_events_lost_total", self.events_lost.clone());
        register(&mut registry, "restart_controller_config_reloads_total", self.reloads.clone());
        register(&mut registry, "restart_controller_config_valid", self.config_valid.clone());
        register(&mut registry, "restart_controller_build_info", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry
    }
}

/// The encoder adds the suffix of counters and infos, and the full stop after the help.
fn register(registry: &mut Registry, scraped: &str, metric: impl Metric) {
    let help = TABLE.iter().find(|row| row.name == scraped).map_or("", |row| row.help);
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
mod tests;
