//! All reads of one pass, live from the API server, and the questions to the sidecars.
//!
//! **Invariant:** no cache (but for whose turn it is): a decision that removes a pod is made on what the API server says now, and each effect
//! carries the resourceVersion seen here.

use crate::api::{ActiveRun, Phase, Resolved, RestartHistory, RestartRequest, RestartRequestSpec, Step, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{Facts, List, PodFacts, Surroundings};
use crate::controller::objects::{again_name, history_name, plan_name, run_generation};
use crate::controller::observe::{config_maps, hooks, pods, resolve, shared, surroundings, workload};
use crate::controller::workload::Workload;
use crate::machine::PlannedPod;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use std::collections::BTreeMap;

/// Reads everything that the run's step may need; absent when the request no longer exists.
pub async fn read(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Facts>, Error> {
    let Some(request) = live(ctx, namespace, name).await? else { return Ok(None) };
    Box::pin(around(ctx, namespace, request)).await.map(Some)
}

/// The request alone, and nothing around it; absent when it no longer exists.
pub async fn alone(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Facts>, Error> {
    let Some(request) = live(ctx, namespace, name).await? else { return Ok(None) };
    let resolved = resolved(ctx, &request, None, &Surroundings::default());
    Ok(Some(Facts::new(namespace, request, None, resolved)))
}

async fn live(ctx: &Context, namespace: &str, name: &str) -> Result<Option<RestartRequest>, Error> {
    let requests: Api<RestartRequest> = Api::namespaced(ctx.reader.clone(), namespace);
    call(format!("read RestartRequest {namespace}/{name}"), requests.get_opt(name)).await
}

/// What absent fields became, as the status records it, or as it would be now.
fn resolved(ctx: &Context, request: &RestartRequest, workload: Option<&Workload>, around: &Surroundings) -> Resolved {
    let recorded = request.status.as_ref().and_then(|status| status.resolved.clone());
    recorded.unwrap_or_else(|| resolve::resolve(&request.spec, &ctx.config.current(), workload, around))
}

/// The same for a run that holds a history although its request is gone; absent when that is not so.
pub async fn orphan(ctx: &Context, namespace: &str, history: &str) -> Result<Option<Facts>, Error> {
    let histories: Api<RestartHistory> = Api::namespaced(ctx.reader.clone(), namespace);
    let what = format!("read RestartHistory {namespace}/{history}");
    let Some(history) = call(what, histories.get_opt(history)).await? else { return Ok(None) };
    let Some(active) = history.status.as_ref().and_then(|status| status.active.as_ref()) else { return Ok(None) };
    if !gone(ctx, namespace, active).await? {
        return Ok(None);
    }
    let facts = Box::pin(around(ctx, namespace, orphaned(namespace, active)?)).await?;
    // Under another name it is about another workload: whoever edited it is not followed.
    let same = facts.history.as_ref().is_some_and(|found| found.metadata.uid == history.metadata.uid);
    Ok(same.then_some(Facts { orphan: true, ..facts }))
}

/// The request as it would be if it were being deleted: what it did goes back, and nothing else happens.
fn orphaned(namespace: &str, active: &ActiveRun) -> Result<RestartRequest, Error> {
    let unreadable = |error: serde_json::Error| {
        Error::Internal(format!("what the history holds of RestartRequest {namespace}/{}: {error}", active.request))
    };
    let mut request =
        RestartRequest::new(&active.request, serde_json::from_value(active.spec.clone()).map_err(unreadable)?);
    request.status = active.status.clone().map(serde_json::from_value).transpose().map_err(unreadable)?;
    request.metadata.namespace = Some(namespace.to_owned());
    request.metadata.uid = Some(active.uid.clone());
    request.metadata.generation = Some(active.generation);
    request.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    Ok(request)
}

/// Whether the request that holds the lock is gone, or has ended without giving the lock back: its surroundings could not be
/// read then (`machine::blind`).
async fn gone(ctx: &Context, namespace: &str, active: &ActiveRun) -> Result<bool, Error> {
    let api: Api<DeserializeGuard<RestartRequest>> = Api::namespaced(ctx.reader.clone(), namespace);
    let what = format!("look for RestartRequest {namespace}/{}", active.request);
    let holder = call(what, api.get_opt(&active.request)).await?;
    Ok(holder.is_none_or(|holder| {
        holder.meta().uid.as_ref() != Some(&active.uid) || holder.0.is_ok_and(|it| has_let_go(&it))
    }))
}

fn has_let_go(request: &RestartRequest) -> bool {
    request.phase().is_some_and(Phase::is_terminal) && !request.held() && !request.triggered()
}

/// Everything around a request.
pub async fn around(ctx: &Context, namespace: &str, mut request: RestartRequest) -> Result<Facts, Error> {
    if request.spec.misnamed().is_some() {
        return Ok(of_no_workload(ctx, namespace, request));
    }
    let (plan_name, again_name) = (plan_name(&request), again_name(&request));
    let (workload, around, namespace_terminating, leaving_nodes, plan, again) = futures::try_join!(
        workload::read(ctx, namespace, &request.spec.target_ref),
        surroundings::read(ctx, namespace),
        terminating(ctx, namespace, &request),
        surroundings::leaving_nodes(ctx, &request),
        list(ctx, namespace, &plan_name),
        list(ctx, namespace, &again_name),
    )?;
    let resolved = resolved(ctx, &request, workload.as_ref(), &around);
    let (history, pods) = futures::try_join!(
        history(ctx, namespace, &request, &resolved.workload_uid),
        workload::pods(ctx, namespace, workload.as_ref()),
    )?;
    let triggered = request.triggered();
    pin(&mut request, history.as_ref());
    let (config, holder_gone) = futures::try_join!(
        config(ctx, namespace, &request, workload.as_ref(), history.as_ref(), &resolved.workload_uid),
        holder_gone(ctx, namespace, &request, history.as_ref()),
    )?;
    let mut facts = Facts {
        namespace_terminating,
        pods,
        holder_gone,
        leaving_nodes,
        plan,
        again,
        others_under_way: if waits(&request) { ctx.turns.others_under_way(&request) } else { 0 },
        ahead: if waits(&request) { ctx.turns.ahead(&request) } else { None },
        triggered,
        history,
        surroundings: around,
        config: config.found,
        missing_config_maps: config.missing,
        ..Facts::new(namespace, request, workload, resolved)
    };
    facts.lost_nodes = surroundings::lost_nodes(ctx, &facts).await?;
    facts.hooks = hooks::read(ctx, &facts).await?;
    facts.bad_hook = hooks::bad(ctx, &facts).await?;
    if before_the_run(&facts.request) {
        surroundings::obstacles(ctx, &mut facts).await?;
    }
    facts.shared = shared::read(ctx, &facts).await?;
    ask_sidecars(ctx, &mut facts).await;
    Ok(facts)
}

/// What is no name names nothing that could be read, and Check says so.
fn of_no_workload(ctx: &Context, namespace: &str, request: RestartRequest) -> Facts {
    let none = Surroundings::default();
    let resolved = resolve::resolve(&request.spec, &ctx.config.current(), None, &none);
    Facts { triggered: request.triggered(), ..Facts::new(namespace, request, None, resolved) }
}

/// The ConfigMaps, unless nothing is to be copied.
async fn config(
    ctx: &Context,
    namespace: &str,
    request: &RestartRequest,
    workload: Option<&Workload>,
    history: Option<&RestartHistory>,
    workload_uid: &str,
) -> Result<config_maps::Read, Error> {
    let copied = request.status.as_ref().is_some_and(|status| status.snapshot.is_some());
    if copied || ctx.config.current().backup_config {
        config_maps::read(ctx, namespace, request, workload, history, workload_uid).await
    } else {
        Ok(config_maps::Read { found: vec![], missing: vec![] })
    }
}

/// Check has the word until the first pod is touched.
pub fn before_the_run(request: &RestartRequest) -> bool {
    let step = request.status.as_ref().and_then(|status| status.step);
    matches!(step, None | Some(Step::Queued | Step::Preparing | Step::PreHooks))
}

async fn list(ctx: &Context, namespace: &str, name: &str) -> Result<List, Error> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.reader.clone(), namespace);
    let map = call(format!("read the list of pods {namespace}/{name}"), api.get_opt(name)).await?;
    Ok(map.map_or(List::Absent, |map| pods_in(&map)))
}

fn pods_in(map: &ConfigMap) -> List {
    let text = map.data.as_ref().and_then(|data| data.get("pods"));
    let pods: Option<Vec<PlannedPod>> = text.and_then(|text| serde_json::from_str(text).ok());
    pods.map_or(List::Altered, List::Written)
}

async fn terminating(ctx: &Context, namespace: &str, request: &RestartRequest) -> Result<bool, Error> {
    if request.metadata.deletion_timestamp.is_none() {
        return Ok(false);
    }
    let api: Api<Namespace> = Api::all(ctx.reader.clone());
    let namespace = call(format!("read Namespace {namespace}"), api.get_opt(namespace)).await?;
    Ok(namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
}

/// The workload's history, if it has one.
pub async fn history(
    ctx: &Context,
    namespace: &str,
    request: &RestartRequest,
    workload_uid: &str,
) -> Result<Option<RestartHistory>, Error> {
    if workload_uid.is_empty() {
        return Ok(None);
    }
    let name = history_name(request, workload_uid);
    let api: Api<RestartHistory> = Api::namespaced(ctx.reader.clone(), namespace);
    without_definition(call(format!("read RestartHistory {namespace}/{name}"), api.get_opt(&name)).await)
}

/// Where there is no definition of a kind, there is no object of it: the run meets that when it writes one, says so in its
/// status and ends by its deadline.
pub fn without_definition<T: Default>(read: Result<T, Error>) -> Result<T, Error> {
    match read {
        Err(error) if error.is_kind_missing() => Ok(T::default()),
        read => read,
    }
}

async fn holder_gone(
    ctx: &Context,
    namespace: &str,
    request: &RestartRequest,
    history: Option<&RestartHistory>,
) -> Result<bool, Error> {
    let active = history.and_then(|history| history.status.as_ref()).and_then(|status| status.active.as_ref());
    let Some(active) = active.filter(|active| request.metadata.uid.as_ref() != Some(&active.uid)) else {
        return Ok(false);
    };
    gone(ctx, namespace, active).await
}

fn waits(request: &RestartRequest) -> bool {
    matches!(request.phase(), None | Some(Phase::Pending))
}

/// Selects those that have not ended.
pub const NOT_ENDED: &str = "status.phase!=Completed,status.phase!=Failed,status.phase!=Cancelled";
/// More are never asked for: thousands may wait in a namespace.
const PAGE: u32 = 500;

/// The requests of the namespace that can be read, by the fields that select them.
pub async fn requests(ctx: &Context, namespace: &str, fields: &str) -> Result<Vec<RestartRequest>, Error> {
    // One request that cannot be read must not keep the others of its namespace waiting (I11).
    let api: Api<DeserializeGuard<RestartRequest>> = Api::namespaced(ctx.reader.clone(), namespace);
    let page = ListParams::default().fields(fields).limit(PAGE);
    let all = call(format!("list RestartRequests in {namespace}"), api.list(&page)).await?;
    Ok(all.items.into_iter().filter_map(|guard| guard.0.ok()).collect())
}

/// A run goes by the spec that it began with; only `cancel` and the time to live are those of the object.
fn pin(request: &mut RestartRequest, history: Option<&RestartHistory>) {
    let active = history.and_then(|history| history.status.as_ref()).and_then(|status| status.active.as_ref());
    let ours = active.filter(|active| {
        request.metadata.uid.as_ref() == Some(&active.uid) && active.generation == run_generation(request)
    });
    let pinned = ours.and_then(|active| serde_json::from_value::<RestartRequestSpec>(active.spec.clone()).ok());
    if let Some(pinned) = pinned {
        let (cancel, ttl) = (request.spec.cancel, request.spec.ttl_seconds_after_finished);
        request.spec = RestartRequestSpec { cancel, ttl_seconds_after_finished: ttl, ..pinned };
    }
}

/// Asks the sidecars that the step depends on, all at once.
async fn ask_sidecars(ctx: &Context, facts: &mut Facts) {
    let (wanted, without): (Vec<&PodFacts>, Vec<&PodFacts>) =
        facts.pods.iter().filter(|pod| matters(facts, pod)).partition(|pod| pod.sidecar().is_some());
    let without: Vec<String> = without.into_iter().map(|pod| pod.uid().to_owned()).collect();
    let wanted: BTreeMap<&str, &PodFacts> = wanted.into_iter().map(|pod| (pod.uid(), pod)).collect();
    let calls =
        wanted.into_values().map(|pod| async move { (ctx.sidecars.of_pod(&pod.pod).await, pod.uid().to_owned()) });
    let answers = join_all(calls).await;
    for (answer, uid) in answers {
        let Some(pod) = facts.pods.iter_mut().find(|pod| pod.uid() == uid) else { continue };
        pod.asked = true;
        match answer {
            Ok(report) => pod.report = Some(report),
            Err(error) => {
                ctx.metrics.sidecar_error(error.word());
                pod.silence = error.to_string();
            }
        }
    }
    // Nothing listens there: a call would only take a place, for two seconds where packets are dropped.
    for pod in facts.pods.iter_mut().filter(|pod| without.iter().any(|uid| uid == pod.uid())) {
        pod.asked = true;
        pod.silence = format!("it has no container {}", names::SIDECAR_CONTAINER);
    }
}

fn matters(facts: &Facts, pod: &PodFacts) -> bool {
    if pod.terminating() {
        return false;
    }
    let status = facts.request.status.as_ref();
    match status.and_then(|status| status.step) {
        None | Some(Step::Queued | Step::Preparing | Step::PreHooks) => {
            !facts.request.spec.force && !pods::foreign(facts, pod)
        }
        Some(Step::Surging | Step::Reserving | Step::Draining | Step::Evicting) => {
            status.is_some_and(|status| status.pods.iter().any(|entry| entry.uid == pod.uid()))
        }
        Some(Step::Restoring) => true,
        Some(Step::Verifying | Step::PostHooks | Step::Finishing | Step::Finished) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_that_holds_something_else_is_altered_and_no_error() {
        let map = |data: serde_json::Value| serde_json::from_value(json!({"data": data})).unwrap();
        let pod = PlannedPod { name: "a".into(), uid: "1".into(), restarts: 2, unready: false, passed_over: false };
        let written = map(json!({"pods": r#"[{"name": "a", "uid": "1", "restarts": 2}]"#}));
        assert_eq!(pods_in(&written), List::Written(vec![pod]), "as an earlier version wrote it");
        for other in [json!({}), json!({"pods": "none"}), json!({"pods": "[{}]"})] {
            assert_eq!(pods_in(&map(other.clone())), List::Altered, "{other}");
        }
    }

    #[test]
    fn a_run_without_its_request_is_one_that_is_being_deleted() {
        let active = json!({"request": "web", "uid": "1", "generation": 3,
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "why"},
            "status": {"phase": "Restarting", "step": "Surging", "runGeneration": 3}});
        let request = orphaned("shop", &serde_json::from_value(active).unwrap()).unwrap();
        assert_eq!((request.metadata.uid.as_deref(), request.metadata.namespace.as_deref()), (Some("1"), Some("shop")));
        assert!(request.metadata.deletion_timestamp.is_some() && request.metadata.finalizers.is_none());
        assert_eq!((run_generation(&request), request.status.and_then(|status| status.step)), (3, Some(Step::Surging)));
        let unreadable = json!({"request": "web", "uid": "1", "spec": {"reason": 3}});
        let error = orphaned("shop", &serde_json::from_value(unreadable).unwrap()).unwrap_err().to_string();
        assert!(error.contains("RestartRequest shop/web"), "{error}");
    }
}
