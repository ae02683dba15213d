//! Starts hooks, and takes back the Jobs of a run that has ended without them.
//!
//! **Invariant:** starting a hook twice is starting it once: a Job has one name per run, an HTTP request one key.

use super::Done;
use super::config_maps::{metadata, params};
use crate::api::{Hook, HookTime, HttpHook, JobHook, names};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::Facts;
use crate::controller::hooks::body::Body;
use crate::controller::hooks::http::{Call, send};
use crate::controller::hooks::{Key, find, job, limit};
use crate::controller::objects::{job_name, run_id, word};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};

/// Starts the hook, unless it has been.
pub async fn run(ctx: &Context, facts: &Facts, time: HookTime, name: &str) -> Result<Done, Error> {
    let Some(hook) = find(&facts.request, time, name) else { return Ok(Done::NotNow) };
    if let Some(http) = &hook.http {
        // Writes to the API server are fenced by themselves.
        if !ctx.leader.leading() {
            return Ok(Done::NotNow);
        }
        request(ctx, facts, time, hook, http)?;
    }
    if let Some(template) = &hook.job {
        create(ctx, facts, time, hook, template).await?;
    }
    Ok(Done::Yes)
}

/// Goes on when the pass is over: a pass does not wait for others' servers.
fn request(ctx: &Context, facts: &Facts, time: HookTime, hook: &Hook, http: &HttpHook) -> Result<(), Error> {
    let body = serde_json::to_vec(&Body::new(&facts.request, time, &hook.name))
        .map_err(|error| Error::Internal(format!("the body of hook {}: {error}", hook.name)))?;
    let call = Call {
        url: http.url.clone(),
        method: http.method,
        namespace: facts.namespace.clone(),
        idempotency_key: format!("{}-{}-{}", run_id(&facts.request), word(time), hook.name),
        body,
        limit: limit(hook),
    };
    tracing::info!(hook = hook.name, idempotency_key = call.idempotency_key, "hook sent");
    ctx.hooks.start(Key::of(&facts.request, time, &hook.name), send(call));
    Ok(())
}

async fn create(ctx: &Context, facts: &Facts, time: HookTime, hook: &Hook, template: &JobHook) -> Result<(), Error> {
    let key = Key::of(&facts.request, time, &hook.name);
    let mut job = match job::build(facts.into(), time, hook, template) {
        Ok(job) => job,
        // Check has passed it; somebody changed a Service or the workload meanwhile.
        Err(why) => {
            ctx.hooks.fail(key, why);
            return Ok(());
        }
    };
    let name = job_name(&facts.request, time, &hook.name);
    let made = metadata(facts, &name, &format!("{}-hook", word(time)))?;
    job.metadata.owner_references = made.owner_references;
    job.metadata.labels.get_or_insert_default().extend(made.labels.unwrap_or_default());
    job.metadata.annotations.get_or_insert_default().extend(made.annotations.unwrap_or_default());
    match call(format!("create Job {}/{name}", facts.namespace), api(ctx, facts).create(&params(), &job)).await {
        // An earlier pass made it, or somebody else: observation looks whose it is.
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            ctx.hooks.under_way(&key, None);
            tracing::info!(hook = hook.name, job = name, "hook started");
            Ok(())
        }
    }
}

fn api(ctx: &Context, facts: &Facts) -> Api<Job> {
    Api::namespaced(ctx.writer.clone(), &facts.namespace)
}

/// Deletes the run's Jobs that have not ended, with their pods: nobody waits for them any more.
pub async fn delete_unfinished(ctx: &Context, facts: &Facts) -> Result<(), Error> {
    let hooks = facts.request.status.iter().flat_map(|status| &status.hooks);
    let started = hooks.filter_map(|known| find(&facts.request, known.time, &known.name));
    if started.filter(|hook| hook.job.is_some()).count() == 0 {
        return Ok(());
    }
    let params = ListParams::default().labels(&format!("{}={}", names::RUN, run_id(&facts.request)));
    let jobs = call(format!("list hooks' Jobs in {}", facts.namespace), api(ctx, facts).list(&params)).await?;
    for job in jobs.items.iter().filter(|job| !ended(job)) {
        delete(ctx, facts, job).await?;
    }
    Ok(())
}

fn ended(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut true_ones = conditions.filter(|condition| condition.status == "True");
    true_ones.any(|condition| ["Complete", "Failed"].contains(&condition.type_.as_str()))
}

async fn delete(ctx: &Context, facts: &Facts, job: &Job) -> Result<(), Error> {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let preconditions = Preconditions { uid: job.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match call(format!("delete Job {}/{name}", facts.namespace), api(ctx, facts).delete(name, &params)).await {
        Err(error) if !error.is_not_found() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
