//! The Services beside a workload: to the sidecar, and back to where they led.
//!
//! **Invariant:** what led elsewhere is left alone, and where a port led before is noted on the Service unless its number says
//! it.

use super::transform::{mapping, named};
use serde_yaml::{Mapping, Value};

/// On a Service: where its ports led that did not name the app's port by its number, `PORT=NAME` each, the name empty where
/// there was none.
const FORMER_TARGETS: &str = "restart-controller.dev/former-target-ports";

/// A port of the app, and that of the sidecar which takes its traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPort {
    /// Its number.
    pub number: u64,
    /// Its names in the pod template.
    pub names: Vec<String>,
    /// The port of the sidecar.
    pub listen: u64,
}

/// How a port of a Service names the app's port.
enum Target {
    /// By its number, which says all that is needed to go back.
    Number,
    /// By a name; empty: not at all, since it is the Service's own number.
    Name(String),
}

impl AppPort {
    /// How this port of a Service names it; none: it leads elsewhere.
    fn named_by(&self, port: &Value) -> Option<Target> {
        let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
        let (leads, target) = match port.get("targetPort") {
            None => (number == self.number, Target::Name(String::new())),
            Some(Value::String(name)) => (self.names.contains(name), Target::Name(name.clone())),
            Some(target) => (target.as_u64() == Some(self.number), Target::Number),
        };
        leads.then_some(target)
    }

    /// Whether any port of this Service leads to it.
    pub fn is_served_by(&self, service: &Value) -> bool {
        let ports = service.get("spec").and_then(|spec| spec.get("ports")).and_then(Value::as_sequence);
        ports.into_iter().flatten().any(|port| self.named_by(port).is_some())
    }
}

/// Whether it is a Service that selects pods with these labels.
pub fn selects(document: &Value, labels: &Mapping) -> bool {
    let selector = document.get("spec").and_then(|spec| spec.get("selector")).and_then(Value::as_mapping);
    document.get("kind").and_then(Value::as_str) == Some("Service")
        && selector.is_some_and(|selector| {
            !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        })
}

fn service_ports(service: &mut Value) -> impl Iterator<Item = &mut Value> {
    let ports = service.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_sequence_mut);
    ports.into_iter().flatten()
}

/// Lets the ports of a Service that lead to the app lead to the sidecar.
pub fn aim_at_sidecar(service: &mut Value, apps: &[AppPort]) -> Vec<String> {
    let (named, mut notes, mut former) = (named(service), vec![], vec![]);
    for port in service_ports(service) {
        let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
        if let Some((listen, target)) = apps.iter().find_map(|app| Some((app.listen, app.named_by(port)?))) {
            port["targetPort"] = Value::from(listen);
            notes.push(format!("{named}: targetPort {listen}"));
            if let Target::Name(name) = target {
                former.push(format!("{number}={name}"));
            }
        }
    }
    if !former.is_empty()
        && let Some(annotations) = mapping(service, "metadata").and_then(|metadata| mapping(metadata, "annotations"))
    {
        annotations[FORMER_TARGETS] = Value::from(former.join(","));
    }
    notes
}

/// Lets the ports of a Service that lead to the sidecar lead to where they led before.
pub fn aim_at_app(service: &mut Value, apps: &[AppPort]) -> Vec<String> {
    let (named, mut notes, former) = (named(service), vec![], former(service));
    for port in service_ports(service) {
        let target = port.get("targetPort").and_then(Value::as_u64);
        let Some(app) = apps.iter().find(|app| Some(app.listen) == target).map(|app| app.number) else { continue };
        let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
        let target = match former.iter().find(|(port, _)| *port == number) {
            Some((_, name)) if name.is_empty() => None,
            Some((_, name)) => Some(Value::from(name.clone())),
            None => Some(Value::from(app)),
        };
        let Some(port) = port.as_mapping_mut() else { continue };
        if let Some(target) = target {
            notes.push(format!(
                "{named}: targetPort {}",
                target.as_str().map_or_else(|| app.to_string(), str::to_owned)
            ));
            port.insert("targetPort".into(), target);
        } else {
            notes.push(format!("{named}: no targetPort"));
            port.shift_remove("targetPort");
        }
    }
    notes
}

/// What was noted when the Service was aimed at the sidecar; the note goes.
fn former(service: &mut Value) -> Vec<(u64, String)> {
    let Some(metadata) = service.get_mut("metadata").and_then(Value::as_mapping_mut) else { return vec![] };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_mapping_mut) else { return vec![] };
    let Some(noted) = annotations.shift_remove(FORMER_TARGETS) else { return vec![] };
    if annotations.is_empty() {
        metadata.shift_remove("annotations");
    }
    let entry =
        |entry: &str| entry.split_once('=').and_then(|(port, name)| Some((port.parse().ok()?, name.to_owned())));
    noted.as_str().unwrap_or_default().split(',').filter_map(entry).collect()
}
