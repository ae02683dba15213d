//! The controller's program against a real API server: start, keys, readiness, a request that cannot be read, the end.

use super::running::Running;
use super::{PATIENCE, UNREADABLE, clients, namespace};
use crate::apiserver::requests::{create, minimal, raw};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use restart_controller::wire::parse_public_key;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn it_makes_its_key_once_publishes_one_half_and_logs_nothing_of_the_other() {
    let (reader, writer) = clients().await;
    let namespace = namespace(&writer, "keys").await;
    let (_, log) = Running::start(&namespace).await.stop().await;
    let maps: Api<ConfigMap> = Api::namespaced(reader.clone(), &namespace);
    let public = |map: ConfigMap| map.data.unwrap()["public"].clone();
    let first = public(maps.get("restart-controller-keys").await.unwrap());
    parse_public_key(&first).unwrap();
    let secrets: Api<Secret> = Api::namespaced(reader, &namespace);
    let secret = serde_json::to_value(secrets.get("restart-controller-keys").await.unwrap()).unwrap();
    assert!(!log.contains(secret["data"]["ed25519-seed"].as_str().unwrap()));
    let forged = json!({"data": {"public": "k=forged", "note": "kept"}});
    maps.patch("restart-controller-keys", &PatchParams::default(), &Patch::Merge(forged)).await.unwrap();
    Running::start(&namespace).await.stop().await;
    let map = maps.get("restart-controller-keys").await.unwrap();
    assert_eq!(map.data.as_ref().unwrap()["note"], "kept");
    assert_eq!(public(map), first, "the key stays and what is published is corrected");
}

#[tokio::test]
async fn two_that_start_together_agree_on_one_key() {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "race").await;
    let (mut one, mut other) = tokio::join!(Running::start(&namespace), Running::start(&namespace));
    let key = |running: &mut Running| {
        let lines: Vec<Value> = running.seen.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter().find_map(|line| line["key"].as_str().map(str::to_owned)).unwrap()
    };
    assert_eq!(key(&mut one), key(&mut other));
}

#[tokio::test]
async fn it_is_ready_when_its_requests_are_listed_and_ends_within_two_seconds_of_sigterm() {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "ends").await;
    let running = Running::start(&namespace).await;
    assert!(running.get("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(running.get("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(running.get("/metrics").await.contains("restart_controller_build_info{"));
    let (took, log) = running.stop().await;
    assert!(took < Duration::from_secs(2), "{took:?}: {log}");
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_told_and_stops_nobody_else() {
    let (reader, writer) = clients().await;
    let mut running = Running::start(UNREADABLE).await;
    let told = running.line(|line| line["name"] == UNREADABLE && line["level"] == "ERROR").await;
    assert!(told["message"].as_str().unwrap().contains("cannot be read"), "{told}");
    let name = format!("good-{}", std::process::id());
    create(&writer, UNREADABLE, minimal(&name)).await.unwrap();
    let seen = |request: Option<&DynamicObject>| {
        request.is_some_and(|request| request.data["status"]["observedGeneration"] == 1)
    };
    let good = await_condition(raw(&reader, UNREADABLE), &name, seen);
    tokio::time::timeout(PATIENCE, good).await.expect("the good request is taken up").unwrap();
    // Of the two that may be there, as `define` makes them.
    assert!(!running.get("/metrics").await.contains("restart_controller_undecodable_objects_total 0\n"));
    let left_alone = raw(&writer, UNREADABLE).get(UNREADABLE).await.unwrap();
    assert_eq!(left_alone.data["status"]["estimatedSeconds"], "many");
}
