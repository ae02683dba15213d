//! `deploy/install.yaml`: the chart with its default values, and the namespace around it.

use super::{hold, rights, root};
use std::process::Command;

const NAMESPACE: &str = "restart-controller-system";

/// The chart makes no namespace, as Helm's users bring their own; who applies one file has none yet.
const HEAD: &str = "\
# Generated from charts/restart-controller by `make golden`; do not edit.
apiVersion: v1
kind: Namespace
metadata:
  name: restart-controller-system
  labels:
    app.kubernetes.io/name: restart-controller
    pod-security.kubernetes.io/enforce: restricted
";

#[test]
fn the_installation_in_one_file_is_what_the_chart_renders() {
    hold("deploy/install.yaml", &format!("{HEAD}{}", render(&[])));
}

#[test]
fn the_chart_without_definitions_and_with_other_values_is_what_was_asked_for() {
    let text = render(&["--set", "crds.enabled=false,image.tag=other,restart.maxWaitSeconds=60"]);
    assert!(!text.contains("kind: CustomResourceDefinition"), "{text}");
    assert!(text.contains("image: restart-controller.dev/restart-controller:other"), "{text}");
    assert!(text.contains("maxWaitSeconds: 60"), "{text}");
}

#[test]
fn before_1_36_nobody_stamps_or_injects_and_what_stamps_is_not_required() {
    let text = render(&["--kube-version", "1.35"]);
    assert!(!text.contains("MutatingAdmissionPolicy"), "{text}");
    assert!(text.contains("!has(object.spec.requestedBy) || object.spec.requestedBy == request.userInfo.username"));
    assert!(text.contains("--require-admission, \"ValidatingAdmissionPolicy/restartrequests.restart-controller.dev,"));
    let known = render(&[
        "--kube-version",
        "1.35",
        "--api-versions",
        "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
    ]);
    assert!(
        known.contains("name: requester.restart-controller.dev")
            && known.contains("name: inject.restart-controller.dev")
    );
}

#[test]
fn without_policies_none_is_rendered_or_required() {
    let text = render(&["--set", "admission.enabled=false,admission.require=false,injection.enabled=false"]);
    assert!(!text.contains("AdmissionPolicy") && !text.contains("--require-admission"), "{text}");
}

#[test]
fn watched_namespaces_have_roles_in_place_of_the_cluster_role() {
    let text = render(&["--set", "watchNamespaces={shop,bank}"]);
    assert!(text.contains("--namespace, \"shop,bank\""), "{text}");
    assert!(!text.contains("kind: ClusterRole\nmetadata:\n  name: restart-controller\n"), "{text}");
    for namespace in ["shop", "bank"] {
        let object = format!("metadata:\n  name: restart-controller-restarts\n  namespace: {namespace}\n");
        for kind in ["Role", "RoleBinding"] {
            assert!(text.contains(&format!("kind: {kind}\n{object}")), "{kind} in {namespace}: {text}");
        }
    }
    let rules = |text: &str| {
        let (_, rest) = text.split_once("\nrules:\n  # Requests are read").unwrap();
        rest[..rest.find("\n---").unwrap()].trim_end().to_owned()
    };
    let nodes = "  # Which nodes take no new pods: their pods are restarted first. Whether the node of a pod is lost: the pod is then\n  \
                 # replaced elsewhere or passed over.\n  \
                 - apiGroups: [\"\"]\n    resources: [nodes]\n    verbs: [get, list]\n";
    assert_eq!(rules(&render(&[])).replace(nodes, ""), rules(&text));
}

#[test]
fn the_durations_of_the_election_must_go_together_as_in_the_controller() {
    let set = |values: &str| template(&["--set", values]);
    let (success, text, error) =
        set("leaderElection.leaseDuration=4s,leaderElection.renewDeadline=2500ms,leaderElection.retryPeriod=500ms");
    let arguments =
        "--leader-elect-lease-duration, 4s, --leader-elect-renew-deadline, 2500ms, --leader-elect-retry-period, 500ms";
    assert!(success && text.contains(arguments), "{error}{text}");
    for (values, sentence) in [
        (
            "leaderElection.renewDeadline=15s",
            "renewDeadline (15s) must be shorter than leaderElection.leaseDuration (15s)",
        ),
        ("leaderElection.leaseDuration=9999ms", "must be shorter"),
        ("leaderElection.retryPeriod=6s", "retryPeriod (6s) must be above 0 and at most half"),
        ("leaderElection.retryPeriod=0s", "must be above 0"),
        ("leaderElection.retryPeriod=2", "leaderElection"),
    ] {
        let (success, _, error) = set(values);
        assert!(!success && error.contains(sentence), "{values}: {error}");
    }
}

