//! A PodDisruptionBudget, and a watch that catches the moment in which it is below what it asks for.
//!
//! **Invariant:** the watch counts from the moment at which the budget's own controller has seen every pod.

use super::app::App;
use super::wait::{until, when};
use super::{Result, ensure};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::watcher::watch_object;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

const NAME: &str = "web";

/// The budget and what was seen of it.
pub struct Budget<'a> {
    app: &'a App<'a>,
    below: Arc<Mutex<Vec<(i32, i32)>>>,
    task: JoinHandle<()>,
}

impl<'a> Budget<'a> {
    /// Writes the budget (`rule` as in its spec) and waits until it is in force for all pods.
    pub async fn create(app: &'a App<'a>, rule: &Value, policy: Option<&str>) -> Result<Self> {
        let mut spec = json!({"selector": {"matchLabels": {"app": app.name}}, "unhealthyPodEvictionPolicy": policy});
        if let (Some(spec), Value::Object(rule)) = (spec.as_object_mut(), rule.clone()) {
            spec.extend(rule);
        }
        let object =
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": NAME}, "spec": spec});
        app.space.apply(&[object]).await?;
        let replicas = i32::try_from(app.pods().await?.len())?;
        let api = app.space.api::<PodDisruptionBudget>();
        until("the budget to be in force", 30, async || {
            let budget = api.get(NAME).await?;
            let generation = budget.metadata.generation;
            let status = budget.status.unwrap_or_default();
            let counted = status.current_healthy == replicas && status.expected_pods == replicas;
            Ok(when(status.observed_generation == generation && counted, || json!(status).to_string()))
        })
        .await?;
        let below = Arc::default();
        let task = tokio::spawn(follow(api, Arc::clone(&below)));
        Ok(Self { app, below, task })
    }

    /// Removes the budget; fails if it was ever below what it asks for.
    pub async fn remove(self) -> Result {
        let api = self.app.space.api::<PodDisruptionBudget>();
        api.delete(NAME, &DeleteParams::default()).await?;
        until("the budget to be gone", 20, async || Ok(when(api.get_opt(NAME).await?.is_none(), || "there".into())))
            .await?;
        let below = self.below.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(below.is_empty(), "[currentHealthy, desiredHealthy] was {below:?}");
        Ok(())
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(api: Api<PodDisruptionBudget>, below: Arc<Mutex<Vec<(i32, i32)>>>) {
    let versions = watch_object(api, NAME);
    pin_mut!(versions);
    while let Some(version) = versions.next().await {
        let Ok(Some(PodDisruptionBudget { status: Some(status), .. })) = version else { continue };
        let PodDisruptionBudgetStatus { current_healthy, desired_healthy, .. } = status;
        if current_healthy < desired_healthy {
            below.lock().unwrap_or_else(PoisonError::into_inner).push((current_healthy, desired_healthy));
        }
    }
}
