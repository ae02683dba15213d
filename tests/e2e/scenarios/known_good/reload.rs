//! `config.reload: false`: pods start on last-known-good or not at all.
//!
//! **Invariant:** a refused request touches nothing.

use super::{good, restart};
use crate::scenarios::input::refused;
use crate::support::Result;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::space::Space;
use restart_controller::api::Code;
use serde_json::json;

/// Refused while the ConfigMap differs, completed when it is as it was.
pub async fn holds_to_what_is_known(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let before = good(&app, "web-config").await?;
    app.edit_config("greeting: another\n").await?;
    let words = ["ConfigMap web-config is not what the workload last ran well with"];
    let figures = refused(&app, json!({"config": {"reload": false}}), Code::ConfigDrift, &words).await?;
    app.edit_config(before.0["config.yaml"].as_str().unwrap_or_default()).await?;
    restart(&app, "as-before", json!({"reload": false})).await?.completed(90).await?;
    Ok(figures.and("put back: Completed").replaced(1))
}
