//! The definition of RestartRequest is upgraded in mid-run, and the upgrade taken back.
//!
//! **Invariant:** nobody's kubectl learns of the version that is gone at the end; the stored version stays the one that the controller speaks.

use super::Scene;
use crate::support::cluster::kubectl;
use crate::support::figures::Figures;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use serde_json::{Value, json};

const NAME: &str = "restartrequests.restart-controller.dev";

/// A second version is served beside it, then no more.
pub async fn upgraded(space: &Space) -> Result<Figures> {
    let scene = Scene::draining(space, 2, json!({"strategy": {"maxParallel": 1}})).await?;
    let served = serve_another(space).await;
    // Whatever came of it: the other scenarios need the definition as it was.
    without_another().await?;
    served?;
    scene.request.completed(120).await?;
    scene.app.whole().await?;
    ensure!(scene.app.uids().await?.is_disjoint(&scene.old), "not every pod was replaced");
    Ok(scene.end().await?.1.and("v1alpha2 served beside v1alpha1, then no more: Completed"))
}

async fn serve_another(space: &Space) -> Result {
    change(|versions| {
        let mut another = versions[0].clone();
        another["name"] = json!("v1alpha2");
        another["storage"] = json!(false);
        versions.push(another);
    })
    .await?;
    let path = format!("/apis/restart-controller.dev/v1alpha2/namespaces/{}/restartrequests/web", space.name);
    until("the request to be read as v1alpha2", 30, async || {
        let read = kubectl(&["get", "--raw", &path], "").await?;
        Ok(when(read.contains("\"apiVersion\":\"restart-controller.dev/v1alpha2\""), || read.clone()))
    })
    .await
}

async fn without_another() -> Result {
    change(|versions| versions.retain(|version| version["name"] != "v1alpha2")).await
}

async fn change(change: impl FnOnce(&mut Vec<Value>)) -> Result {
    let read = kubectl(&["get", "customresourcedefinition", NAME, "-o", "json"], "").await?;
    let mut definition: Value = serde_json::from_str(&read)?;
    change(definition["spec"]["versions"].as_array_mut().ok_or("the definition has no versions")?);
    kubectl(&["replace", "-f", "-"], &definition.to_string()).await?;
    Ok(())
}
