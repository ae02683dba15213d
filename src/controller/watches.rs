//! What the controller watches: its requests, and the changes that may let a waiting restart go on.
//!
//! **Invariant:** beside the requests only metadata is watched, and none of it is kept: a pass reads what it needs live.
//! A watch that breaks waits by itself; kube's `Controller` would hold up all of them until it is back.

use super::context::call;
use super::error::Error;
use super::pass::{self, Passes};
use super::turns::Turns;
use super::wake::Unfinished;
use crate::api::{RestartHistory, RestartRequest, TargetKind};
use futures::stream::{self, BoxStream, select_all};
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::controller::{self, Action, Config, ReconcileRequest, trigger_with};
use kube::runtime::reflector::{self, ObjectRef, reflector};
use kube::runtime::{WatchStreamExt as _, applier, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use std::collections::HashSet;
use std::sync::Arc;
use tracing::Instrument as _;

/// Passes under way at any time, for each watched scope.
pub const CONCURRENT_PASSES: u16 = 64;

/// A request as it is watched: one that cannot be read is a value, not the end of the watch (DESIGN 10).
pub type Watched = DeserializeGuard<RestartRequest>;
/// What became of a pass, or of a watch.
pub type Passed = Result<(ObjectRef<Watched>, Action), controller::Error<Error, watcher::Error>>;
type Wakes = BoxStream<'static, watcher::Result<ReconcileRequest<Watched>>>;

/// The passes of one namespace, or of all, until `stop` and the end of those under way.
pub fn passes(
    passes: Arc<Passes>,
    scope: Option<&str>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> BoxStream<'static, Passed> {
    let (store, writer) = reflector::store();
    let requests = watcher(api(&passes.context.reader, scope), watcher::Config::default()).default_backoff();
    // All requests of the cluster are kept, and what their fields' owners own is as large as they are.
    let requests = requests.modify(without_owners);
    // Deleted ones too: their pass does not take place, and what is remembered of them goes.
    let requests = lined_up(&passes, scope, reflector(writer, requests));
    let mut wakes = others(&passes, scope);
    wakes.push(requests);
    wakes.push(at_zero(&passes, scope));
    let config = Config::default().concurrency(CONCURRENT_PASSES);
    applier(spawned, pass::failed, passes, store, select_all(wakes).take_until(stop.boxed()), config).boxed()
}

fn without_owners(watched: &mut Watched) {
    watched.meta_mut().managed_fields = None;
}

/// Each touched request, and those that come to the front of those that wait because of it.
fn lined_up(
    passes: &Passes,
    scope: Option<&str>,
    events: impl Stream<Item = watcher::Result<watcher::Event<Watched>>> + Send + 'static,
) -> Wakes {
    let (turns, scope) = (passes.context.turns.clone(), scope.map(str::to_owned));
    let mut list = HashSet::new();
    let wakes = events.map_ok(move |event| {
        let woken = match event {
            watcher::Event::Apply(object) => touched(&turns, &object),
            watcher::Event::Delete(object) => {
                [Some(ObjectRef::from_obj(&object)), left(&turns, &object)].into_iter().flatten().collect()
            }
            watcher::Event::Init => {
                list.clear();
                vec![]
            }
            watcher::Event::InitApply(object) => {
                list.insert((object.namespace().unwrap_or_default(), object.name_any()));
                touched(&turns, &object)
            }
            watcher::Event::InitDone => {
                let fronts = turns.listed(scope.as_deref(), &std::mem::take(&mut list));
                fronts.into_iter().map(|(namespace, name)| ObjectRef::new(&name).within(&namespace)).collect()
            }
        };
        stream::iter(woken.into_iter().map(|place: ObjectRef<Watched>| Ok(ReconcileRequest::from(place))))
    });
    wakes.try_flatten().boxed()
}

fn touched(turns: &Turns, object: &Watched) -> Vec<ObjectRef<Watched>> {
    let next = match &object.0 {
        Ok(request) => turns.seen(request).map(|name| beside(object, &name)),
        Err(_) => left(turns, object),
    };
    [Some(ObjectRef::from_obj(object)), next].into_iter().flatten().collect()
}

fn left(turns: &Turns, object: &Watched) -> Option<ObjectRef<Watched>> {
    let next = turns.gone(&object.namespace().unwrap_or_default(), &object.name_any());
    next.map(|name| beside(object, &name))
}

/// Another request of its namespace.
fn beside(object: &Watched, name: &str) -> ObjectRef<Watched> {
    ObjectRef::new(name).within(&object.namespace().unwrap_or_default())
}

/// A pass on a task of its own; a pass that panics is an error already, one that is cut off is at the process' end.
fn spawned(watched: Arc<Watched>, passes: Arc<Passes>) -> impl Future<Output = Result<Action, Error>> + Unpin {
    let pass = tokio::spawn(pass::pass(watched, passes).in_current_span());
    pass.map(|ended| ended.unwrap_or_else(|error| Err(Error::Internal(format!("a pass was cut off: {error}")))))
}

/// Whether the requests of a scope can be listed.
pub async fn listed(reader: &Client, scope: Option<&str>) -> Result<(), Error> {
    let requests: Api<Watched> = api(reader, scope);
    call("list RestartRequests", requests.list_metadata(&ListParams::default().limit(1))).await.map(drop)
}

/// Changes of other objects.
fn others(passes: &Passes, scope: Option<&str>) -> Vec<Wakes> {
    let under_way: Concerned = |unfinished, namespace, _| unfinished.under_way(namespace);
    // A history's name is a hash; a lock that is let go concerns those that wait for it.
    let all: Concerned = |unfinished, namespace, _| unfinished.all(namespace);
    vec![
        woken_by::<Pod>(passes, scope, under_way),
        woken_by::<EndpointSlice>(passes, scope, under_way),
        woken_by::<PodDisruptionBudget>(passes, scope, under_way),
        woken_by::<Deployment>(passes, scope, |all, space, name| all.of_target(TargetKind::Deployment, space, name)),
        woken_by::<StatefulSet>(passes, scope, |all, space, name| all.of_target(TargetKind::StatefulSet, space, name)),
        woken_by::<DaemonSet>(passes, scope, |all, space, name| all.of_target(TargetKind::DaemonSet, space, name)),
        woken_by::<RestartHistory>(passes, scope, all),
    ]
}

/// Requests in flight in a draining pod are no change that a watch sees.
fn at_zero(passes: &Passes, scope: Option<&str>) -> Wakes {
    let reached = passes.context.edges.wakes(scope);
    let wake = |(namespace, name): (String, String)| ObjectRef::<Watched>::new(&name).within(&namespace);
    reached.map(move |place| Ok(ReconcileRequest::from(wake(place)))).boxed()
}

/// Who is concerned by an object of this namespace and name.
type Concerned = fn(&Unfinished, &str, &str) -> Vec<String>;

fn woken_by<K>(passes: &Passes, scope: Option<&str>, concerned: Concerned) -> Wakes
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Send + 'static,
{
    let objects = watcher(api::<PartialObjectMeta<K>>(&passes.context.reader, scope), watcher::Config::default());
    let unfinished = passes.unfinished.clone();
    let mapper = move |object: PartialObjectMeta<K>| {
        let namespace = object.namespace().unwrap_or_default();
        let names = concerned(&unfinished, &namespace, &object.name_any());
        names.into_iter().map(move |name| ObjectRef::<Watched>::new(&name).within(&namespace))
    };
    trigger_with(objects.default_backoff().touched_objects(), mapper).boxed()
}

fn api<K>(reader: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match scope {
        Some(namespace) => Api::namespaced(reader.clone(), namespace),
        None => Api::all(reader.clone()),
    }
}
