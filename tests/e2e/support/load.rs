//! Load on a Service, by the load client of the sample, and its ledger.
//!
//! **Invariant:** the client runs in the scenario's namespace and judges alone; this only asks it.

use super::cluster::{path, with_images};
use super::space::Space;
use super::wait::{Look, until, when};
use super::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CONTROL: &str = "http://127.0.0.1:8080";

/// Deploys the load client. Before the app: its pods find the ledger in their environment.
pub async fn deploy(space: &Space) -> Result {
    let manifest = with_images(&std::fs::read_to_string(path("deploy/samples/load.yaml"))?);
    space.apply(&super::app::documents(&manifest)?).await?;
    let pods = space.api::<Pod>();
    until("the load client to be ready", 60, async || {
        let status = pods.get("load").await?.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        Ok(when(ready, || format!("{:?}", status.phase)))
    })
    .await
}

/// A run of the load client.
pub struct Load<'a> {
    space: &'a Space,
    name: String,
}

/// What the client has found.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Requests issued.
    pub sent: u64,
    /// Lost, in whichever way.
    pub failed: u64,
    /// Sent again after an idle close, RFC 9112 9.5.
    pub retried_idle: u64,
    /// 503 answers with Retry-After that the client obeyed.
    pub turned_away: u64,
    /// By class, with examples.
    pub failures: BTreeMap<String, Value>,
}

impl<'a> Load<'a> {
    /// Starts a run against `target` (IP:port); `more` is merged into its specification.
    pub async fn start(space: &'a Space, name: &str, target: &str, rate: u32, more: Value) -> Result<Self> {
        let mut spec = json!({"name": name, "target": target, "ratePerSecond": rate, "seconds": 1500});
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        ask(space, &["POST", &format!("{CONTROL}/start"), &spec.to_string()]).await?;
        let load = Self { space, name: name.to_owned() };
        load.sent(1).await?;
        Ok(load)
    }

    /// Waits until so many requests have been sent.
    pub async fn sent(&self, count: u64) -> Result {
        until("the load client to send", 120, async || {
            let sent = self.interim().await?.sent;
            Ok(when(sent >= count, || format!("{sent} sent of {count}")))
        })
        .await
    }

    /// Figures so far.
    pub async fn interim(&self) -> Result<Report> {
        report(&ask(self.space, &["GET", &format!("{CONTROL}/report?name={}", self.name)]).await?)
    }

    /// Stops sending, waits for the last answers and compares the ledgers.
    pub async fn stop(self) -> Result<Report> {
        report(&ask(self.space, &["POST", &format!("{CONTROL}/stop?name={}", self.name)]).await?)
    }

    /// Waits for the end of a run that ends by itself.
    pub async fn finished(self) -> Result<Report> {
        report(&ask(self.space, &["GET", &format!("{CONTROL}/report?name={}&wait=true", self.name)]).await?)
    }
}

impl Report {
    /// Fails unless nothing was lost.
    pub fn nothing_lost(&self) -> Result {
        ensure!(self.sent > 0, "no request was sent, so that none lost says nothing");
        ensure!(self.failed == 0, "{} of {} requests were lost: {}", self.failed, self.sent, json!(self.failures));
        Ok(())
    }
}

fn report(text: &str) -> Result<Report> {
    Ok(serde_json::from_str(text)?)
}

/// Waits until the Service answers; kube-proxy may be later than the pods.
pub async fn served(space: &Space, target: &str) -> Result {
    until("the Service to answer", 30, async || {
        Ok(match ask(space, &["GET", &format!("http://{target}/healthz")]).await {
            Ok(_) => Look::Done(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
}

/// One HTTP request from inside the load client's pod.
pub async fn ask(space: &Space, arguments: &[&str]) -> Result<String> {
    space.kubectl(&[&["exec", "load", "--", "/sample", "ask"], arguments].concat()).await
}

/// Every run's figures as they are, for a failure's diagnosis.
pub async fn all(space: &Space) -> String {
    let Ok(status) = ask(space, &["GET", &format!("{CONTROL}/status")]).await else { return "none".into() };
    let runs: BTreeMap<String, Value> = serde_json::from_str(&status).unwrap_or_default();
    let mut text = status;
    for name in runs.keys() {
        text += &ask(space, &["POST", &format!("{CONTROL}/stop?name={name}")]).await.unwrap_or_default();
        text.push('\n');
    }
    text
}
