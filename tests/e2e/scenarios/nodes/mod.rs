//! Several nodes: lost before and in a run, drained, and what a Service or a spread says of them. On a cluster of one node
//! none of these runs.
//!
//! **Invariant:** a request counts from the moment at which kube-proxy knows that the node is lost: what is sent to a dead
//! machine before is lost whether or not anything is restarted.

pub mod drained;
pub mod kube_proxy;
pub mod local;
pub mod lost;
pub mod lost_meanwhile;
pub mod spread;

use crate::support::Result;
use crate::support::app::App;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

const ZONE: &str = "topology.kubernetes.io/zone";

/// Pods of `app` on all nodes alike; `more` is merged into the constraint.
fn spread_over_nodes(pod: &mut Value, app: &str, more: Value) {
    let mut constraint = json!({"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}}});
    if let (Some(constraint), Value::Object(more)) = (constraint.as_object_mut(), more) {
        constraint.extend(more);
    }
    pod["topologySpreadConstraints"] = json!([constraint]);
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// The only pod of the app on that node.
async fn pod_on(app: &App<'_>, node: &str) -> Result<Pod> {
    let pods: Vec<Pod> = app.pods().await?.into_iter().filter(|pod| node_of(pod) == node).collect();
    let count = pods.len();
    let [pod] =
        <[Pod; 1]>::try_from(pods).map_err(|_| format!("{count} pods of {} are on {node}, not one", app.name))?;
    Ok(pod)
}

/// Name and node of each pod, for a sentence.
async fn places(app: &App<'_>) -> Result<String> {
    let mut places: Vec<String> =
        app.pods().await?.iter().map(|pod| format!("{} on {}", pod.name_any(), node_of(pod))).collect();
    places.sort();
    Ok(places.join(", "))
}
