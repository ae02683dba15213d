//! Whether a pod's requests pass where its sidecar counts them.
//!
//! **Invariant:** pure; the arguments of the container are read as the sidecar reads them, defaults included, and what the
//! sidecar itself says of its mode counts for more than they do.

use crate::api::{Code, names};
use crate::controller::facts::{PodFacts, Surroundings};
use crate::controller::observe::check::{Finding, verdict};
use crate::controller::observe::endpoints;
use crate::wire::{self, Mode};
use k8s_openapi::api::core::v1::Container;

/// Each Service must send its requests to a port where they are counted. In the modes that relay it is one of the sidecar's: an
/// app port of the same name would win over it and take the traffic past it. In `observe` it is the app's, as watched.
pub fn check(around: &Surroundings, pod: &PodFacts, sidecar: &Container) -> Finding {
    let observes = mode(pod, sidecar) == Mode::Observe;
    let uncounted = uncounted_ports(pod);
    let counted = if observes { vec![watched_port(sidecar)] } else { traffic_ports(sidecar) };
    for service in endpoints::services_of(around, pod) {
        let slices =
            endpoints::slices_of(around, service).filter(|slice| endpoints::endpoint_of(slice, pod.uid()).is_some());
        let past = slices.flat_map(|slice| slice.ports.iter().flatten()).filter_map(|entry| entry.port).find(|other| {
            !counted.contains(other) && !uncounted.contains(other) && *other != i32::from(wire::ADMIN_PORT)
        });
        if let Some(other) = past {
            let (service, pod) = (service.metadata.name.as_deref().unwrap_or_default(), pod.name());
            let port = counted.iter().map(i32::to_string).collect::<Vec<_>>().join(" and ");
            let message = if observes {
                format!(
                    "Service {service} sends requests to port {other} of Pod {pod}, and its sidecar observes port {port}; set its targetPort to {port}, or the port of the sidecar's --upstream to {other}"
                )
            } else {
                format!(
                    "Service {service} sends requests to port {other} of Pod {pod}, past the sidecar on {port}; set its targetPort to {port}, or, where the app has several ports, give the sidecar one --route for each"
                )
            };
            return verdict(Code::TargetInvalid, message);
        }
    }
    Ok(())
}

/// The ports that the pod's owner has declared to be of no concern.
fn uncounted_ports(pod: &PodFacts) -> Vec<i32> {
    let declared = pod.pod.metadata.annotations.as_ref().and_then(|all| all.get(names::UNCOUNTED_PORTS));
    declared.into_iter().flat_map(|ports| ports.split(',')).filter_map(|port| port.trim().parse().ok()).collect()
}

fn mode(pod: &PodFacts, sidecar: &Container) -> Mode {
    let argued = || if argument(sidecar, "--mode") == Some("observe") { Mode::Observe } else { Mode::Http };
    pod.report.as_ref().map_or_else(argued, |report| report.mode)
}

/// The ports that the sidecar listens on: one for each route, or the only one.
fn traffic_ports(sidecar: &Container) -> Vec<i32> {
    let listens = |route: &str| wire::route_ports(route).map(|(listen, _)| i32::from(listen));
    let routes: Vec<i32> = arguments(sidecar, "--route").into_iter().filter_map(listens).collect();
    if routes.is_empty() { vec![port(sidecar, "--listen", wire::TRAFFIC_PORT)] } else { routes }
}

/// The port of the app, which an observing sidecar watches.
fn watched_port(sidecar: &Container) -> i32 {
    port(sidecar, "--upstream", wire::APP_PORT)
}

fn port(sidecar: &Container, flag: &str, default: u16) -> i32 {
    argument(sidecar, flag).and_then(wire::port_of).unwrap_or(default).into()
}

fn argument<'a>(container: &'a Container, flag: &str) -> Option<&'a str> {
    arguments(container, flag).first().copied()
}

