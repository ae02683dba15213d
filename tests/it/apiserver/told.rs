//! What people are told: log lines, Events, metrics, and what becomes of a configuration file that changes.
//!
//! **Invariant:** everything is read as people read it: standard output, the API, `/metrics`.

use super::requests::{create, minimal, raw};
use super::running::Running;
use super::{UNREADABLE, clients, namespace, until};
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Creates the request and waits until it has ended; returns its code.
pub async fn ended(client: &Client, namespace: &str, object: Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    create(client, namespace, object).await.unwrap();
    until("the request ends", || async {
        raw(client, namespace).get(&name).await.unwrap().data["status"]["step"] == "Finished"
    })
    .await;
    raw(client, namespace).get(&name).await.unwrap().data["status"]["code"].as_str().unwrap_or_default().to_owned()
}

/// Type and reason of all Events about the request, one line each as `kubectl get events` shows them.
async fn events(client: &Client, namespace: &str, name: &str) -> Vec<(String, String)> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let list = events.list(&ListParams::default()).await.unwrap().items;
    let about = list
        .into_iter()
        .filter(|event| event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some(name)));
    let mut told: Vec<_> = about.map(|event| (event.type_.unwrap(), event.reason.unwrap())).collect();
    told.sort();
    told
}

#[tokio::test]
async fn a_request_that_fails_is_told_once_by_its_phase_and_once_by_its_code() {
    let (_, client) = clients().await;
    let namespace = namespace(&client, "told").await;
    let running = Running::start(&namespace).await;
    assert_eq!(ended(&client, &namespace, minimal("web")).await, "RESTART_007");
    let warning = |reason: &str| ("Warning".to_owned(), reason.to_owned());
    let wanted = [warning("Failed"), warning("TargetInvalid")];
    until("both Events are there", || async { events(&client, &namespace, "web").await == wanted }).await;
    let metrics = running.get("/metrics").await;
    let counted = "restart_controller_requests_total{result=\"Failed\",code=\"RESTART_007\"} 1\n";
    assert!(metrics.contains(counted), "{metrics}");
    running.stop().await;
}

#[tokio::test]
async fn every_line_about_a_request_says_of_which_and_the_audit_says_who_what_why_and_result() {
    let (_, client) = clients().await;
    let namespace = namespace(&client, "lines").await;
    let running = Running::start_with(&namespace, &["--log", "debug,kube=info,hyper=info,h2=info,tower=info"]).await;
    ended(&client, &namespace, minimal("web")).await;
    let (_, log) = running.stop().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decided: Vec<_> = lines.iter().filter(|line| line["message"] == "decided").collect();
    assert!(!decided.is_empty(), "{log}");
    for line in decided {
        assert_eq!((&line["namespace"], &line["name"]), (&json!(namespace), &json!("web")), "{line}");
        assert!(line["uid"].is_string(), "{line}");
    }
    let audit: Vec<_> = lines.iter().filter(|line| line["target"] == "audit").collect();
    assert_eq!(audit.len(), 1, "{audit:?}");
    for (field, value) in [
        ("what", "restart Deployment/web"),
        ("why", "new price table"),
        ("result", "TargetInvalid"),
        ("phase", "Failed"),
    ] {
        assert_eq!(audit[0][field], value, "{}", audit[0]);
    }
    assert!(audit[0]["who"].is_string() && audit[0]["uid"].is_string() && audit[0]["namespace"] == namespace);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_has_a_warning_that_says_so() {
    let (_, client) = clients().await;
    let running = Running::start(UNREADABLE).await;
    let wanted = ("Warning".to_owned(), "Unreadable".to_owned());
    until("the Event is there", || async { events(&client, UNREADABLE, UNREADABLE).await.contains(&wanted) }).await;
    running.stop().await;
}

/// As the kubelet does it: a directory beside the old one, and one link that moves from it to the other.
fn mount(directory: &Path, version: u32, text: &str) {
    let data = directory.join(format!("..{version}"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("config.yaml"), text).unwrap();
    symlink(format!("..{version}"), directory.join("..data_tmp")).unwrap();
    std::fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    if version == 1 {
        symlink("..data/config.yaml", directory.join("config.yaml")).unwrap();
    }
}

fn forced(name: &str) -> Value {
    let mut object = minimal(name);
    object["spec"]["force"] = json!(true);
    object
}

#[tokio::test]
async fn a_changed_configuration_holds_for_the_next_request_and_a_broken_one_is_told_and_changes_nothing() {
    let (_, client) = clients().await;
    let namespace = namespace(&client, "config").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    mount(directory.path(), 1, "restart: {}\n");
    let mut running = Running::start_with(&namespace, &["--config", file.to_str().unwrap()]).await;
    let (valid, broken) = ("restart_controller_config_valid 1\n", "restart_controller_config_valid 0\n");
    assert!(running.get("/metrics").await.contains(valid));
    assert_eq!(ended(&client, &namespace, forced("one")).await, "RESTART_007", "force is allowed");
    mount(directory.path(), 2, "restart: {enableForceRestart: false}\n");
    running.line(|line| line["message"] == "configuration read again").await;
    assert_eq!(ended(&client, &namespace, forced("two")).await, "RESTART_011");
    mount(directory.path(), 3, "restart: {enableForceRestart: perhaps}\n");
    let told = running.line(|line| line["level"] == "ERROR").await;
    assert!(told["why"].as_str().unwrap().contains("enableForceRestart"), "{told}");
    let metrics = running.get("/metrics").await;
    assert!(metrics.contains(broken) && metrics.contains("config_reloads_total{result=\"error\"} 1\n"), "{metrics}");
    assert_eq!(ended(&client, &namespace, forced("three")).await, "RESTART_011", "the old one stays");
    mount(directory.path(), 4, "restart: {enableForceRestart: true}\n");
    running.line(|line| line["message"] == "configuration read again").await;
    assert!(running.get("/metrics").await.contains(valid));
    assert_eq!(ended(&client, &namespace, forced("four")).await, "RESTART_007");
    running.stop().await;
}
