//! The kustomize bases in `deploy/`, cut out of what the chart renders, and all of `deploy/` built by kubectl's kustomize.

use super::chart::render;
use super::{hold, root, updating};
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

const HEAD: &str = "# Generated from charts/restart-controller by `make golden`; do not edit.\n";
const OPERATOR: [&str; 6] = [
    "--api-versions",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "--api-versions",
    "monitoring.coreos.com/v1/PodMonitor",
    "--api-versions",
    "monitoring.coreos.com/v1/PrometheusRule",
];

#[test]
fn the_bases_are_what_the_chart_renders() {
    let text = render(&[]);
    base("rbac/rbac", &text, &["rbac", "rbac-admission", "rbac-restarter", "rbac-users"]);
    base("manager/manager", &text, &["serviceaccount", "configmap", "deployment", "poddisruptionbudget"]);
    base("policy/policy", &text, &["admission-requests", "admission-controller"]);
    base("injection/injection", &text, &["injection"]);
}

#[test]
fn what_is_optional_in_the_chart_has_bases_of_its_own() {
    let egress = ["--set", "networkPolicy.enabled=true,networkPolicy.egress.enabled=true"];
    base("network-policy/network-policy", &render(&egress), &["networkpolicy"]);
    let kinds = ["serviceMonitor", "podMonitor", "rules", "dashboard"];
    let on = kinds.map(|kind| format!("metrics.{kind}.enabled=true")).join(",");
    let all = [&["--set", &on][..], &OPERATOR].concat();
    base("prometheus/prometheus", &render(&all), &["monitoring"]);
}

#[test]
fn the_role_for_one_namespace_is_the_charts() {
    let text = render(&["--set", "watchNamespaces={restart-controller-system}"]);
    let documents =
        documents_of(&text, "rbac").into_iter().filter(|text| text.contains("name: restart-controller-restarts"));
    let documents: Vec<&str> = documents.collect();
    assert_eq!(documents.len(), 2);
    hold("deploy/components/single-namespace/role.yaml", &format!("{HEAD}{}", documents.concat()));
}

#[test]
fn argo_cd_is_given_the_health_check_as_it_stands_in_its_file() {
    let lua = fs::read_to_string(root().join("deploy/components/argocd-health/health.lua")).unwrap();
    let lines = format!("    {}\n", lua.trim_end().replace('\n', "\n    "));
    let patch = format!(
        "# Generated from health.lua by `make golden`; do not edit.\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  \
         name: argocd-cm\ndata:\n  resource.customizations.health.restart-controller.dev_RestartRequest: |\n{lines}"
    );
    hold("deploy/components/argocd-health/argocd-cm.yaml", &patch);
}

#[test]
fn the_default_base_is_the_installation_in_one_file() {
    if updating() {
        return;
    }
    let file = fs::read_to_string(root().join("deploy/install.yaml")).unwrap();
    let (built, file) = (objects(&build("deploy/default")), objects(&file));
    assert_eq!(built.keys().collect::<Vec<_>>(), file.keys().collect::<Vec<_>>());
    for (name, object) in &built {
        assert_eq!(object, &file[name], "{name}");
    }
}

#[test]
fn in_one_namespace_no_right_to_a_workload_reaches_beyond_it() {
    if updating() {
        return;
    }
    let built = objects(&build("deploy/single-namespace"));
    assert!(built.contains_key("Role restart-controller-system/restart-controller-restarts"));
    for gone in [
        "Namespace /restart-controller-system",
        "ClusterRole /restart-controller",
        "ClusterRoleBinding /restart-controller",
    ] {
        assert!(!built.contains_key(gone), "{gone}");
    }
    let args = &built["Deployment restart-controller-system/restart-controller"]["spec"]["template"]["spec"]["containers"]
        [0]["args"];
    assert!(args.as_sequence().unwrap().contains(&Value::from("--namespace=$(POD_NAMESPACE)")), "{args:?}");
    let bound = built.iter().filter(|(name, object)| {
        name.starts_with("ClusterRoleBinding ") && object["subjects"][0]["name"] == "restart-controller"
    });
    let bound: Vec<&String> = bound.map(|(name, _)| name).collect();
    assert_eq!(bound, ["ClusterRoleBinding /restart-controller-admission"]);
}

