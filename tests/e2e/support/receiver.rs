//! A receiver of hooks in the scenario's namespace: the sample, which tells afterwards what it was sent.
//!
//! **Invariant:** what was received is asked of the receiver itself, never guessed from the request's status.

use super::cluster::with_images;
use super::space::Space;
use super::wait::{until, when};
use super::{Result, load};
use k8s_openapi::api::core::v1::{Pod, Service};
use serde::Deserialize;
use serde_json::{Value, json};

/// The receiver.
#[derive(Clone, Copy)]
pub struct Receiver<'a> {
    space: &'a Space,
}

/// One request that it was sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// GET, POST or PUT.
    pub method: String,
    /// With the query.
    pub path: String,
    /// The header `Idempotency-Key`.
    pub idempotency_key: String,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// As it was sent.
    pub body: String,
}

impl<'a> Receiver<'a> {
    /// Deploys it and waits until its Service answers.
    pub async fn deploy(space: &'a Space) -> Result<Self> {
        load::deploy(space).await?;
        space.apply(&[pod("receiver", &json!({"app": "receiver"}), &["app"]), service()]).await?;
        until("the receiver to be ready", 60, async || {
            let status = space.api::<Pod>().get("receiver").await?.status.unwrap_or_default();
            let mut conditions = status.conditions.iter().flatten();
            let ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
            Ok(when(ready, || format!("{:?}", status.phase)))
        })
        .await?;
        let spec = space.api::<Service>().get("receiver").await?.spec.unwrap_or_default();
        load::served(space, &format!("{}:80", spec.cluster_ip.unwrap_or_default())).await?;
        Ok(Self { space })
    }

    /// Where a pod sends something to it that has this word in its path.
    pub async fn url(&self, word: &str) -> Result<String> {
        let spec = self.space.api::<Service>().get("receiver").await?.spec.unwrap_or_default();
        Ok(format!("http://{}/hook?{word}", spec.cluster_ip.unwrap_or_default()))
    }

    /// Everything so far, in order.
    pub async fn received(&self) -> Result<Vec<Received>> {
        let asked = ["exec", "receiver", "--", "/sample", "ask", "GET", "http://127.0.0.1:8080/hooks"];
        Ok(serde_json::from_str(&self.space.kubectl(&asked).await?)?)
    }

    /// What was sent to a path that has this word.
    pub async fn with(&self, word: &str) -> Result<Vec<Received>> {
        Ok(self.received().await?.into_iter().filter(|one| one.path.contains(word)).collect())
    }

    /// Waits until something was sent to a path that has this word.
    pub async fn awaited(&self, word: &str) -> Result {
        until(&format!("the receiver to be sent {word}"), 60, async || {
            let count = self.with(word).await?.len();
            Ok(when(count > 0, || "nothing".into()))
        })
        .await
    }
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "receiver"},
        "spec": {"selector": {"app": "receiver"}, "ports": [{"port": 80, "targetPort": 8080}]}})
}

fn pod(name: &str, labels: &Value, arguments: &[&str]) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": pod_spec(arguments)})
}

/// A pod's specification that runs the sample.
pub fn pod_spec(arguments: &[&str]) -> Value {
    let image = with_images(&format!("restart-controller.dev/sample:{}", env!("CARGO_PKG_VERSION")));
    json!({"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false, "containers": [{
        "name": "sample", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["/sample"], "args": arguments}]})
}

/// A hook that is a Job running the sample; `more` is merged into the hook.
pub fn job(name: &str, arguments: &[&str], more: Value) -> Value {
    let template = json!({"spec": {"template": {"spec": pod_spec(arguments)}}});
    hook(name, json!({"job": {"template": template}}), more)
}

/// A hook that is a request to the receiver, which answers as the query asks; `more` is merged into the hook.
pub fn http(name: &str, query: &str, more: Value) -> Value {
    hook(name, json!({"http": {"url": format!("http://receiver/hook?{query}")}}), more)
}

fn hook(name: &str, mut hook: Value, more: Value) -> Value {
    hook["name"] = json!(name);
    merge(&mut hook, more);
    hook
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
