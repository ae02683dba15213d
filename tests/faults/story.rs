//! What a path does: the request, and what happens to it meanwhile.
//!
//! **Invariant:** every turn of a story waits for a condition; none waits for a time.

use crate::path::{Path, Story, Workload};
use crate::proxy::{Kind, Proxy};
use crate::support::Result;
use crate::support::wait::{until, when};
use crate::world::load::ask_at;
use crate::world::pods::Pods;
use crate::world::space::{BAD, BINARY, CANDIDATE, CONFIG, NEXT, REQUEST, Space};
use hyper::Method;
use kube::api::{DeleteParams, Patch, PatchParams};
use restart_controller::api::{RestartRequest, Step};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Longest wait for the turn of a story: with faults on the way there, and on a machine that has too much to do.
const TURN: u64 = 400;

/// What has to be there before the request.
pub async fn prepare(space: &Space, story: Story) -> Result {
    let candidate = match story {
        Story::Promotion | Story::SoakFailure => NEXT,
        Story::BrokenPromotion => BAD,
        Story::BrokenInPlace => return space.edit(BAD).await,
        Story::Success | Story::Cancel | Story::Delete | Story::HookFailure | Story::NamespaceDeletion => return Ok(()),
    };
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CANDIDATE}, "data": {"config.yaml": candidate}, "binaryData": {"logo.bin": BINARY}});
    space.create_or_leave(map).await
}

/// The request.
pub fn request(space: &Space, path: Path) -> Value {
    let one_by_one = matches!(path.story, Story::Success | Story::Promotion) || path.workload != Workload::Surge;
    let parallel = if one_by_one { json!(1) } else { json!("100%") };
    let kind = if path.workload == Workload::Surge { "Surge" } else { "Rolling" };
    let mut spec = json!({
        "targetRef": {"kind": path.workload.kind(), "name": "web"}, "reason": path.to_string(), "timeoutSeconds": 120,
        "strategy": {"type": kind, "maxParallel": parallel, "allowDisruption": path.workload == Workload::DaemonSet},
        "verify": {"soakSeconds": if path.story == Story::SoakFailure { 60 } else { 0 }}, "progressDeadlineSeconds": 300,
    });
    let hook = |name: &str, path: &str| json!([{"name": name, "timeoutSeconds": 600, "http": {"url": space.world.hooks.url(path)}}]);
    match path.story {
        Story::Promotion | Story::BrokenPromotion | Story::SoakFailure => {
            spec["config"] = json!({"configMaps": [{"name": CONFIG, "from": CANDIDATE}]});
        }
        Story::Cancel => spec["hooks"] = json!({"pre": hook("hold", &format!("hold/{}", space.name))}),
        Story::HookFailure => spec["hooks"] = json!({"post": hook("fail", "fail")}),
        Story::Success | Story::BrokenInPlace | Story::Delete | Story::NamespaceDeletion => {}
    }
    json!({"apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": REQUEST}, "spec": spec})
}

/// What happens to it.
pub async fn turns(space: &Space, path: Path, proxy: &Proxy, pods: &Pods, old: &BTreeSet<String>) -> Result {
    match path.story {
        Story::Success | Story::Promotion | Story::BrokenInPlace | Story::BrokenPromotion | Story::HookFailure => {
            Ok(())
        }
        Story::Cancel => {
            entered(space, Step::PreHooks).await?;
            let cancel = Patch::Merge(json!({"spec": {"cancel": true}}));
            space.api::<RestartRequest>().patch(REQUEST, &PatchParams::default(), &cancel).await?;
            Ok(())
        }
        Story::Delete => {
            proxy.reached(first_harm(path.workload), TURN).await?;
            space.api::<RestartRequest>().delete(REQUEST, &DeleteParams::default()).await?;
            Ok(())
        }
        Story::NamespaceDeletion => {
            proxy.reached(first_harm(path.workload), TURN).await?;
            space.delete().await
        }
        Story::SoakFailure => {
            entered(space, Step::Verifying).await?;
            let present = pods.present();
            let new = present.iter().find(|(uid, life)| !old.contains(*uid) && life.ready);
            let (_, new) = new.ok_or("there is no new pod in the soak")?;
            ask_at(Method::POST, &format!("{}:8080", new.address), "/sick", String::new()).await?;
            Ok(())
        }
    }
}

/// The only pod of a node is no cordon's: it drains by termination.
fn first_harm(workload: Workload) -> Kind {
    match workload {
        Workload::Surge | Workload::Rolling | Workload::StatefulSet => Kind::Cordon,
        Workload::DaemonSet => Kind::Evict,
    }
}

async fn entered(space: &Space, step: Step) -> Result {
    until(&format!("step {step:?}"), TURN, async || {
        let status = space.request().await?.and_then(|request| request.status).unwrap_or_default();
        Ok(when(status.step == Some(step), || format!("{:?}: {}", status.step, status.message)))
    })
    .await
}
