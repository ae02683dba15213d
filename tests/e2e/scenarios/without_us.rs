//! The controller, its key, its records or its definitions are gone.
//!
//! **Invariant:** what is left can be put back or let go by the commands of the book, and what comes back is served again.

use super::known_good::good;
use crate::support::app::{App, Template, is_detached};
use crate::support::figures::Figures;
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::wait::{Look, until, when};
use crate::support::{Result, controller, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use restart_controller::api::{Code, Phase, RestartHistory, RestartRequest, Step};
use serde_json::{Value, json};
use std::process::Output;

const REQUESTS: &str = "restartrequests.restart-controller.dev";
const HISTORIES: &str = "restarthistories.restart-controller.dev";

/// `kubectl restart release` in the scenario's namespace.
async fn release(space: &Space, more: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kubectl-restart"));
    Ok(command.args(["release", "--namespace", &space.name, "--all"]).args(more).output().await?)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// While a controller leads, nothing is released. Without one, a pod whose replacement is Ready stays and serves, one whose
/// replacement is not Ready goes back, and nothing holds up the deletion of anything.
pub async fn released(space: &Space) -> Result<Figures> {
    let alone = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "slow"}}, "topologyKey": "kubernetes.io/hostname"}]}});
    let slow = Template::web()?.renamed("slow").replicas(1).edit_pod(|pod| pod["affinity"] = alone.clone());
    let (app, slow) = (Template::web()?.replicas(2).deploy(space).await?, slow.deploy(space).await?);
    let stuck = Request::apply(space, "slow", slow.name, json!({})).await?;
    let request = Request::apply(space, "web", app.name, json!({"drain": {"minSeconds": 120}})).await?;
    request.entered(Step::Draining).await?;
    let refused = release(space, &[]).await?;
    ensure!(!refused.status.success() && said(&refused).contains("a controller leads"), "{}", said(&refused));
    let detached = until("a pod of the slow one to be detached", 20, async || {
        Ok(detached(&slow).await?.pop().map_or(Look::NotYet("none".into()), Look::Done))
    })
    .await?;
    controller::take_away(&space.cluster.client).await?;
    let done = without_controller(space, &[&request, &stuck]).await;
    controller::bring_back(&space.cluster.client, controller::Election::Default).await?;
    let told = done?;
    slow.whole().await?;
    let back = space.api::<Pod>().get(&detached.name_any()).await?;
    ensure!(back.uid() == detached.uid() && !is_detached(&back), "{} did not go back", detached.name_any());
    app.whole().await?;
    Ok(Figures::note(told))
}

