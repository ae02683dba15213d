//! Hooks that can only fail, or that call what they may not.
//!
//! **Invariant:** what can be known before the run is said before the run.

use super::Before;
use crate::support::app::Template;
use crate::support::figures::Figures;
use crate::support::receiver::{Receiver, http, job};
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::{Value, json};

/// Refused before the run, each with its reason.
pub async fn before_the_run(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let before = app.untouched().await?;
    let url = |url: &str| json!({"name": "call", "http": {"url": url}});
    let template = |more: Value| job("run", &["app"], json!({"job": {"template": {"spec": more}}}));
    let cases = [
        (url("http://127.0.0.1:8080/"), "names 127.0.0.1, a loopback address"),
        (url("http://0x7f.1/"), "names 127.0.0.1, a loopback address"),
        (url("http://[::ffff:127.0.0.1]/"), "a loopback address"),
        (url("https://localhost/"), "names localhost, a loopback address"),
        (url("http://169.254.169.254/latest/meta-data/"), "names 169.254.169.254, a link-local address"),
        (url("http://[fe80::1]/"), "names fe80::1, a link-local address"),
        (url("http://user:word@receiver/"), "holds a user or a password"),
        (template(json!({"backofLimit": 1})), "template.spec.backofLimit is no field"),
        (template(json!({"backoffLimit": "two"})), "template.spec.backoffLimit: invalid type"),
        (template(json!({"template": {"metadata": {"labels": {"app": "web"}}}})), "are those of the pods of web"),
        (
            template(json!({"template": {"spec": {"containers": [{"name": "Not A Name"}]}}})),
            "spec.template.spec.containers[0].name",
        ),
    ];
    for (index, (hook, words)) in cases.iter().enumerate() {
        let time = if index % 2 == 0 { "pre" } else { "post" };
        let name = format!("bad-{index}");
        let request = Request::apply(space, &name, "web", json!({"hooks": {time: [hook]}})).await?;
        let status = request.failed(Code::InvalidSpec, 20).await?;
        let named = status.message.contains(words) && status.message.contains(&format!("spec.hooks.{time} "));
        ensure!(named, "{hook}: the message does not say {words:?}: {}", status.message);
    }
    // The policy says this before there is a request; the controller's own rule is for clusters without policies.
    let account = template(json!({"template": {"spec": {"serviceAccountName": "admin"}}}));
    let Err(refused) = Request::apply(space, "account", "web", json!({"hooks": {"pre": [account]}})).await else {
        return Err("a Job under another account was let through".into());
    };
    ensure!(refused.to_string().contains("remove serviceAccountName"), "{refused}");
    let after = app.untouched().await?;
    ensure!(before == after, "something was touched:\nbefore {before}\nafter  {after}");
    Ok(Figures::note(format!("{} hooks refused with {}", cases.len(), Code::InvalidSpec.number())))
}

/// Seen only when it is called: a redirect, a name of a loopback address, a name of nothing.
pub async fn when_called(space: &Space) -> Result<Figures> {
    let app = Template::web()?.replicas(1).deploy(space).await?;
    let receiver = Receiver::deploy(space).await?;
    let trap = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "trap"}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
    space.apply(&[trap]).await?;
    let before = Before::look(&app).await?;
    let url = |url: &str| json!({"name": "call", "http": {"url": url}});
    let cases = [
        (
            http("call", "status=302&location=http://receiver/hook?followed", json!({})),
            "answered 302 Found, a redirect, which is not followed",
        ),
        (url("http://trap:8080/"), "a loopback address, which hooks may not call"),
        (url("http://no-such-service/"), "no-such-service"),
        (url("http://receiver:81/"), "no connection to"),
        (url("https://receiver:80/"), "TLS: "),
        (url("https://kubernetes.default/livez"), "TLS: invalid peer certificate: UnknownIssuer"),
    ];
    let mut messages = vec![];
    for (index, (hook, words)) in cases.iter().enumerate() {
        let name = format!("bad-{index}");
        let mut hook = hook.clone();
        hook["timeoutSeconds"] = json!(8);
        let request = Request::apply(space, &name, "web", json!({"hooks": {"pre": [hook]}})).await?;
        let status = request.failed(Code::HookFailed, 40).await?;
        ensure!(status.message.contains(words), "{hook}: the message does not say {words:?}: {}", status.message);
        messages.push(status.message);
    }
    let sent = receiver.received().await?;
    ensure!(sent.len() == 1, "the redirect was followed: {sent:?}");
    before.same(&app).await?;
    Ok(Figures::note(messages.join(" | ")))
}
