//! The namespace is deleted in mid-run: nothing of ours holds it.
//!
//! **Invariant:** the time is taken from the deletion to the moment at which the namespace no longer exists.

use crate::support::Result;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use restart_controller::api::Step;
use serde_json::json;
use std::time::Instant;

/// Gone within a minute, with request, history, finalizers and detached pods.
pub async fn deleted(space: &Space) -> Result<Figures> {
    let _app = Template::web()?.replicas(2).deploy(space).await?;
    let request = Request::apply(space, "web", "web", json!({"strategy": {"maxParallel": "100%"}})).await?;
    request.entered(Step::Draining).await?;
    let namespaces: Api<Namespace> = Api::all(space.cluster.client.clone());
    let began = Instant::now();
    namespaces.delete(&space.name, &DeleteParams::default()).await?;
    until("the namespace to be gone", 60, async || {
        let found = namespaces.get_opt(&space.name).await?;
        Ok(when(found.is_none(), || format!("{:?}", found.and_then(|namespace| namespace.status))))
    })
    .await?;
    Ok(Figures::note(format!("gone after {:.1?}", began.elapsed())))
}
