//! The sidecar put in by the policy and by the kustomize component: the plain sample becomes one that loses nothing.
//!
//! **Invariant:** the app's manifest is that of the control, without sidecar and hooks; what differs is said here.

use crate::support::app::{Template, documents};
use crate::support::cluster::{kubectl, path, with_images};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::receiver::Receiver;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const LABEL: &str = "restart-controller.dev/inject";
/// Where the sidecar takes the Service's requests.
const TRAFFIC: u16 = 8012;

/// A labelled pod in a labelled namespace gets the sidecar; a restart under load loses nothing.
pub async fn by_policy(space: &Space) -> Result<Figures> {
    untouched_where_nobody_opted_in(space).await?;
    opted_in(space).await?;
    ensure!(!has_sidecar(&try_pod(space, json!({}), false).await?), "a pod without the label was injected");
    own_hooks_follow_the_drain(space).await?;
    let receiver = Receiver::deploy(space).await?;
    let own = json!({"preStop": {"exec": {"command": ["/sample", "ask", "POST", receiver.url("own").await?]}}});
    let labelled = Template::plain()?.edit("Deployment", |deployment| {
        deployment["spec"]["template"]["metadata"]["labels"][LABEL] = json!("true");
        deployment["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = own.clone();
    });
    let figures = restarts_without_a_loss(space, labelled).await?;
    let own = receiver.with("own").await?.len();
    ensure!(own == 4, "of 4 pods that ended {own} ran the preStop hook of their own");
    Ok(figures.and("4 hooks of their own followed"))
}

/// The component, built by kubectl's own kustomize, and the same restart. No copy of the key is in the namespace.
pub async fn by_component(space: &Space) -> Result<Figures> {
    opted_in(space).await?;
    space.kubectl(&["delete", "configmap", "restart-controller-keys"]).await?;
    let folder = std::env::temp_dir().join(format!("restart-controller-component-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let built = component(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    restarts_without_a_loss(space, Template::of("plain", documents(&with_images(&built?))?)).await
}

/// kustomize takes no absolute paths and nothing outside of its root: the component is copied into it.
async fn component(folder: &std::path::Path) -> Result<String> {
    std::fs::create_dir_all(folder.join("sidecar"))?;
    for entry in std::fs::read_dir(path("deploy/components/sidecar"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.join("sidecar").join(entry.file_name()))?;
    }
    let plain = std::fs::read_to_string(path("deploy/samples/plain.yaml"))?;
    let labels = "  labels: {app: plain}";
    std::fs::write(
        folder.join("plain.yaml"),
        plain.replacen(labels, &format!("  labels: {{app: plain, {LABEL}: \"true\"}}"), 1),
    )?;
    let grace = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "plain"}, "spec": {"template": {"spec":
        {"initContainers": [{"name": "restart-sidecar", "env": [{"name": "GRACE_SECONDS", "value": "60"}]}]}}}});
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": ["plain.yaml"], "components": ["sidecar"],
        "patches": [{"target": {"kind": "Deployment"}, "patch": grace.to_string()}],
    });
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string())?;
    kubectl(&["kustomize", &folder.to_string_lossy()], "").await
}

async fn restarts_without_a_loss(space: &Space, template: Template) -> Result<Figures> {
    let template = template.edit("Service", |service| service["spec"]["ports"][0]["targetPort"] = json!(TRAFFIC));
    let app = template.deploy_with_load(space).await?;
    let load = Load::start(space, "injected", &app.address().await?, 100, json!({})).await?;
    load.sent(200).await?;
    let before = app.workload().await?;
    let status = Request::apply(space, "plain", "plain", json!({})).await?.completed(180).await?;
    ensure!(status.progress == "3/3", "progress {}", status.progress);
    // Killed by others, it loses nothing either: both preStop hooks are there.
    let pod = app.pods().await?.first().map(kube::ResourceExt::name_any).unwrap_or_default();
    space.kubectl(&["delete", "pod", &pod]).await?;
    app.settled().await?;
    let sent = load.interim().await?.sent;
    load.sent(sent + 200).await?;
    let report = load.stop().await?;
    report.nothing_lost()?;
    ensure!(before == app.workload().await?, "the workload was changed");
    Ok(Figures::default().load(&report).replaced(4).and("the manifest without sidecar and hooks"))
}

/// Labels the namespace, and waits until the policies know.
async fn opted_in(space: &Space) -> Result {
    let namespaces: Api<Namespace> = Api::all(space.cluster.client.clone());
    let label = Patch::Merge(json!({"metadata": {"labels": {LABEL: "true"}}}));
    namespaces.patch(&space.name, &PatchParams::default(), &label).await?;
    until("the policy to inject", 30, async || {
        let injected = has_sidecar(&try_pod(space, json!({}), true).await?);
        Ok(when(injected, || "a pod would start without the sidecar".into()))
    })
    .await
}

async fn untouched_where_nobody_opted_in(space: &Space) -> Result {
    let pod = try_pod(space, json!({}), true).await?;
    ensure!(!has_sidecar(&pod), "injected in a namespace that did not opt in: {pod:?}");
    Ok(())
}

/// Each kind of hook becomes the end of the one that waits; what cannot follow is refused.
async fn own_hooks_follow_the_drain(space: &Space) -> Result {
    for (hook, then) in [
        (json!({"exec": {"command": ["sleep", "5"]}}), vec!["--", "sleep", "5"]),
        (json!({"sleep": {"seconds": 5}}), vec!["--then-sleep=5"]),
        (json!({"httpGet": {"path": "/stop", "port": 9000}}), vec!["--then-get=9000/stop"]),
        (json!({"httpGet": {"port": "web"}}), vec!["--then-get=8080/"]),
    ] {
        let ports = json!([{"name": "web", "containerPort": 8080}]);
        let pod = try_pod(space, json!({"lifecycle": {"preStop": hook}, "ports": ports}), true).await?;
        let command = json!(pod)["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"].clone();
        let wanted = [&["/restart-controller/restart-sidecar", "wait-drained"], then.as_slice()].concat();
        ensure!(command == json!(wanted), "the hook {hook} became {command}");
    }
    let own = json!({"lifecycle": {"preStop": {"httpGet": {"port": 8080, "host": "other"}}}});
    let Err(refused) = try_pod(space, own, true).await else {
        return Err("a pod with a preStop hook that cannot follow the drain was let through".into());
    };
    ensure!(refused.to_string().contains("container app has a preStop hook that cannot follow"), "{refused}");
    Ok(())
}

/// A pod as the API server would make it.
async fn try_pod(space: &Space, container: Value, labelled: bool) -> Result<Pod> {
    let mut pod = json!({"metadata": {"name": "try"}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
    if let (Some(app), Value::Object(more)) = (pod["spec"]["containers"][0].as_object_mut(), container) {
        app.extend(more);
    }
    if labelled {
        pod["metadata"]["labels"] = json!({LABEL: "true"});
    }
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    Ok(space.api::<Pod>().create(&dry_run, &serde_json::from_value(pod)?).await?)
}

fn has_sidecar(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    containers.into_iter().any(|container| container.name == "restart-sidecar")
}
