//! Hooks that are Jobs.
//!
//! **Invariant:** the check that a Job makes is the sample's own, on the very files that its pods would start on.

use super::Before;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::receiver::job;
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::api::ListParams;
use restart_controller::api::{Code, names};
use serde_json::json;

/// The candidate is checked before anything is promoted: a bad one stops the restart, a good one passes.
pub async fn checks_the_candidate(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let before = Before::look(&app).await?;
    let mount = json!({"job": {"mountCandidateAt": "/candidate"}});
    let check = job("check", &["app", "--check", "--config=/candidate/web-config/config.yaml"], mount);
    let more = json!({"config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]}, "hooks": {"pre": [check]}});
    candidate(space, "greeting: never seen\nexitAtStart: true\n").await?;
    let status = Request::apply(space, "bad", "web", more.clone()).await?.failed(Code::HookFailed, 60).await?;
    for words in
        ["BackoffLimitExceeded", "container sample exited with code 1: ", "the configuration says exitAtStart: true"]
    {
        ensure!(status.message.contains(words), "the message does not say {words:?}: {}", status.message);
    }
    before.same(&app).await?;
    candidate(space, "greeting: promoted\n").await?;
    Request::apply(space, "good", "web", more).await?.completed(90).await?;
    let content = app.content().await?;
    ensure!(content.0["config.yaml"] == "greeting: promoted\n", "not promoted: {content:?}");
    for made in space.api::<Job>().list(&ListParams::default().labels(names::RUN)).await?.items {
        let owner = made.owner_references().first().map_or("", |owner| owner.kind.as_str());
        ensure!(owner == "RestartHistory", "Job {} is owned by {owner:?}", made.name_any());
        ensure!(made.labels()[names::HOOK] == "check", "Job {} has labels {:?}", made.name_any(), made.labels());
    }
    Ok(Figures::note(format!("bad: {}, nothing promoted; good: Completed", Code::HookFailed.number())).replaced(1))
}

async fn candidate(space: &Space, yaml: &str) -> Result {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"}, "data": {"config.yaml": yaml}});
    space.apply(&[map]).await
}

/// A Job whose image is nowhere: the message says what it waited for.
pub async fn never_starts(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let before = Before::look(&app).await?;
    let mut hook = job("check", &["app"], json!({"timeoutSeconds": 12}));
    let container = &mut hook["job"]["template"]["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!("restart-controller.dev/no-such-image:1");
    container["imagePullPolicy"] = json!("Never");
    let request = Request::apply(space, "web", "web", json!({"hooks": {"pre": [hook]}})).await?;
    let status = request.failed(Code::HookFailed, 40).await?;
    for words in ["hook check failed: not over within 12 s", "container sample: ErrImageNeverPull"] {
        ensure!(status.message.contains(words), "the message does not say {words:?}: {}", status.message);
    }
    before.same(&app).await?;
    Ok(Figures::note(status.message))
}
