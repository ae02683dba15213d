//! Which workloads are meant: those that are named, or all with some labels.
//!
//! **Invariant:** what the words say is judged before any cluster is asked, and none found is an error.

use crate::api::{TargetKind, TargetRef};
use crate::client::{Error, RestartClient};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;

/// Workloads, or with a selector kinds.
type Named = (Vec<TargetRef>, Vec<TargetKind>);

/// What the words say, before any cluster is asked.
///
/// # Errors
/// When they say nothing, or name what is no workload.
pub fn understood(words: &[String], selector: Option<&str>) -> Result<Named, Error> {
    if selector.is_some() {
        let kinds: Result<Vec<TargetKind>, String> = words.iter().map(|word| word.parse()).collect();
        let kinds = kinds.map_err(|why| Error::Invalid(format!("with -l only kinds are named: {why}")))?;
        return Ok((vec![], if kinds.is_empty() { TargetKind::ALL.to_vec() } else { kinds }));
    }
    let targets: Result<Vec<TargetRef>, String> = words.iter().map(|word| word.parse()).collect();
    match targets.map_err(Error::Invalid)? {
        none if none.is_empty() => {
            Err(Error::Invalid("which workload? Write deployment/NAME, or -l LABEL=VALUE".to_owned()))
        }
        targets => Ok((targets, vec![])),
    }
}

/// The workloads that are meant, in order.
///
/// # Errors
/// When none is.
pub async fn targets(
    client: &RestartClient,
    words: &[String],
    selector: Option<&str>,
) -> Result<Vec<TargetRef>, Error> {
    let (mut found, kinds) = understood(words, selector)?;
    for kind in kinds {
        let names = names_of(client, kind, selector).await?;
        found.extend(names.into_iter().map(|name| TargetRef { kind, name }));
    }
    if found.is_empty() {
        let (namespace, selector) = (client.namespace(), selector.unwrap_or_default());
        return Err(Error::Invalid(format!(
            "nothing in namespace {namespace} has the labels {selector}; look at: kubectl get deployments,statefulsets,daemonsets -n {namespace} --show-labels"
        )));
    }
    Ok(found)
}

/// Names of the workloads of a kind, with these labels.
///
/// # Errors
/// When the cluster cannot be reached or refuses.
pub async fn names_of(client: &RestartClient, kind: TargetKind, selector: Option<&str>) -> Result<Vec<String>, Error> {
    let resource = match kind {
        TargetKind::Deployment => ApiResource::erase::<Deployment>(&()),
        TargetKind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        TargetKind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
    };
    let parameters = selector.map_or_else(ListParams::default, |selector| ListParams::default().labels(selector));
    let api: Api<DynamicObject> = Api::namespaced_with(client.kube().clone(), client.namespace(), &resource);
    let what = format!("list {} in namespace {}", resource.plural, client.namespace());
    let all = api.list_metadata(&parameters).await.map_err(|source| Error::Kube { what, source })?;
    Ok(all.items.into_iter().filter_map(|object| object.metadata.name).collect())
}
