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

/// What this version does not do yet is refused, never ignored.
fn of_the_next_version() -> Vec<Case> {
    let hook = json!([{"name": "check", "http": {"url": "http://example.test/"}}]);
    vec![
        (json!({"targetRef": {"kind": "StatefulSet", "name": "web"}}), "Deployments only"),
        (json!({"targetRef": {"kind": "DaemonSet", "name": "web"}}), "Deployments only"),
        (json!({"trigger": "2026-11-22"}), "trigger comes with the next version"),
        (json!({"newRequests": "Reject"}), "newRequests: Reject comes with the next version"),
        (json!({"concurrencyPolicy": "Queue"}), "concurrencyPolicy: Queue comes with the next version"),
        (json!({"config": {"reload": false}}), "config.reload: false comes with the next version"),
        (json!({"ttlSecondsAfterFinished": 60}), "ttlSecondsAfterFinished comes with the next version"),
        (json!({"strategy": {"allowDisruption": true}}), "allowDisruption comes with the next version"),
        (json!({"hooks": {"pre": hook}}), "hooks come with the next version"),
        (json!({"hooks": {"post": hook}}), "hooks come with the next version"),
    ]
}

/// Wrong kinds, empty reasons, negative and huge numbers.
pub async fn refuses_what_is_out_of_bounds(space: &Space) -> Result<Figures> {
    refuses(space, out_of_bounds()).await
}

/// Fields that come later.
pub async fn refuses_what_comes_later(space: &Space) -> Result<Figures> {
    refuses(space, of_the_next_version()).await
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

/// A finished request keeps saying what it was about.
pub async fn refuses_changes(space: &Space) -> Result<Figures> {
    let request = Request::apply(space, "web", "nobody", json!({})).await?;
    request.ended(30).await?;
    for (change, words) in [
        (json!({"targetRef": {"name": "other"}}), "targetRef never changes"),
        (json!({"reason": "another"}), "spec never changes"),
        (json!({"force": true}), "spec never changes"),
        (json!({"timeoutSeconds": 5}), "spec never changes"),
    ] {
        let Err(error) = request.patch(json!({"spec": change})).await else {
            return Err(format!("{change} was accepted").into());
        };
        ensure!(error.to_string().contains(words), "the refusal of {change} does not say {words:?}: {error}");
    }
    Ok(Figures::note("4 of 4 refused by the API server"))
}