#[test]
fn traces_are_sent_where_the_values_say_and_nowhere_by_default() {
    assert!(!render(&[]).contains("OTEL_"));
    let text = render(&["--set", "tracing.endpoint=http://collector.monitoring:4318"]);
    assert!(
        text.contains("{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: \"http://collector.monitoring:4318\"}"),
        "{text}"
    );
    assert!(!template(&["--set", "tracing.endpoint=collector:4318"]).0);
}

#[test]
fn a_budget_is_kept_where_there_are_several_replicas() {
    let budgets = |values: &str| render(&["--set", values]).matches("kind: PodDisruptionBudget").count();
    assert_eq!(["replicas=3", "replicas=1", "podDisruptionBudget.enabled=false"].map(budgets), [1, 0, 0]);
}

#[test]
fn kinds_of_the_prometheus_operator_are_made_where_the_cluster_knows_them() {
    let on =
        ["--set", "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,metrics.rules.enabled=true"];
    assert!(!render(&on).contains("monitoring.coreos.com"));
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule"] {
        let api = format!("monitoring.coreos.com/v1/{kind}");
        let text = render(&[&on[..], &["--api-versions", &api]].concat());
        assert!(text.contains(&format!("kind: {kind}\n")), "{text}");
        assert_eq!(text.matches("apiVersion: monitoring.coreos.com").count(), 1, "{text}");
    }
    assert!(!render(&[]).contains("grafana_dashboard"));
    assert!(render(&["--set", "metrics.dashboard.enabled=true"]).contains("grafana_dashboard: \"1\""));
}

#[test]
fn the_http_api_is_off_until_it_is_asked_for_and_then_has_a_port_a_service_and_who_may_reach_it() {
    assert!(!render(&[]).contains("http-api"));
    let text = render(&[
        "--set",
        "httpApi.enabled=true,httpApi.tlsSecret=web-tls,httpApi.defaultTarget=shop/Deployment/web,networkPolicy.enabled=true",
        "--set",
        "httpApi.ingressFrom[0].podSelector.matchLabels.app=gateway",
    ]);
    for part in [
        "--http-api, \"[::]:8090\", --http-api-rate, \"20\", --http-api-default-target, \"shop/Deployment/web\", --http-api-tls",
        "- {name: http-api, containerPort: 8090}",
        "secret: {secretName: web-tls}",
        "- {name: https, port: 443, targetPort: http-api",
        "- ports: [{port: http-api, protocol: TCP}]",
        "app: gateway",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn alerts_link_to_the_runbooks_where_they_are_read() {
    let arguments = [
        "--set",
        "metrics.rules.enabled=true,metrics.rules.runbooks=https://wiki.example/runbooks",
        "--api-versions",
        "monitoring.coreos.com/v1/PrometheusRule",
    ];
    let text = render(&arguments);
    assert!(text.contains("runbook_url: https://wiki.example/runbooks#restartfailed"), "{text}");
    let runbooks = std::fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    for (_, heading) in text.match_indices("- alert: ").map(|(at, _)| text[at..].split_at("- alert: ".len())) {
        let name = heading.lines().next().unwrap();
        assert!(runbooks.contains(&format!("\n## {name}\n")), "docs/runbooks.md says nothing of {name}");
        assert!(text.contains(&format!("runbooks#{}\n", name.to_lowercase())), "{name} has no runbook_url of its own");
    }
}

#[test]
fn the_chart_is_free_of_what_helm_lint_warns_of() {
    let output = helm(&["lint", "charts/restart-controller", "--strict", "--quiet", "--kube-version", "1.36.0"]);
    assert!(output.0, "{}{}", output.1, output.2);
}

#[test]
fn a_value_that_the_chart_does_not_know_is_refused() {
    let (success, _, error) = template(&["--set", "restart.maxWaitSecond=60"]);
    assert!(!success && error.contains("maxWaitSecond"), "{error}");
}

pub fn render(arguments: &[&str]) -> String {
    let (success, text, error) = template(arguments);
    assert!(success, "helm template failed: {error}");
    text
}

/// Success, output and errors of `helm template`.
fn template(arguments: &[&str]) -> (bool, String, String) {
    rights::written();
    let common =
        ["template", "restart-controller", "charts/restart-controller", "--namespace", NAMESPACE, "--skip-tests"];
    helm(&[&common, arguments].concat())
}

/// Success, output and errors of the helm that the cluster harness builds.
fn helm(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(root().join("tests/golden/helm")).current_dir(root()).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}
