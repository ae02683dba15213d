//! The control: what the same app under the same load loses without any of this, so that the zero means something.
//!
//! **Invariant:** the load and the app are those of the other scenarios; only sidecar, hooks and controller are missing.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::json;

/// `kubectl rollout restart`, and requests are lost.
pub async fn plain_rollout(space: &Space) -> Result<Figures> {
    let app = Template::plain()?.deploy_with_load(space).await?;
    let load = Load::start(space, "plain", &app.address().await?, 200, json!({})).await?;
    load.sent(400).await?;
    space.kubectl(&["rollout", "restart", "deployment/plain"]).await?;
    space.kubectl(&["rollout", "status", "deployment/plain", "--timeout=90s"]).await?;
    app.settled().await?;
    let sent = load.interim().await?.sent;
    load.sent(sent + 400).await?;
    let report = load.stop().await?;
    ensure!(report.failed > 0, "nothing of {} requests was lost: this load would find no fault", report.sent);
    Ok(Figures::default().load(&report).replaced(3).and("as asserted"))
}
