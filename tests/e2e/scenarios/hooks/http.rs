//! HTTP hooks to a Service of the namespace.
//!
//! **Invariant:** the receiver's record decides how often a hook was called.

use super::Before;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::receiver::{Receiver, http};
use crate::support::request::{Request, took};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use kube::ResourceExt as _;
use restart_controller::api::{Code, HookState, RestartRequest};
use serde_json::{Value, json};

/// Each is called once, in its order, with its key and what it has to know.
pub async fn called_once(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let receiver = Receiver::deploy(space).await?;
    let old = app.uids().await?;
    let pre = [http("tell", "first", json!({})), http("ask", "second", json!({"http": {"method": "GET"}}))];
    let post = [http("tell", "third", json!({"http": {"method": "PUT"}}))];
    let request =
        Request::apply(space, "web", "web", json!({"trigger": "t1", "hooks": {"pre": pre, "post": post}})).await?;
    let status = request.completed(90).await?;
    ensure!(old.is_disjoint(&app.uids().await?), "nothing was restarted");
    ensure!(status.hooks.iter().all(|hook| hook.state == HookState::Succeeded), "{:?}", status.hooks);
    let object = space.api::<RestartRequest>().get("web").await?;
    let run = format!("{}-{}", object.uid().unwrap_or_default(), object.metadata.generation.unwrap_or_default());
    let sent = receiver.received().await?;
    let seen: Vec<(&str, &str, &str)> =
        sent.iter().map(|one| (one.method.as_str(), one.path.as_str(), one.idempotency_key.as_str())).collect();
    let keys = [format!("{run}-pre-tell"), format!("{run}-pre-ask"), format!("{run}-post-tell")];
    let expected =
        [("POST", "/hook?first", &*keys[0]), ("GET", "/hook?second", &*keys[1]), ("PUT", "/hook?third", &*keys[2])];
    ensure!(seen == expected, "sent was {seen:?}");
    ensure!(sent[1].body.is_empty(), "a GET had a body: {}", sent[1].body);
    ensure!(sent[0].user_agent.starts_with("restart-controller/"), "User-Agent is {}", sent[0].user_agent);
    let told = |time: &str, phase: &str| {
        json!({"request": {"name": "web", "namespace": space.name, "uid": object.uid()}, "run": run, "hook": "tell", "time": time,
            "phase": phase, "target": {"kind": "Deployment", "name": "web"}, "reason": "end-to-end test", "requestedBy": object.spec.requested_by, "trigger": "t1"})
    };
    for (one, told) in [(&sent[0], told("Pre", "Preparing")), (&sent[2], told("Post", "Restarting"))] {
        let body: Value = serde_json::from_str(&one.body)?;
        ensure!(body == told, "the body was {body}, not {told}");
    }
    Ok(Figures::note("3 hooks, each called once").replaced(1))
}

/// A pre-hook's failure ends the run, or is written down and passed over.
pub async fn failing_before(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let receiver = Receiver::deploy(space).await?;
    let before = Before::look(&app).await?;
    let hooks = |more: Value| json!({"hooks": {"pre": [http("no", "status=500", more.clone()), http("late", "millis=5000", more)]}});
    let strict = Request::apply(space, "strict", "web", hooks(json!({"timeoutSeconds": 1}))).await?;
    let status = strict.failed(Code::HookFailed, 40).await?;
    let words = "hook no failed: POST http://receiver/hook: answered 500 Internal Server Error";
    ensure!(status.message.contains(words), "the message is {}", status.message);
    before.same(&app).await?;
    ensure!(receiver.with("millis=5000").await?.is_empty(), "the next hook was called all the same");
    let lenient =
        Request::apply(space, "lenient", "web", hooks(json!({"timeoutSeconds": 1, "onFailure": "Ignore"}))).await?;
    let status = lenient.completed(90).await?;
    let said: Vec<(HookState, &str)> = status.hooks.iter().map(|hook| (hook.state, hook.message.as_str())).collect();
    let late = "hook late failed: not over within 1 s (POST http://receiver/hook)";
    ensure!(said == [(HookState::Ignored, words), (HookState::Ignored, late)], "the hooks are {said:?}");
    let history = json!(status.history).to_string();
    ensure!(history.contains("hook late failed"), "the history does not say so: {history}");
    Ok(Figures::note(format!("{}, then ignored and Completed", Code::HookFailed.number())).replaced(1))
}

/// A post-hook's failure puts everything back, under load.
pub async fn failing_after(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(2).deploy_with_load(space).await?;
    Receiver::deploy(space).await?;
    let load = Load::start(space, "hooks", &app.address().await?, 50, json!({})).await?;
    let candidate = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config-next"},
        "data": {"config.yaml": "greeting: promoted\n"}});
    space.apply(&[candidate]).await?;
    let (content, old) = (app.content().await?, app.uids().await?);
    let more = json!({"config": {"configMaps": [{"name": "web-config", "from": "web-config-next"}]},
        "strategy": {"maxParallel": "100%"}, "hooks": {"post": [http("no", "status=503", json!({}))]}});
    let status = Request::apply(space, "web", "web", more).await?.failed_and_restored(Code::HookFailed, 120).await?;
    app.settled().await?;
    let after = app.content().await?;
    ensure!(content == after, "the configuration was not restored: before {content:?}, after {after:?}");
    ensure!(old.is_disjoint(&app.uids().await?), "no pod was replaced");
    let report = load.stop().await?;
    report.nothing_lost()?;
    Ok(Figures::default().load(&report).replaced(4).and(format!("failed and restored in {}", took(&status))))
}
