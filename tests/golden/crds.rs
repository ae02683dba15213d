//! `crds/` and the chart's copies of it.

use super::hold;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use restart_controller::api::{restart_history_crd, restart_request_crd};

const SOURCE: &str = "Generated from src/api by `make golden`; do not edit.";

#[test]
fn the_definition_of_restartrequest_is_what_the_types_say() {
    both("restartrequests", &restart_request_crd());
}

#[test]
fn the_definition_of_restarthistory_is_what_the_types_say() {
    both("restarthistories", &restart_history_crd());
}

fn both(name: &str, definition: &CustomResourceDefinition) {
    let yaml = serde_yaml::to_string(definition).unwrap();
    hold(&format!("crds/{name}.yaml"), &format!("# {SOURCE}\n{yaml}"));
    hold(&format!("charts/restart-controller/templates/crd-{name}.yaml"), &template(&yaml));
}

/// The same as a template of the chart: Helm never upgrades what lies in a chart's `crds/`.
fn template(yaml: &str) -> String {
    assert!(!yaml.contains("{{"), "Helm would take this for a template:\n{yaml}");
    let head = "metadata:\n";
    let keep = format!(
        "{head}  labels:\n    {{{{- include \"restart-controller.labels\" . | nindent 4 }}}}\n  {{{{- if .Values.crds.keep }}}}\n  \
         annotations:\n    helm.sh/resource-policy: keep\n  {{{{- end }}}}\n"
    );
    let body = yaml.replacen(head, &keep, 1);
    format!("{{{{- /* {SOURCE} */}}}}\n{{{{- if .Values.crds.enabled }}}}\n{body}{{{{- end }}}}\n")
}
