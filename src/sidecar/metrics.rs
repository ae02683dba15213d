//! The metrics page, in the text format that Prometheus reads.
//!
//! **Invariant:** numbers that the parts keep anyway; nothing is counted for this page alone, and no label comes from a client.

use super::state::{OWN_STATUSES, Shared};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The page.
#[must_use]
pub fn page(shared: &Shared) -> String {
    let mut page = String::new();
    let (lease, accepted, refused, terminating) = shared.drain(|drain| {
        let lease = drain.lease_report(Instant::now()).map_or(0, |lease| lease.remaining_millis);
        (lease, drain.accepted(), drain.refused().clone(), drain.terminating_since().is_some())
    });
    metric(&mut page, "in_flight", "gauge", "Requests in flight.", &[("", shared.in_flight.now())]);
    metric(&mut page, "connections", "gauge", "Open client connections.", &[("", shared.connections.now())]);
    let threads = shared.threads.iter().enumerate();
    let threads: Vec<_> = threads.map(|(number, open)| (format!("{{thread=\"{number}\"}}"), open.now())).collect();
    let help = "Open client connections that each thread serves.";
    metric(&mut page, "thread_connections", "gauge", help, &borrowed(&threads));
    let routes: Vec<_> = shared
        .routes
        .iter()
        .map(|(port, count)| (format!("{{port=\"{port}\"}}"), count.load(Ordering::Relaxed)))
        .collect();
    metric(
        &mut page,
        "route_connections_total",
        "counter",
        "Connections that each port has taken.",
        &borrowed(&routes),
    );
    metric(&mut page, "requests_total", "counter", "Requests that began.", &[("", shared.in_flight.total())]);
    let tls = shared.tls.load(Ordering::Relaxed);
    metric(
        &mut page,
        "tls_connections_total",
        "counter",
        "TLS connections that were passed through in http mode.",
        &[("", tls)],
    );
    let ignored = shared.ignored.load(Ordering::Relaxed);
    let help =
        "Requests that were served and do not count: probes, and what --ignore-path and --ignore-user-agent name.";
    metric(&mut page, "ignored_requests_total", "counter", help, &[("", ignored)]);
    let own: Vec<_> = OWN_STATUSES
        .iter()
        .zip(&shared.own_answers)
        .map(|(status, count)| (format!("{{status=\"{status}\"}}"), count.load(Ordering::Relaxed)))
        .collect();
    metric(&mut page, "own_answers_total", "counter", "Requests that the sidecar itself answered.", &borrowed(&own));
    let floods = shared.floods.load(Ordering::Relaxed);
    metric(&mut page, "http2_floods_total", "counter", "HTTP/2 connections closed for a flood.", &[("", floods)]);
    let quota = &shared.quota;
    metric(&mut page, "memory_charged_bytes", "gauge", "Memory charged to clients.", &[("", quota.held())]);
    metric(&mut page, "memory_budget_bytes", "gauge", "Most that may be charged to clients.", &[("", quota.limit())]);
    let given_up = "Connections, requests and streams refused or given up for want of memory.";
    metric(&mut page, "refused_for_memory_total", "counter", given_up, &[("", quota.refused())]);
    metric(
        &mut page,
        "lease_remaining_milliseconds",
        "gauge",
        "Rest of the drain lease; 0 without one.",
        &[("", lease)],
    );
    metric(&mut page, "drain_commands_accepted_total", "counter", "Drain commands obeyed.", &[("", accepted)]);
    let refused: Vec<_> = refused.iter().map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), *count)).collect();
    metric(&mut page, "drain_commands_refused_total", "counter", "Drain commands refused.", &borrowed(&refused));
    metric(&mut page, "terminating", "gauge", "1 when the pod is being terminated.", &[("", terminating.into())]);
    page
}

fn borrowed(samples: &[(String, u64)]) -> Vec<(&str, u64)> {
    samples.iter().map(|(labels, value)| (labels.as_str(), *value)).collect()
}

fn metric(page: &mut String, name: &str, kind: &str, help: &str, samples: &[(&str, u64)]) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "# HELP restart_sidecar_{name} {help}\n# TYPE restart_sidecar_{name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(page, "restart_sidecar_{name}{labels} {value}");
    }
}
