//! Cancelling a restart, which is possible until the first pod is touched.
//!
//! **Invariant:** the controller decides; here is refused only what can no longer be.

use super::words::phase;
use super::{Error, RestartClient};
use crate::api::{Phase, RestartRequest, TargetRef};
use kube::api::{Patch, PatchParams};
use serde_json::json;

impl RestartClient {
    /// Cancels the workload's restart that has not begun to replace pods.
    ///
    /// # Errors
    /// [`Error::CannotCancel`] when there is none, or it is too late.
    pub async fn cancel_restart(&self, target: &TargetRef) -> Result<RestartRequest, Error> {
        match self.newest(target).await? {
            Some(request) => self.cancel(&request, false).await,
            None => Err(Error::CannotCancel(format!(
                "no restart of {target} was ever asked for in namespace {}",
                self.namespace()
            ))),
        }
    }

    /// Cancels this request.
    ///
    /// # Errors
    /// [`Error::CannotCancel`] when it has ended or is past Preparing.
    pub async fn cancel(&self, request: &RestartRequest, dry_run: bool) -> Result<RestartRequest, Error> {
        let name = request.metadata.name.clone().unwrap_or_default();
        let object = format!("{}/{name}", self.namespace());
        match phase(request) {
            Phase::Pending | Phase::Preparing => {}
            Phase::Restarting | Phase::WaitingRequests | Phase::Recovering => {
                let word = phase(request).word();
                return Err(Error::CannotCancel(format!(
                    "restart {object} is in phase {word}: pods have been touched, and it goes on to a safe end"
                )));
            }
            Phase::Completed | Phase::Failed | Phase::Cancelled => {
                return Err(Error::CannotCancel(format!("restart {object} has ended: {}", phase(request).word())));
            }
        }
        let parameters =
            PatchParams { dry_run, field_manager: Some(super::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": {"uid": request.metadata.uid}, "spec": {"cancel": true}}));
        let done = self.requests().patch(&name, &parameters, &patch).await;
        done.map_err(|source| Error::kube(format!("cancel RestartRequest {object}"), source))
    }
}
