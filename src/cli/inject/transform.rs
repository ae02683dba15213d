//! What the sidecar means for the objects: pure, on parsed YAML.
//!
//! **Invariant:** the same container as in deploy/samples and as the injecting policy makes; what is already there is
//! left as it is.

use super::hooks;
use super::services::{AppPort, aim_at_app, aim_at_sidecar, selects};
use crate::api::names::{SIDECAR_CONTAINER, SIDECAR_LABEL};
use crate::wire::{self, ADMIN_PORT};
use serde_yaml::{Mapping, Value};

/// Where the sidecar takes the traffic.
pub const TRAFFIC_PORT: u64 = wire::TRAFFIC_PORT as u64;

/// The sidecar to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Its image.
    pub image: String,
    /// The app's ports; empty: those to which a Service of the same file leads, else the first of the first container.
    pub ports: Vec<u16>,
    /// The controller's public key; absent: from the ConfigMap.
    pub key: Option<String>,
    /// Whether a preStop hook that a container has of its own is dropped, instead of run after the drain.
    pub replaces_pre_stop: bool,
}

/// Adds it to every workload; says what was done.
///
/// # Errors
/// When a workload cannot take it.
pub fn add(documents: &mut [Value], sidecar: &Sidecar) -> Result<Vec<String>, String> {
    let (mut notes, mut moved) = (vec![], vec![]);
    let services: Vec<Value> = documents.iter().filter(|document| is_service(document)).cloned().collect();
    for document in documents.iter_mut().filter(|document| is_workload(document)) {
        let named = named(document);
        let template = template(document).ok_or_else(|| format!("{named} has no pod template"))?;
        let ports = app_ports(template, sidecar, &services);
        if has_sidecar(template) {
            notes.push(format!("{named} has the sidecar already"));
        } else {
            let hooks = add_to(template, sidecar, &ports).map_err(|why| format!("{named} {why}"))?;
            notes.push(format!("{named}: sidecar added"));
            notes.extend(hooks.into_iter().map(|note| format!("{named}: {note}")));
            notes.push(format!(
                "{named}: the app will see every connection come from its own pod's address, so rules by client address no longer tell clients apart"
            ));
        }
        moved.push((labels(template), ports));
    }
    for (labels, ports) in moved {
        for service in documents.iter_mut().filter(|document| selects(document, &labels)) {
            notes.extend(aim_at_sidecar(service, &ports));
        }
    }
    Ok(notes)
}

/// Takes it off every workload; says what was done.
pub fn remove(documents: &mut [Value]) -> Vec<String> {
    let (mut notes, mut moved) = (vec![], vec![]);
    for document in documents.iter_mut().filter(|document| is_workload(document)) {
        let named = named(document);
        let Some(template) = template(document).filter(|template| has_sidecar(template)) else { continue };
        let ports = routed(template);
        remove_from(template);
        notes.push(format!("{named}: sidecar removed"));
        moved.push((labels(template), ports));
    }
    for (labels, ports) in moved {
        for service in documents.iter_mut().filter(|document| selects(document, &labels)) {
            notes.extend(aim_at_app(service, &ports));
        }
    }
    notes
}

fn is_workload(document: &Value) -> bool {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    let group = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    group == "apps/v1" && ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind)
}

fn is_service(document: &Value) -> bool {
    document.get("kind").and_then(Value::as_str) == Some("Service")
}

/// Kind and name, as notes say it.
pub fn named(document: &Value) -> String {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    let name = document.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str);
    format!("{kind} {}", name.unwrap_or_default())
}

fn template(document: &mut Value) -> Option<&mut Value> {
    document.get_mut("spec")?.get_mut("template").filter(|template| template.get("spec").is_some_and(Value::is_mapping))
}

fn containers<'a>(template: &'a Value, list: &str) -> &'a [Value] {
    let found = template.get("spec").and_then(|spec| spec.get(list)).and_then(Value::as_sequence);
    found.map_or(&[], Vec::as_slice)
}

fn is_sidecar(container: &Value) -> bool {
    container.get("name").and_then(Value::as_str) == Some(SIDECAR_CONTAINER)
}

fn has_sidecar(template: &Value) -> bool {
    containers(template, "initContainers").iter().any(is_sidecar)
}

fn labels(template: &Value) -> Mapping {
    let found = template.get("metadata").and_then(|metadata| metadata.get("labels")).and_then(Value::as_mapping);
    found.cloned().unwrap_or_default()
}

