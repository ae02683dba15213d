//! `deploy/install.yaml`: the chart with its default values, and the namespace around it.

use super::{hold, root};
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
fn a_value_that_the_chart_does_not_know_is_refused() {
    let (success, _, error) = template(&["--set", "restart.maxWaitSecond=60"]);
    assert!(!success && error.contains("maxWaitSecond"), "{error}");
}

fn render(arguments: &[&str]) -> String {
    let (success, text, error) = template(arguments);
    assert!(success, "helm template failed: {error}");
    text
}

/// Success, output and errors of `helm template`, with the helm that the cluster harness builds.
fn template(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(root().join("tests/golden/helm"))
        .current_dir(root())
        .args(["template", "restart-controller", "charts/restart-controller", "--namespace", NAMESPACE])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}
