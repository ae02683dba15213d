//! Every way in which a pod reads a ConfigMap, text and bytes: all of it goes back, and none of it is written elsewhere.
//!
//! **Invariant:** data stands in ConfigMaps and nowhere else: not in a status, an Event, a log line or a metric.

use super::{BAD, content, good, restart};
use crate::support::app::{Content, Template};
use crate::support::figures::Figures;
use crate::support::request::{condition, sentence};
use crate::support::space::Space;
use crate::support::{Result, controller, ensure};
use restart_controller::api::{Code, ConditionStatus};
use serde_json::{Value, json};

/// A word that is nowhere else in the cluster.
const MARK: &str = "zebra-in-the-data";
const MAPS: [&str; 4] = ["web-config", "bytes", "env-all", "env-one"];

/// A projected volume, a volume of bytes as large as there can be, `envFrom`, `valueFrom`, and one that need not exist.
pub async fn all_back(space: &Space) -> Result<Figures> {
    space.apply(&maps("first", "AP+AAQI=", "")).await?;
    let app = Template::web()?.replicas(1).edit_pod(reads).deploy(space).await?;
    let mut before: Vec<Content> = vec![];
    for map in MAPS {
        before.push(good(&app, map).await?);
    }
    space.apply(&maps("second", "AQIDBA==", MARK)).await?;
    app.edit_config(&format!("{BAD}# {MARK}\n")).await?;
    restart(&app, "web", json!({})).await?.failed_and_restored(Code::ReplacementUnhealthy, 120).await?;
    for (map, before) in MAPS.into_iter().zip(&before) {
        ensure!(content(&app, map).await? == *before, "ConfigMap {map} is not as it was");
    }
    nowhere_else(space).await?;
    Ok(Figures::note("4 ConfigMaps, 1 MB of bytes among them, byte for byte; their data is nowhere else"))
}

/// Deleted and made anew, bad and immutable: nobody can write it back, so that is told, and the old pods serve.
pub async fn immutable_live(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    good(&app, "web-config").await?;
    let old = app.uids().await?;
    space.kubectl(&["delete", "configmap", "web-config"]).await?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config"}, "immutable": true,
        "data": {"config.yaml": BAD}});
    space.apply(&[map]).await?;
    let status = restart(&app, "web", json!({})).await?.failed(Code::ReplacementUnhealthy, 150).await?;
    let restored = status.conditions.iter().find(|condition| condition.condition_type == "Restored");
    let told = restored.is_some_and(|restored| {
        restored.reason == "RestoreRefused"
            && restored.message.contains("ConfigMap")
            && restored.message.contains("immutable")
    });
    ensure!(told && condition(&status, "Restored") == Some(ConditionStatus::False), "not told: {}", sentence(&status));
    app.whole().await?;
    ensure!(app.uids().await? == old, "the old pod was replaced");
    Ok(Figures::note(restored.map(|restored| restored.message.clone()).unwrap_or_default()))
}

fn maps(value: &str, bytes: &str, mark: &str) -> Vec<Value> {
    let map = |name: &str, more: Value| {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        if let Some((map, more)) = map.as_object_mut().zip(more.as_object().cloned()) {
            map.extend(more);
        }
        map
    };
    // 1,044,480 bytes: with the other keys just below the API server's limit of 1 MiB.
    let large = bytes.chars().next().map(|letter| letter.to_string().repeat(1_392_640)).unwrap_or_default();
    vec![
        map(
            "bytes",
            json!({"binaryData": {"logo.bin": bytes, "large.bin": large}, "data": {"text": format!("{value}{mark}")}}),
        ),
        map("env-all", json!({"data": {"ALL": format!("{value}{mark}")}})),
        map("env-one", json!({"data": {"one": format!("{value}{mark}")}})),
    ]
}

fn reads(pod: &mut Value) {
    let config =
        pod["volumes"].as_array_mut().and_then(|volumes| volumes.iter_mut().find(|volume| volume["name"] == "config"));
    if let Some(volume) = config {
        *volume = json!({"name": "config", "projected": {"sources": [{"configMap": {"name": "web-config"}}]}});
    }
    if let Some(volumes) = pod["volumes"].as_array_mut() {
        volumes.push(json!({"name": "bytes", "configMap": {"name": "bytes"}}));
        volumes.push(json!({"name": "absent", "configMap": {"name": "absent", "optional": true}}));
    }
    let app = &mut pod["containers"][0];
    app["envFrom"] = json!([{"configMapRef": {"name": "env-all"}}]);
    app["env"] = json!([{"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "env-one", "key": "one"}}}]);
    if let Some(mounts) = app["volumeMounts"].as_array_mut() {
        mounts.push(json!({"name": "bytes", "mountPath": "/bytes"}));
        mounts.push(json!({"name": "absent", "mountPath": "/absent"}));
    }
}

async fn nowhere_else(space: &Space) -> Result {
    let objects = space.kubectl(&["get", "rr,rh,events,pods,deployments", "-o", "yaml"]).await?;
    let places = [("an object", objects), ("the log", controller::log(&space.name).await)];
    for (place, text) in places {
        ensure!(!text.contains(MARK), "data of a ConfigMap stands in {place}");
    }
    Ok(())
}