async fn without_controller(space: &Space, requests: &[&Request<'_>]) -> Result<String> {
    let versions = async || -> Result<Vec<_>> {
        Ok(futures::future::try_join_all(requests.iter().map(|request| request.version())).await?)
    };
    let before = versions().await?;
    let dry = release(space, &["--dry-run"]).await?;
    ensure!(before == versions().await?, "the dry run wrote: {}", said(&dry));
    let output = release(space, &[]).await?;
    ensure!(matches!(output.status.code(), Some(0 | 4)), "{}", said(&output));
    for request in requests {
        let status = request.ended(1).await?;
        ensure!(status.phase == Some(Phase::Cancelled), "{:?}: {}", status.phase, status.message);
    }
    let histories = space.api::<RestartHistory>().list(&ListParams::default()).await?.items;
    ensure!(histories.iter().all(|history| history.finalizers().is_empty()), "a history has its finalizer");
    let pods = space.api::<Pod>().list(&ListParams::default()).await?.items;
    let left: Vec<String> = pods.iter().filter(|pod| is_detached(pod)).map(|pod| pod.name_any()).collect();
    ensure!(left.is_empty() == (output.status.code() == Some(0)), "left {left:?}: {}", said(&output));
    for pod in &left {
        ensure!(said(&output).contains(&format!("kubectl delete pod {pod}")), "{pod} is not told: {}", said(&output));
        space.kubectl(&["delete", "pod", pod, "--timeout=60s"]).await?;
    }
    let again = release(space, &[]).await?;
    ensure!(again.status.success() && said(&again).contains("Nothing is outstanding"), "{}", said(&again));
    Ok(format!("{} pods were left and deleted", left.len()))
}

async fn detached(app: &App<'_>) -> Result<Vec<Pod>> {
    let pods = app.space.api::<Pod>().list(&ListParams::default().labels(&format!("app={}", app.name))).await?;
    Ok(pods.items.into_iter().filter(is_detached).collect())
}

/// A history that is deleted while no run holds it, and one in mid-run: it is made anew, with copies that are its own.
pub async fn history_deleted(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy(space).await?;
    good(&app, "web-config").await?;
    let old = delete_history(&app).await?;
    learnt_again(&app, &old).await?;
    let request = Request::apply(space, "web", app.name, json!({})).await?;
    request.entered(Step::Surging).await?;
    let old = delete_history(&app).await?;
    let status = request.completed(120).await?;
    learnt_again(&app, &old).await?;
    app.whole().await?;
    Ok(Figures::note(format!("completed in {}, and learnt again twice", took(&status))).replaced(2))
}

async fn delete_history(app: &App<'_>) -> Result<String> {
    let history = app.history().await?.ok_or("there is no history")?;
    let name = history.name_any();
    app.space.kubectl(&["delete", "restarthistory", &name, "--wait=false"]).await?;
    Ok(history.uid().unwrap_or_default())
}

/// Another history has last-known-good, and the garbage collector leaves its copy alone.
async fn learnt_again(app: &App<'_>, old: &str) -> Result {
    until("last-known-good to be learnt again", 60, async || {
        let Some(history) = app.history().await?.filter(|history| history.uid().as_deref() != Some(old)) else {
            return Ok(Look::NotYet("no other history".into()));
        };
        let uid = history.uid().unwrap_or_default();
        let known = history.status.unwrap_or_default().last_known_good;
        let Some(known) = known.first() else { return Ok(Look::NotYet("nothing is known".into())) };
        let copy = app.space.api::<ConfigMap>().get_opt(&known.snapshot).await?;
        let own = copy.is_some_and(|copy| copy.owner_references().iter().any(|owner| owner.uid == uid));
        Ok(when(own, || format!("{} is not its own", known.snapshot)))
    })
    .await
}

/// Each definition is deleted and applied again from a backup; the watches come back by themselves.
pub async fn definitions_deleted(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy(space).await?;
    let request = Request::apply(space, "web", app.name, json!({})).await?;
    request.entered(Step::Surging).await?;
    let requests = space.kubectl(&["get", "crd", REQUESTS, "-o", "json"]).await?;
    space.kubectl(&["delete", "crd", REQUESTS, "--timeout=120s"]).await?;
    app.whole().await?;
    restore(space, &requests).await?;
    let histories = space.kubectl(&["get", "crd", HISTORIES, "-o", "json"]).await?;
    space.kubectl(&["delete", "crd", HISTORIES, "--timeout=60s"]).await?;
    let missing = Request::apply(space, "missing", app.name, json!({"progressDeadlineSeconds": 10})).await;
    let told = match missing {
        Ok(missing) => missing.failed(Code::Internal, 90).await,
        Err(error) => Err(error),
    };
    restore(space, &histories).await?;
    let told = told?;
    ensure!(told.message.contains("CustomResourceDefinition is missing"), "{}", told.message);
    let status = Request::apply(space, "next", app.name, json!({})).await?.completed(150).await?;
    app.whole().await?;
    let left = space.api::<RestartRequest>().list(&ListParams::default()).await?.items.len();
    Ok(Figures::note(format!("{}; then completed in {}, {left} requests", told.message, took(&status))))
}

/// As `kubectl get crd NAME -o json | kubectl apply -f -` does it.
async fn restore(space: &Space, definition: &str) -> Result {
    let definition: Value = serde_json::from_str(definition)?;
    let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let meta = json!({"name": name});
    let backup = json!({"apiVersion": definition["apiVersion"], "kind": definition["kind"], "metadata": meta, "spec": definition["spec"]});
    space.apply(&[backup]).await?;
    space.kubectl(&["wait", "--for=condition=Established", &format!("crd/{name}"), "--timeout=30s"]).await.map(drop)
}
