//! `ttlSecondsAfterFinished`: a finished request goes after its time, but not under the hands of a GitOps tool.
//!
//! **Invariant:** the one that stays has finished before the one that goes.

use crate::support::figures::Figures;
use crate::support::request::{Request, create, manifest};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::json;

/// Both have two seconds; one carries Flux's label, which would only make it anew.
pub async fn ends(space: &Space) -> Result<Figures> {
    let spec = || json!({"ttlSecondsAfterFinished": 2});
    let mut owned = manifest("owned", "nobody", spec());
    owned["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "apps"});
    create(space, owned).await?;
    let owned = Request::named(space, "owned");
    owned.failed(Code::TargetInvalid, 20).await?;
    let plain = Request::apply(space, "plain", "nobody", spec()).await?;
    plain.failed(Code::TargetInvalid, 20).await?;
    plain.gone(20).await?;
    let status = owned.status().await?;
    ensure!(status.code == Some(Code::TargetInvalid), "the request of a GitOps tool was changed: {status:?}");
    Ok(Figures::note("gone after 2 s; the one with Flux's label stays"))
}
