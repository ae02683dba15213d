//! The preStop hooks of the app's containers: each waits for the drain, and a hook that the container has of its own follows.
//!
//! Kubernetes allows a container one hook. Where there is one already, the new one runs the sidecar's program, which the
//! sidecar has copied into a volume; it waits and then does what the old one did.
//!
//! **Invariant:** [`release`] gives back what [`hold`] has changed; only the name of a port becomes its number.

use super::transform::{insert_first, mapping, parsed, ports, remove_named};
use crate::api::names::SIDECAR_CONTAINER;
use crate::wire::{ADMIN_PORT, WAIT_DRAINED_PATH, WAIT_DRAINED_VERB};
use serde_yaml::Value;

/// Where the program is, in the sidecar's container and in the app's.
pub const FOLDER: &str = "/restart-controller";
/// The program of the sidecar there.
const PROGRAM: &str = "/restart-controller/restart-sidecar";
const REPLACE: &str = "change it, or let --replace-prestop drop it";

/// What was done to the hooks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Sentences about each hook that was there.
    pub notes: Vec<String>,
    /// Whether a container runs the program, so that the volume must be there.
    pub needs_program: bool,
}

/// Lets every container of the app wait for the drain. A hook of its own follows, or is dropped where `replaces`.
///
/// # Errors
/// The rest of a sentence about the workload: a hook that cannot be chained.
pub fn hold(template: &mut Value, replaces: bool) -> Result<Held, String> {
    let ports = ports(template);
    let apps = template["spec"].get_mut("containers").and_then(Value::as_sequence_mut).ok_or("has no containers")?;
    let mut held = Held::default();
    for app in apps {
        let name = app.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let old = app.get("lifecycle").and_then(|lifecycle| lifecycle.get("preStop")).cloned();
        let new = match &old {
            Some(hook) if waits(hook) => continue,
            Some(hook) if !replaces => {
                let command = chained(hook, &ports)
                    .map_err(|why| format!("has a preStop hook in container {name} that {why}; {REPLACE}"))?;
                held.notes.push(format!("the preStop hook of container {name} runs after the drain"));
                held.needs_program = true;
                insert_first(app, "volumeMounts", volume_mount(true)?)?;
                exec(command)
            }
            Some(_) => {
                held.notes.push(format!("the preStop hook of container {name} is dropped"));
                waiting()?
            }
            None => waiting()?,
        };
        let lifecycle =
            mapping(app, "lifecycle").ok_or_else(|| format!("has a container {name} whose lifecycle is no mapping"))?;
        lifecycle["preStop"] = new;
    }
    if held.needs_program {
        insert_first(
            &mut template["spec"],
            "volumes",
            parsed(&format!("{{name: {SIDECAR_CONTAINER}, emptyDir: {{}}}}"))?,
        )?;
    }
    Ok(held)
}

/// The mount of the program's volume.
///
/// # Errors
/// Never: the text is YAML.
pub fn volume_mount(read_only: bool) -> Result<Value, String> {
    let mode = if read_only { ", readOnly: true" } else { "" };
    parsed(&format!("{{name: {SIDECAR_CONTAINER}, mountPath: {FOLDER}{mode}}}"))
}

/// Gives every container of the app the hook that it had.
pub fn release(template: &mut Value) {
    let Some(spec) = template.get_mut("spec") else { return };
    for app in spec.get_mut("containers").and_then(Value::as_sequence_mut).into_iter().flatten() {
        let Some(hook) = app.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut("preStop")) else { continue };
        if let Some(own) = unchained(hook) {
            *hook = own;
            remove_named(app, "volumeMounts");
        } else if waits(hook) {
            remove_hook(app);
        }
    }
    remove_named(spec, "volumes");
}

/// Whether the hook waits for the drain.
fn waits(hook: &Value) -> bool {
    let path = hook.get("httpGet").and_then(|get| get.get("path")).and_then(Value::as_str);
    path == Some(WAIT_DRAINED_PATH) || arguments(hook).get(1) == Some(&WAIT_DRAINED_VERB)
}