/// The values of `flag`, written `--flag=value` or `--flag value`.
fn arguments<'a>(container: &'a Container, flag: &str) -> Vec<&'a str> {
    let mut all = container.command.iter().flatten().chain(container.args.iter().flatten());
    let mut values = vec![];
    while let Some(argument) = all.next() {
        match argument.strip_prefix(flag) {
            Some("") => values.extend(all.next().map(String::as_str)),
            Some(rest) if rest.starts_with('=') => values.push(&rest[1..]),
            Some(_) | None => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::InFlightReport;
    use serde_json::json;

    fn sidecar(args: &[&str]) -> Container {
        serde_json::from_value(json!({"name": "restart-sidecar", "args": args})).unwrap()
    }

    /// What is said of a pod behind a Service whose targetPort is `port`; `says` is the mode that its sidecar reports.
    fn checked(args: &[&str], says: Option<Mode>, port: i32) -> Result<(), String> {
        checked_with(args, says, port, "")
    }

    /// The same of a pod on which these ports are declared uncounted.
    fn checked_with(args: &[&str], says: Option<Mode>, port: i32, uncounted: &str) -> Result<(), String> {
        let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
        let slice = json!({
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
            "ports": [{"port": port}, {"port": wire::ADMIN_PORT}],
            "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"uid": "a"}}],
        });
        let around = Surroundings {
            services: vec![serde_json::from_value(service).unwrap()],
            slices: vec![serde_json::from_value(slice).unwrap()],
            budgets: vec![],
        };
        let annotations = json!({names::UNCOUNTED_PORTS: uncounted});
        let pod = json!({"metadata": {"name": "a", "uid": "a", "labels": {"app": "web"}, "annotations": annotations}});
        let pod = serde_json::from_value(pod).unwrap();
        let pod = PodFacts { pod, asked: true, report: says.map(report), silence: String::new() };
        check(&around, &pod, &sidecar(args)).map_err(|verdict| verdict.message)
    }

    fn report(mode: Mode) -> InFlightReport {
        let report = json!({"version": 1, "podUid": "a", "boot": "", "challenge": "", "trustedKeys": [], "mode": mode,
            "inFlight": 0, "terminating": false});
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn a_service_must_not_go_around_a_sidecar_that_relays() {
        for mode in [None, Some(Mode::Http), Some(Mode::Tcp)] {
            assert_eq!(checked(&["run"], mode, 8012), Ok(()));
            assert!(checked(&["run"], mode, 8080).unwrap_err().contains("past the sidecar on 8012"));
            assert_eq!(checked(&["run", "--listen", "0.0.0.0:9000"], mode, 9000), Ok(()));
            assert_eq!(checked(&["run", "--listen=[::]:9000"], mode, 9000), Ok(()));
        }
    }

    #[test]
    fn each_route_of_a_sidecar_takes_the_traffic_of_one_port() {
        let args = ["run", "--route=8012=8080,http", "--route", "[::]:8013=unix:/sockets/app,grpc"];
        for port in [8012, 8013] {
            assert_eq!(checked(&args, Some(Mode::Http), port), Ok(()));
        }
        let message = checked(&args, Some(Mode::Http), 9090).unwrap_err();
        assert!(message.contains("past the sidecar on 8012 and 8013") && message.contains("--route"), "{message}");
    }

    #[test]
    fn a_port_that_is_declared_uncounted_may_go_around_the_sidecar() {
        let declared = "9100, 9090";
        assert_eq!(checked_with(&["run"], None, 9090, declared), Ok(()));
        assert_eq!(checked_with(&["run"], None, 9100, declared), Ok(()));
        for declared in ["", "909", "metrics"] {
            assert!(checked_with(&["run"], None, 9090, declared).is_err(), "{declared}");
        }
    }

    #[test]
    fn a_service_goes_to_the_app_where_the_sidecar_observes_it() {
        let args = ["run", "--mode", "observe", "--upstream=127.0.0.1:9090"];
        for says in [None, Some(Mode::Observe)] {
            assert_eq!(checked(&args, says, 9090), Ok(()));
            assert_eq!(checked(&args[..3], says, 8080), Ok(()), "the default");
            let message = checked(&args, says, 8012).unwrap_err();
            assert!(message.contains("observes port 9090") && message.contains("--upstream to 8012"), "{message}");
        }
    }

    #[test]
    fn what_the_sidecar_says_of_its_mode_counts_for_more_than_its_arguments() {
        assert_eq!(checked(&["run", "--mode", "$(MODE)"], Some(Mode::Observe), 8080), Ok(()));
        assert!(checked(&["run", "--mode=observe"], Some(Mode::Http), 8080).is_err());
    }
}