#[test]
fn every_base_is_built() {
    if updating() {
        return;
    }
    for base in [
        "crds",
        "deploy/rbac",
        "deploy/manager",
        "deploy/policy",
        "deploy/injection",
        "deploy/prometheus",
        "deploy/network-policy",
    ] {
        assert!(!objects(&build(base)).is_empty(), "{base}");
    }
}

#[test]
fn components_change_what_they_are_for_and_keep_the_rest() {
    if updating() {
        return;
    }
    let argo = with_component(
        "argocd-health",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm, namespace: argocd}\ndata: {url: https://argocd.example}\n",
    );
    let data = &argo["ConfigMap argocd/argocd-cm"]["data"];
    let health = data["resource.customizations.health.restart-controller.dev_RestartRequest"].as_str().unwrap();
    assert!(health.contains("Degraded") && data["url"] == "https://argocd.example", "{data:?}");
    let web = with_component(
        "sidecar",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {restart-controller.dev/inject: \"true\"}}\n\
         spec: {template: {spec: {containers: [{name: app, image: app}]}}}\n",
    );
    let pod = &web["Deployment /web"]["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"][0]["name"], "restart-sidecar");
    assert_eq!(pod["containers"][0]["lifecycle"]["preStop"]["httpGet"]["path"], "/wait-drained");
}

/// Holds a base to these templates of the chart.
fn base(file: &str, text: &str, templates: &[&str]) {
    let documents: String = templates.iter().map(|template| documents_of(text, template).concat()).collect();
    hold(&format!("deploy/{file}.yaml"), &format!("{HEAD}{documents}"));
}

/// What one template has rendered, each with the line before it.
fn documents_of<'a>(text: &'a str, template: &str) -> Vec<&'a str> {
    let source = format!("# Source: restart-controller/templates/{template}.yaml\n");
    let starts: Vec<usize> = text.match_indices("---\n# Source: ").map(|(at, _)| at).chain([text.len()]).collect();
    let all = starts.windows(2).map(|ends| &text[ends[0]..ends[1]]);
    let of: Vec<&str> = all.filter(|document| document["---\n".len()..].starts_with(&source)).collect();
    assert!(!of.is_empty(), "the chart renders nothing from {template}.yaml");
    of
}

/// Objects by kind, namespace and name; of definitions without what the chart writes on them.
fn objects(text: &str) -> BTreeMap<String, Value> {
    let documents =
        serde_yaml::Deserializer::from_str(text).map(|document| serde::Deserialize::deserialize(document).unwrap());
    let mut found = BTreeMap::new();
    for mut object in documents.filter(|object: &Value| !object.is_null()) {
        let field = |path: [&str; 2]| object[path[0]][path[1]].as_str().unwrap_or_default().to_owned();
        let kind = object["kind"].as_str().unwrap().to_owned();
        let name = format!("{kind} {}/{}", field(["metadata", "namespace"]), field(["metadata", "name"]));
        if kind == "CustomResourceDefinition" {
            for written in ["labels", "annotations"] {
                object["metadata"].as_mapping_mut().unwrap().remove(written);
            }
        }
        assert!(found.insert(name.clone(), plain(object)).is_none(), "{name} twice");
    }
    found
}

/// kustomize writes 1 where 1.0 was, and folds long expressions at other places.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(plain).collect()),
        Value::Mapping(members) => Value::Mapping(members.into_iter().map(|(key, of)| (key, plain(of))).collect()),
        Value::String(text) => Value::from(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Value::Null | Value::Bool(_) | Value::Tagged(_) => value,
    }
}

fn with_component(component: &str, object: &str) -> BTreeMap<String, Value> {
    // Inside the checkout, as kustomize wants the way to a component without an absolute path.
    let directory = tempfile::tempdir_in(root().join("target")).unwrap();
    let name = directory.path().file_name().unwrap().to_str().unwrap().to_owned();
    fs::write(directory.path().join("object.yaml"), object).unwrap();
    let kustomization = format!("resources: [object.yaml]\ncomponents: [../../deploy/components/{component}]\n");
    fs::write(directory.path().join("kustomization.yaml"), kustomization).unwrap();
    objects(&build(&format!("target/{name}")))
}

fn build(path: &str) -> String {
    let output = Command::new(root().join("tests/golden/kubectl"))
        .current_dir(root())
        .args(["kustomize", path])
        .output()
        .unwrap();
    assert!(output.status.success(), "kubectl kustomize {path}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
