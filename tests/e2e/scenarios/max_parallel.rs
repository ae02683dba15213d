//! `strategy.maxParallel`, as a count and as a percentage: so many pods are worked on at once and never more.
//!
//! **Invariant:** what was detached at once is counted by a watch of its own, not read from the status.

use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::pods::PodWatch;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::json;

/// Three of four, then half of them.
pub async fn count_and_percent(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(4).deploy_with_load(space).await?;
    let load = Load::start(space, "parallel", &app.address().await?, 60, json!({})).await?;
    for (name, parallel, most) in [("count", json!(3), 3), ("percent", json!("50%"), 2)] {
        let watch = PodWatch::start(&app).await?;
        let old = app.uids().await?;
        let spec = json!({"strategy": {"maxParallel": parallel}, "verify": {"soakSeconds": 0}});
        Request::apply(space, name, "web", spec).await?.completed(240).await?;
        app.whole().await?;
        ensure!(old.is_disjoint(&app.uids().await?), "{name}: not every pod was replaced");
        ensure!(watch.most_detached() == most, "{name}: {} pods were detached at once", watch.most_detached());
    }
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok(Figures::default().load(&report).replaced(8).and("3 and 50% of 4: at most 3 and 2 at once"))
}
