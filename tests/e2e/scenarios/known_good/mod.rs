//! Last-known-good, and what it is good for: restores without an earlier run, shared ConfigMaps, `reload: false`.
//!
//! **Invariant:** what is known to be good is judged by the copy that a restore would write, byte for byte.

pub mod baseline;
pub mod bytes;
pub mod configured;
pub mod history;
pub mod orphan;
pub mod reload;
pub mod shared;

use crate::support::Result;
use crate::support::app::{App, Content};
use crate::support::request::Request;
use crate::support::wait::{Look, until};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

const BAD: &str = "greeting: never seen\nexitAtStart: true\n";

/// What a restore would write into a ConfigMap; absent while nothing is known to be good.
async fn known(app: &App<'_>, map: &str) -> Result<Option<Content>> {
    let history = app.history().await?.and_then(|history| history.status).unwrap_or_default();
    let Some(good) = history.last_known_good.into_iter().find(|good| good.config_map == map) else { return Ok(None) };
    Ok(Some(content(app, &good.snapshot).await?))
}

async fn content(app: &App<'_>, map: &str) -> Result<Content> {
    let map = app.space.api::<ConfigMap>().get(map).await?;
    Ok((json!(map.data), json!(map.binary_data)))
}

/// Waits until what the ConfigMap holds is known to be good.
pub async fn good(app: &App<'_>, map: &str) -> Result<Content> {
    until(&format!("ConfigMap {map} to be known as good for {}", app.name), 30, async || {
        let (live, known) = (content(app, map).await?, known(app, map).await?);
        Ok(if known.as_ref() == Some(&live) { Look::Done(live) } else { Look::NotYet(format!("known: {known:?}")) })
    })
    .await
}

/// A restart of all pods at once.
async fn restart<'a>(app: &App<'a>, name: &str, config: Value) -> Result<Request<'a>> {
    let spec = json!({"config": config, "strategy": {"maxParallel": "100%"}, "progressDeadlineSeconds": 90});
    Request::apply(app.space, name, app.name, spec).await
}