/// The ports that the containers of a template declare, each with its name.
pub fn ports(template: &Value) -> Vec<(u64, Option<String>)> {
    let all = containers(template, "containers").iter().filter_map(|app| app.get("ports")?.as_sequence()).flatten();
    let port = |port: &Value| {
        let name = port.get("name").and_then(Value::as_str).map(str::to_owned);
        Some((port.get("containerPort")?.as_u64()?, name))
    };
    all.filter_map(port).collect()
}

/// The ports that the sidecar of this template takes the traffic of, as its arguments say.
fn routed(template: &Value) -> Vec<AppPort> {
    let Some(sidecar) = containers(template, "initContainers").iter().find(|container| is_sidecar(container)) else {
        return vec![];
    };
    let args = sidecar.get("args").and_then(Value::as_sequence).into_iter().flatten().filter_map(Value::as_str);
    let route = |arg: &str| match arg.strip_prefix("--route=") {
        Some(route) => wire::route_ports(route).and_then(|(listen, app)| Some((listen, app?))),
        None => Some((wire::TRAFFIC_PORT, wire::port_of(arg.strip_prefix("--upstream=")?)?)),
    };
    args.filter_map(route).map(|(listen, number)| app_port(template, number.into(), listen.into())).collect()
}

fn app_port(template: &Value, number: u64, listen: u64) -> AppPort {
    let names = ports(template).into_iter().filter(|(port, _)| *port == number).filter_map(|(_, name)| name);
    AppPort { number, names: names.collect(), listen }
}

/// The ports of the app, each with that of the sidecar. With the sidecar in place its own arguments say them.
fn app_ports(template: &Value, sidecar: &Sidecar, services: &[Value]) -> Vec<AppPort> {
    if has_sidecar(template) {
        return routed(template);
    }
    let own: Vec<u64> = ports(template).into_iter().map(|(number, _)| number).collect();
    let labels = labels(template);
    let is_served = |number: &&u64| {
        let port = app_port(template, **number, 0);
        services.iter().any(|service| selects(service, &labels) && port.is_served_by(service))
    };
    let mut chosen: Vec<u64> = sidecar.ports.iter().map(|port| u64::from(*port)).collect();
    if chosen.is_empty() {
        chosen = own.iter().filter(is_served).copied().collect();
    }
    if chosen.is_empty() {
        chosen.extend(own.first());
    }
    let is_free = |listen: &u64| *listen != u64::from(ADMIN_PORT) && !own.contains(listen) && !chosen.contains(listen);
    let listens = std::iter::once(TRAFFIC_PORT).chain((TRAFFIC_PORT + 1..).filter(is_free));
    chosen.iter().zip(listens).map(|(number, listen)| app_port(template, *number, listen)).collect()
}

/// How the traffic of a port is understood, by the beginning of its name, as a mesh does it.
fn protocol(port: &AppPort) -> &'static str {
    let begins = |word: &str| port.names.iter().any(|name| name == word || name.starts_with(&format!("{word}-")));
    if begins("grpc") {
        "grpc"
    } else if begins("tcp") {
        "tcp"
    } else {
        "http"
    }
}

/// What the sidecar is told of its ports.
fn routes(ports: &[AppPort]) -> Vec<String> {
    match ports {
        [only] if protocol(only) != "tcp" => {
            vec![format!("--listen=[::]:{TRAFFIC_PORT}"), format!("--upstream=127.0.0.1:{}", only.number)]
        }
        several => {
            let route = |port: &AppPort| format!("--route={}={},{}", port.listen, port.number, protocol(port));
            several.iter().map(route).collect()
        }
    }
}