fn arguments(hook: &Value) -> Vec<&str> {
    let command = hook.get("exec").and_then(|exec| exec.get("command")).and_then(Value::as_sequence);
    command.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What the program is told to do after the drain in place of `hook`.
fn chained(hook: &Value, ports: &[(u64, Option<String>)]) -> Result<Vec<Value>, String> {
    if let Some(command) = hook.get("exec").and_then(|exec| exec.get("command")).and_then(Value::as_sequence) {
        return Ok(std::iter::once(Value::from("--")).chain(command.iter().cloned()).collect());
    }
    if let Some(seconds) = hook.get("sleep").and_then(|sleep| sleep.get("seconds")).and_then(Value::as_u64) {
        return Ok(vec![format!("--then-sleep={seconds}").into()]);
    }
    let get = hook.get("httpGet").ok_or("is neither exec nor httpGet nor sleep")?;
    for (field, plain) in [("host", ""), ("scheme", "HTTP"), ("httpHeaders", "")] {
        if get.get(field).is_some_and(|value| value.as_str() != Some(plain)) {
            return Err(format!("has the field {field}, which the sidecar's program cannot do"));
        }
    }
    let named = |name: &str| ports.iter().find(|(_, known)| known.as_deref() == Some(name)).map(|(number, _)| *number);
    let port = get.get("port").and_then(|port| port.as_u64().or_else(|| named(port.as_str()?)));
    let port = port.ok_or("calls a port that no container declares")?;
    let path = get.get("path").and_then(Value::as_str).unwrap_or("/");
    Ok(vec![format!("--then-get={port}{path}").into()])
}

/// The hook that was chained to this one.
fn unchained(hook: &Value) -> Option<Value> {
    let all = arguments(hook);
    let [PROGRAM, WAIT_DRAINED_VERB, then, rest @ ..] = all.as_slice() else { return None };
    if *then == "--" {
        let command = rest.iter().map(|word| Value::from(*word)).collect();
        return Some(one("exec", one("command", Value::Sequence(command))));
    }
    if let Some(seconds) = then.strip_prefix("--then-sleep=") {
        return Some(one("sleep", one("seconds", Value::from(seconds.parse::<u64>().ok()?))));
    }
    let get = then.strip_prefix("--then-get=")?;
    let (port, path) = get.split_at(get.find('/')?);
    let mut hook = one("path", Value::from(path));
    hook["port"] = Value::from(port.parse::<u64>().ok()?);
    Some(one("httpGet", hook))
}

fn exec(then: Vec<Value>) -> Value {
    let command = [PROGRAM, WAIT_DRAINED_VERB].map(Value::from).into_iter().chain(then).collect();
    one("exec", one("command", Value::Sequence(command)))
}

fn waiting() -> Result<Value, String> {
    parsed(&format!("httpGet: {{path: {WAIT_DRAINED_PATH}, port: {ADMIN_PORT}}}"))
}

fn one(key: &str, value: Value) -> Value {
    Value::Mapping([(Value::from(key), value)].into_iter().collect())
}

fn remove_hook(app: &mut Value) {
    let Some(app) = app.as_mapping_mut() else { return };
    let Some(lifecycle) = app.get_mut("lifecycle").and_then(Value::as_mapping_mut) else { return };
    lifecycle.shift_remove("preStop");
    if lifecycle.is_empty() {
        app.shift_remove("lifecycle");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(hook: &str) -> Value {
        parsed(&format!(
            "spec: {{containers: [{{name: app, ports: [{{name: web, containerPort: 8080}}], lifecycle: {{preStop: {hook}}}}}]}}"
        ))
        .unwrap()
    }

    fn command(template: &Value) -> Vec<String> {
        let hook = &template["spec"]["containers"][0]["lifecycle"]["preStop"];
        arguments(hook).into_iter().map(String::from).collect()
    }

    #[test]
    fn a_hook_of_its_own_follows_the_drain_and_comes_back() {
        for (hook, then) in [
            ("{exec: {command: [sh, -c, 'sleep 5']}}", vec!["--", "sh", "-c", "sleep 5"]),
            ("{httpGet: {path: /stop, port: 8080}}", vec!["--then-get=8080/stop"]),
            ("{sleep: {seconds: 5}}", vec!["--then-sleep=5"]),
        ] {
            let before = template(hook);
            let mut after = before.clone();
            let held = hold(&mut after, false).unwrap();
            assert!(held.needs_program && held.notes == ["the preStop hook of container app runs after the drain"]);
            assert_eq!(command(&after), [&[PROGRAM, "wait-drained"], then.as_slice()].concat());
            let mount = &after["spec"]["containers"][0]["volumeMounts"][0];
            assert_eq!((&mount["mountPath"], &mount["readOnly"]), (&FOLDER.into(), &true.into()));
            assert_eq!(after["spec"]["volumes"][0]["name"], SIDECAR_CONTAINER);
            let once = after.clone();
            assert_eq!((hold(&mut after, false), &after), (Ok(Held::default()), &once), "twice is once");
            release(&mut after);
            assert_eq!(after, before);
        }
    }

    #[test]
    fn a_port_by_its_name_becomes_its_number() {
        let mut after = template("{httpGet: {port: web}}");
        hold(&mut after, false).unwrap();
        assert_eq!(command(&after)[2], "--then-get=8080/");
    }

    #[test]
    fn a_hook_is_dropped_on_demand_only() {
        let mut after = template("{exec: {command: [sleep, '5']}}");
        let held = hold(&mut after, true).unwrap();
        assert!(!held.needs_program && held.notes == ["the preStop hook of container app is dropped"]);
        assert!(waits(&after["spec"]["containers"][0]["lifecycle"]["preStop"]) && command(&after).is_empty());
    }

    #[test]
    fn a_hook_that_cannot_be_chained_is_named() {
        for (hook, part) in [
            ("{httpGet: {path: /, port: 8080, scheme: HTTPS}}", "scheme"),
            ("{httpGet: {path: /, port: 8080, host: other}}", "host"),
            ("{httpGet: {path: /, port: 8080, httpHeaders: [{name: a, value: b}]}}", "httpHeaders"),
            ("{httpGet: {path: /, port: admin}}", "no container declares"),
            ("{tcpSocket: {port: 1}}", "neither exec nor"),
        ] {
            let why = hold(&mut template(hook), false).unwrap_err();
            assert!(why.contains(part) && why.contains("container app") && why.contains("--replace-prestop"), "{why}");
        }
    }
}
