//! What the API server refuses before the controller sees it.
//!
//! **Invariant:** every refusal says which field is wrong, or which rule.

use crate::support::figures::Figures;
use crate::support::request::{Request, create, manifest};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::{Value, json};

/// A change to a good spec, and words of the message.
type Case = (Value, &'static str);

fn out_of_bounds() -> Vec<Case> {
    let map = |number: i32| json!({"name": format!("map-{number}")});
    vec![
        (json!({"reason": ""}), "spec.reason"),
        (json!({"reason": null}), "spec.reason"),
        (json!({"reason": "x".repeat(1025)}), "spec.reason"),
        (json!({"targetRef": {"kind": "CronJob", "name": "web"}}), "spec.targetRef.kind"),
        (json!({"targetRef": {"kind": "Deployment", "name": ""}}), "spec.targetRef.name"),
        (json!({"targetRef": null}), "spec.targetRef"),
        (json!({"timeoutSeconds": -1}), "spec.timeoutSeconds"),
        (json!({"timeoutSeconds": 0}), "spec.timeoutSeconds"),
        (json!({"timeoutSeconds": 1_000_000_000}), "spec.timeoutSeconds"),
        (json!({"timeoutSeconds": 1_000_000_000_000_000_i64}), "spec.timeoutSeconds"),
        (json!({"timeoutSeconds": "soon"}), "spec.timeoutSeconds"),
        (json!({"progressDeadlineSeconds": 0}), "spec.progressDeadlineSeconds"),
        (json!({"progressDeadlineSeconds": 86_401}), "spec.progressDeadlineSeconds"),
        (json!({"verify": {"soakSeconds": -1}}), "spec.verify.soakSeconds"),
        (json!({"drain": {"quietSeconds": -1}}), "spec.drain.quietSeconds"),
        (json!({"drain": {"minSeconds": 3601}}), "spec.drain.minSeconds"),
        (json!({"onTimeout": "Maybe"}), "spec.onTimeout"),
        (json!({"strategy": {"type": "Recreate"}}), "spec.strategy.type"),
        (json!({"strategy": {"maxParallel": 0}}), "must be 1 to 1000, or 1% to 100%"),
        (json!({"strategy": {"maxParallel": -1}}), "must be 1 to 1000, or 1% to 100%"),
        (json!({"strategy": {"maxParallel": "0%"}}), "must be 1 to 1000, or 1% to 100%"),
        (json!({"strategy": {"maxParallel": "200%"}}), "must be 1 to 1000, or 1% to 100%"),
        (json!({"config": {"configMaps": [{"name": "a", "from": "a"}]}}), "from must be another ConfigMap"),
        (json!({"config": {"configMaps": (1..=9).map(map).collect::<Vec<_>>()}}), "spec.config.configMaps"),
        (json!({"config": {"configMaps": [map(1), map(1)]}}), "Duplicate"),
    ]
}

/// Fields that do not go together, and hooks that cannot be meant.
fn contradictions() -> Vec<Case> {
    let hook = |name: &str, url: &str| json!({"name": name, "http": {"url": url}});
    let pre = |hooks: Value| json!({"hooks": {"pre": hooks}});
    let good = "http://check.shop.svc/";
    let job = json!({"template": {"spec": {}}});
    let surge = |kind: &str| json!({"targetRef": {"kind": kind, "name": "web"}, "strategy": {"type": "Surge"}});
    let promotion = json!([{"name": "web-config", "from": "web-config-next"}]);
    vec![
        (surge("StatefulSet"), "strategy.type Surge is for Deployments"),
        (surge("DaemonSet"), "strategy.type Surge is for Deployments"),
        (json!({"config": {"reload": false, "configMaps": promotion}}), "config.reload: false forbids"),
        (json!({"trigger": ""}), "spec.trigger"),
        (json!({"concurrencyPolicy": "Replace"}), "spec.concurrencyPolicy"),
        (json!({"newRequests": "Drop"}), "spec.newRequests"),
        (json!({"ttlSecondsAfterFinished": -1}), "spec.ttlSecondsAfterFinished"),
        (pre(json!([hook("check", good), hook("check", good)])), "Duplicate"),
        (pre(json!([hook("check", "ftp://check.shop.svc/")])), "spec.hooks.pre[0].http.url"),
        (pre(json!([hook("check", "file:///etc/passwd")])), "spec.hooks.pre[0].http.url"),
        (pre(json!([hook("Check!", good)])), "spec.hooks.pre[0].name"),
        (pre(json!([{"name": "check"}])), "exactly one of http and job"),
        (pre(json!([{"name": "check", "http": {"url": good}, "job": job}])), "exactly one of http and job"),
        (pre((1..=9).map(|number| hook(&format!("check-{number}"), good)).collect()), "spec.hooks.pre"),
    ]
}

/// Wrong kinds, empty reasons, negative and huge numbers.
pub async fn refuses_what_is_out_of_bounds(space: &Space) -> Result<Figures> {
    refuses(space, out_of_bounds()).await
}

/// Surge for what has no room for a second pod, promotion without reload, hooks twice or to nowhere.
pub async fn refuses_contradictions(space: &Space) -> Result<Figures> {
    refuses(space, contradictions()).await
}

async fn refuses(space: &Space, cases: Vec<Case>) -> Result<Figures> {
    let count = cases.len();
    for (change, words) in cases {
        let Err(error) = create(space, manifest("bad", "web", change.clone())).await else {
            return Err(format!("{change} was accepted").into());
        };
        let message = error.to_string();
        ensure!(message.contains(words), "the refusal of {change} does not say {words:?}: {message}");
    }
    Ok(Figures::note(format!("{count} of {count} refused by the API server, each by name")))
}

/// A finished request keeps saying what it was about; only another trigger asks for something else.
pub async fn refuses_changes(space: &Space) -> Result<Figures> {
    let request = Request::apply(space, "web", "nobody", json!({"trigger": "first"})).await?;
    request.ended(30).await?;
    for (change, words) in [
        (json!({"targetRef": {"name": "other"}}), "targetRef never changes"),
        (json!({"targetRef": {"name": "other"}, "trigger": "second"}), "targetRef never changes"),
        (json!({"reason": "another"}), "spec never changes"),
        (json!({"force": true}), "spec never changes"),
        (json!({"timeoutSeconds": 5}), "spec never changes"),
        (
            json!({"hooks": {"pre": [{"name": "check", "http": {"url": "http://check.shop.svc/"}}]}}),
            "spec never changes",
        ),
        (json!({"trigger": null}), "trigger never goes away"),
        (json!({"trigger": null, "reason": "another"}), "trigger never goes away"),
    ] {
        let Err(error) = request.patch(json!({"spec": change})).await else {
            return Err(format!("{change} was accepted").into());
        };
        ensure!(error.to_string().contains(words), "the refusal of {change} does not say {words:?}: {error}");
    }
    request.patch(json!({"spec": {"cancel": true, "ttlSecondsAfterFinished": 86_400}})).await?;
    Ok(Figures::note("8 of 8 refused by the API server; cancel and ttlSecondsAfterFinished change freely"))
}

/// Whoever may write the status cannot bring an ended restart back to life, nor make it end otherwise.
pub async fn refuses_another_end(space: &Space) -> Result<Figures> {
    let request = Request::apply(space, "web", "nobody", json!({})).await?;
    request.ended(30).await?;
    for phase in ["Completed", "Restarting"] {
        let status = json!({"status": {"phase": phase}});
        let refused = request.patch_status(status).await.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(refused.contains("a restart that has ended stays ended"), "phase {phase}: {refused:?}");
    }
    request.patch_status(json!({"status": {"message": "another message"}})).await?;
    Ok(Figures::note("Failed stays Failed: 2 of 2 refused by the API server"))
}