/// Adds it to one template; says what was done to the hooks.
fn add_to(template: &mut Value, sidecar: &Sidecar, app: &[AppPort]) -> Result<Vec<String>, String> {
    if app.is_empty() {
        return Err("names no containerPort; say with --port where the app listens".to_owned());
    }
    if let Some(taken) =
        ports(template).iter().map(|(port, _)| *port).find(|port| [TRAFFIC_PORT, u64::from(ADMIN_PORT)].contains(port))
    {
        return Err(format!("has an app on port {taken}, which is the sidecar's"));
    }
    let grace = template["spec"].get("terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30);
    let mut container = container(sidecar, app, grace)?;
    let held = hooks::hold(template, sidecar.replaces_pre_stop)?;
    if held.needs_program {
        if let Some(args) = container["args"].as_sequence_mut() {
            args.push(format!("--install={}", hooks::FOLDER).into());
        }
        container["volumeMounts"] = Value::Sequence(vec![hooks::volume_mount(false)?]);
    }
    let metadata = mapping(template, "metadata").ok_or("has metadata that is no mapping")?;
    let labels = mapping(metadata, "labels").ok_or("has labels that are no mapping")?;
    labels[SIDECAR_LABEL] = Value::from("true");
    insert_first(&mut template["spec"], "initContainers", container)?;
    Ok(held.notes)
}

/// Puts an item before the others of a list, which is made if there is none.
///
/// # Errors
/// The rest of a sentence about the workload: there is something else in the place of the list.
pub fn insert_first(parent: &mut Value, list: &str, item: Value) -> Result<(), String> {
    let items = parent
        .as_mapping_mut()
        .and_then(|parent| parent.entry(list.into()).or_insert_with(|| Value::Sequence(vec![])).as_sequence_mut());
    items.ok_or_else(|| format!("has {list} that are no list"))?.insert(0, item);
    Ok(())
}

/// Takes what is named like the sidecar from a list, and the list where nothing is left.
pub fn remove_named(parent: &mut Value, list: &str) {
    let Some(parent) = parent.as_mapping_mut() else { return };
    let Some(items) = parent.get_mut(list).and_then(Value::as_sequence_mut) else { return };
    items.retain(|item| !is_sidecar(item));
    if items.is_empty() {
        parent.shift_remove(list);
    }
}

/// The mapping under `key`, made if there is none.
pub fn mapping<'a>(parent: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let value = parent.as_mapping_mut()?.entry(key.into()).or_insert_with(|| Value::Mapping(Mapping::new()));
    value.is_mapping().then_some(value)
}

fn remove_from(template: &mut Value) {
    hooks::release(template);
    if let Some(labels) =
        template.get_mut("metadata").and_then(|metadata| metadata.get_mut("labels")).and_then(Value::as_mapping_mut)
    {
        labels.shift_remove(SIDECAR_LABEL);
    }
    if let Some(spec) = template.get_mut("spec") {
        remove_named(spec, "initContainers");
    }
}

/// The value that a text of ours says.
///
/// # Errors
/// Where it is no YAML.
pub fn parsed(text: &str) -> Result<Value, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

fn container(sidecar: &Sidecar, app: &[AppPort], grace: u64) -> Result<Value, String> {
    let mut container = parsed(&format!(
        "
name: {SIDECAR_CONTAINER}
image: placeholder
imagePullPolicy: IfNotPresent
restartPolicy: Always
args: [run, '--admin=[::]:{ADMIN_PORT}', --trusted-key=$(RESTART_CONTROLLER_KEY), --grace-seconds={grace}]
env:
  - name: RESTART_CONTROLLER_KEY
    valueFrom: {{configMapKeyRef: {{name: restart-controller-keys, key: public}}}}
  - name: POD_UID
    valueFrom: {{fieldRef: {{fieldPath: metadata.uid}}}}
ports: [{{name: restart-admin, containerPort: {ADMIN_PORT}}}]
startupProbe: {{httpGet: {{path: /livez, port: {ADMIN_PORT}}}, periodSeconds: 1, failureThreshold: 30}}
readinessProbe: {{httpGet: {{path: /readyz, port: {ADMIN_PORT}}}, periodSeconds: 1, failureThreshold: 2, timeoutSeconds: 5}}
lifecycle: {{preStop: {{exec: {{command: [/restart-sidecar, terminating]}}}}}}
resources: {{requests: {{cpu: 20m, memory: 16Mi}}, limits: {{memory: 64Mi}}}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {{drop: [ALL]}}
  seccompProfile: {{type: RuntimeDefault}}
"
    ))?;
    container["image"] = Value::from(sidecar.image.clone());
    if let Some(key) = &sidecar.key {
        container["args"][2] = Value::from(format!("--trusted-key={key}"));
        container["env"].as_sequence_mut().map(|env| env.remove(0));
    }
    if let Some(args) = container["args"].as_sequence_mut() {
        routes(app).into_iter().rev().for_each(|route| args.insert(1, Value::from(route)));
    }
    if let Some(ports) = container["ports"].as_sequence_mut() {
        for port in app.iter().rev() {
            let name = if port.listen == TRAFFIC_PORT {
                "restart-http".to_owned()
            } else {
                format!("restart-{}", port.listen)
            };
            ports.insert(0, parsed(&format!("{{name: {name}, containerPort: {}}}", port.listen))?);
        }
    }
    Ok(container)
}
