//! Would the API server take a Job? Asked with `dryRun` before the run begins, where nothing has to be put back.
//!
//! **Invariant:** nothing is made here, whatever the answer.

use crate::api::names;
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, PostParams};

/// What the API server has against it; absent: nothing.
///
/// # Errors
/// When it did not answer.
pub async fn refusal(ctx: &Context, namespace: &str, job: &Job) -> Result<Option<String>, Error> {
    let api: Api<Job> = Api::namespaced(ctx.writer.clone(), namespace);
    let params = PostParams { dry_run: true, field_manager: Some(names::FIELD_MANAGER.to_owned()) };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    match call(format!("ask whether Job {namespace}/{name} may be created"), api.create(&params, job)).await {
        Ok(_) => Ok(None),
        // An admission webhook that cannot be asked so has its say when the Job is made.
        Err(error) if error.server_message().is_some_and(|said| said.contains("does not support dry run")) => Ok(None),
        Err(error) if error.is_refusal() => Ok(Some(error.server_message().unwrap_or_default().to_owned())),
        Err(error) if error.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}
