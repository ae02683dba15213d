//! What the controller watches: its requests, and the changes that may let a waiting restart go on.
//!
//! **Invariant:** beside the requests only metadata is watched, and none of it is kept; a pass reads what it needs live.

use super::context::call;
use super::error::Error;
use super::wake::Unfinished;
use crate::api::{RestartHistory, RestartRequest};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};

/// Passes under way at any time, for each watched scope.
const CONCURRENT_PASSES: u16 = 64;

/// A request as it is watched: one that cannot be read is a value, not the end of the watch (DESIGN 10).
pub type Watched = DeserializeGuard<RestartRequest>;

/// The controller of one namespace, or of all, and what wakes its passes.
pub fn controller(reader: &Client, scope: Option<&str>, unfinished: &Unfinished) -> Controller<Watched> {
    let controller = Controller::new(api(reader, scope), watcher::Config::default())
        .with_config(Config::default().concurrency(CONCURRENT_PASSES));
    let controller = woken_by::<Pod>(controller, reader, scope, unfinished, under_way);
    let controller = woken_by::<EndpointSlice>(controller, reader, scope, unfinished, under_way);
    let controller = woken_by::<PodDisruptionBudget>(controller, reader, scope, unfinished, under_way);
    let controller = woken_by::<Deployment>(controller, reader, scope, unfinished, Unfinished::of_target);
    // Its name is a hash; a lock that is let go concerns those that wait for it.
    woken_by::<RestartHistory>(controller, reader, scope, unfinished, |unfinished, namespace, _| {
        unfinished.all(namespace)
    })
}

/// Whether the requests of a scope can be listed.
pub async fn listed(reader: &Client, scope: Option<&str>) -> Result<(), Error> {
    let requests: Api<Watched> = api(reader, scope);
    call("list RestartRequests", requests.list_metadata(&ListParams::default().limit(1))).await.map(drop)
}

/// Who is concerned by an object of this namespace and name.
type Concerned = fn(&Unfinished, &str, &str) -> Vec<String>;

fn under_way(unfinished: &Unfinished, namespace: &str, _: &str) -> Vec<String> {
    unfinished.under_way(namespace)
}

fn woken_by<K>(
    controller: Controller<Watched>,
    reader: &Client,
    scope: Option<&str>,
    unfinished: &Unfinished,
    concerned: Concerned,
) -> Controller<Watched>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + Send + 'static,
{
    let unfinished = unfinished.clone();
    let mapper = move |object: PartialObjectMeta<K>| {
        let namespace = object.namespace().unwrap_or_default();
        let names = concerned(&unfinished, &namespace, &object.name_any());
        names.into_iter().map(move |name| ObjectRef::new(&name).within(&namespace))
    };
    controller.watches(api::<PartialObjectMeta<K>>(reader, scope), watcher::Config::default(), mapper)
}

fn api<K>(reader: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match scope {
        Some(namespace) => Api::namespaced(reader.clone(), namespace),
        None => Api::all(reader.clone()),
    }
}
