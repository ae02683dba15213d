//! RestartRequests: applied, followed, and their end.
//!
//! **Invariant:** a request is written as JSON, as users' YAML reaches the API server, never by the library's types;
//! a scenario that leaves something out leaves it out.

use super::space::Space;
use super::wait::{Look, until, when};
use super::{Error, Result, ensure};
use futures::{StreamExt as _, pin_mut};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::watcher::watch_object;
use kube::{Api, ResourceExt as _};
use restart_controller::api::{Code, ConditionStatus, Phase, RestartRequest, RestartRequestStatus, Step};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// A request in a namespace.
#[derive(Clone)]
pub struct Request<'a> {
    space: &'a Space,
    /// Its name.
    pub name: String,
}

/// The manifest of a request for Deployment `target`; `more` is merged into its spec.
pub fn manifest(name: &str, target: &str, more: Value) -> Value {
    let mut spec = json!({"targetRef": {"kind": "Deployment", "name": target}, "reason": "end-to-end test", "verify": {"soakSeconds": 1}});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    json!({"apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": name}, "spec": spec})
}

/// Creates whatever the manifest says; the API server's refusal is the error.
pub async fn create(space: &Space, manifest: Value) -> std::result::Result<(), kube::Error> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(space.cluster.client.clone(), &space.name, &ApiResource::erase::<RestartRequest>(&()));
    let object: DynamicObject = serde_json::from_value(manifest).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &object).await.map(|_| ())
}

impl<'a> Request<'a> {
    /// The request of a name, which may not be there yet.
    pub fn named(space: &'a Space, name: &str) -> Self {
        Self { space, name: name.to_owned() }
    }

    /// Asks for a restart.
    pub async fn apply(space: &'a Space, name: &str, target: &str, more: Value) -> Result<Self> {
        create(space, manifest(name, target, more)).await?;
        Ok(Self::named(space, name))
    }

    fn api(&self) -> Api<RestartRequest> {
        self.space.api()
    }

    /// Its status as it is.
    pub async fn status(&self) -> Result<RestartRequestStatus> {
        Ok(self.api().get(&self.name).await?.status.unwrap_or_default())
    }

    /// What changes with every change of the object.
    pub async fn version(&self) -> Result<Option<String>> {
        Ok(self.api().get(&self.name).await?.resource_version())
    }

    /// Its UID.
    pub async fn uid(&self) -> Result<Option<String>> {
        Ok(self.api().get(&self.name).await?.uid())
    }

    /// Merges a patch into the object.
    pub async fn patch(&self, patch: Value) -> std::result::Result<RestartRequest, kube::Error> {
        self.api().patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// Merges a patch into the status, as only the controller should.
    pub async fn patch_status(&self, patch: Value) -> std::result::Result<RestartRequest, kube::Error> {
        self.api().patch_status(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// Deletes it; its finalizer may hold it.
    pub async fn delete(&self) -> Result {
        self.api().delete(&self.name, &kube::api::DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until it no longer exists.
    pub async fn gone(&self, seconds: u64) -> Result {
        until(&format!("RestartRequest {} to be gone", self.name), seconds, async || {
            let found = self.api().get_opt(&self.name).await?;
            Ok(when(found.is_none(), || {
                format!("{:?}", found.and_then(|request| request.status).map(|status| status.phase))
            }))
        })
        .await
    }

    /// Follows the status until `reached` says so; sees every version that the watch delivers.
    pub async fn until(
        &self,
        what: &str,
        seconds: u64,
        reached: impl Fn(&RestartRequestStatus) -> bool,
    ) -> Result<RestartRequestStatus> {
        let follow = async {
            let versions = watch_object(self.api(), &self.name);
            pin_mut!(versions);
            while let Some(version) = versions.next().await {
                let Ok(Some(request)) = version else { continue };
                let status = request.status.unwrap_or_default();
                if reached(&status) {
                    return Ok(status);
                }
                let terminal = status.phase.is_some_and(Phase::is_terminal);
                ensure!(!terminal, "{} ended without {what}: {}", self.name, sentence(&status));
            }
            Err::<_, Error>("the watch ended".into())
        };
        match timeout(Duration::from_secs(seconds), follow).await {
            Ok(found) => found,
            Err(_) => {
                Err(format!("waited {seconds} s for {what} of {}; now: {}", self.name, sentence(&self.status().await?))
                    .into())
            }
        }
    }

    /// Looks at the status until `reached` says so, whatever ends in between.
    pub async fn reached(
        &self,
        what: &str,
        seconds: u64,
        reached: impl Fn(&RestartRequestStatus) -> bool,
    ) -> Result<RestartRequestStatus> {
        until(what, seconds, async || {
            let status = self.status().await?;
            Ok(if reached(&status) { Look::Done(status) } else { Look::NotYet(sentence(&status)) })
        })
        .await
    }

    /// Waits until this step has been entered.
    pub async fn entered(&self, step: Step) -> Result<RestartRequestStatus> {
        self.until(&format!("step {step:?}"), 120, |status| status.step == Some(step)).await
    }

    /// Waits for the end, whichever it is.
    pub async fn ended(&self, seconds: u64) -> Result<RestartRequestStatus> {
        until(&format!("the end of RestartRequest {}", self.name), seconds, async || {
            let request = self.api().get(&self.name).await?;
            let finalizers = request.finalizers().len();
            let status = request.status.unwrap_or_default();
            let ended = status.phase.is_some_and(Phase::is_terminal) && finalizers == 0;
            Ok(if ended { Look::Done(status) } else { Look::NotYet(sentence(&status)) })
        })
        .await
    }

    /// Waits for the end, which must be Completed.
    pub async fn completed(&self, seconds: u64) -> Result<RestartRequestStatus> {
        let status = self.ended(seconds).await?;
        ensure!(status.phase == Some(Phase::Completed), "{} is not Completed: {}", self.name, sentence(&status));
        Ok(status)
    }

    /// Waits for the end, which must be Failed with this code.
    pub async fn failed(&self, code: Code, seconds: u64) -> Result<RestartRequestStatus> {
        let status = self.ended(seconds).await?;
        let failed = status.phase == Some(Phase::Failed) && status.code == Some(code);
        ensure!(failed, "{} is not Failed with {}: {}", self.name, code.number(), sentence(&status));
        Ok(status)
    }

    /// The same, and everything is back.
    pub async fn failed_and_restored(&self, code: Code, seconds: u64) -> Result<RestartRequestStatus> {
        let status = self.failed(code, seconds).await?;
        ensure!(
            condition(&status, "Restored") == Some(ConditionStatus::True),
            "{} is not restored: {}",
            self.name,
            sentence(&status)
        );
        Ok(status)
    }
}

/// A condition's value.
pub fn condition(status: &RestartRequestStatus, kind: &str) -> Option<ConditionStatus> {
    status.conditions.iter().find(|condition| condition.condition_type == kind).map(|condition| condition.status)
}

/// The status for people.
pub fn sentence(status: &RestartRequestStatus) -> String {
    let code = status.code.map_or("", Code::number);
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .map(|condition| format!("{}={:?}({})", condition.condition_type, condition.status, condition.reason))
        .collect();
    format!(
        "{:?}/{:?} {code} {} {:?} [{}]",
        status.phase,
        status.step,
        status.progress,
        status.message,
        conditions.join(" ")
    )
}

/// How long it took, in seconds with one decimal.
pub fn took(status: &RestartRequestStatus) -> String {
    match (&status.started_at, &status.finished_at) {
        (Some(start), Some(end)) => format!("{} s", end.0.duration_since(start.0).as_secs()),
        _ => "?".into(),
    }
}
