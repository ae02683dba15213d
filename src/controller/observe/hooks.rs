//! The hooks and what is seen of the one that runs; before the run, whether each of them could run at all.
//!
//! **Invariant:** a hook that the status does not call running is not looked for: what it left behind decides nothing.

use crate::api::{FailurePolicy, Hook, HookState, HookTime, RestartRequest, Step};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::Facts;
use crate::controller::hooks::{self, Key, job, job_result};
use crate::controller::objects::{job_name, word};
use crate::machine::{HookRun, HookView};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

/// Label of a Job's pods, set by Kubernetes.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// All hooks in their order.
pub async fn read(ctx: &Context, facts: &Facts) -> Result<Vec<HookView>, Error> {
    let mut views = vec![];
    for (time, hook) in hooks::all(&facts.request) {
        let run = if runs(&facts.request, time, hook) { seen(ctx, facts, time, hook).await? } else { HookRun::Absent };
        views.push(HookView { time, name: hook.name.clone(), ignore: hook.on_failure == FailurePolicy::Ignore, run });
    }
    Ok(views)
}

fn runs(request: &RestartRequest, time: HookTime, hook: &Hook) -> bool {
    let status = request.status.as_ref();
    let step = status.and_then(|status| status.step);
    let now = match time {
        HookTime::Pre => step == Some(Step::PreHooks),
        HookTime::Post => step == Some(Step::PostHooks),
    };
    let running = |status: &crate::api::RestartRequestStatus| {
        let mut all = status.hooks.iter();
        all.any(|known| known.time == time && known.name == hook.name && known.state == HookState::Running)
    };
    now && status.is_some_and(running)
}

async fn seen(ctx: &Context, facts: &Facts, time: HookTime, hook: &Hook) -> Result<HookRun, Error> {
    let key = Key::of(&facts.request, time, &hook.name);
    match ctx.hooks.result(&key) {
        Some(Ok(())) => return Ok(HookRun::Succeeded),
        Some(Err(why)) => return Ok(HookRun::Failed(why)),
        None => {}
    }
    if hook.job.is_some() {
        return of_job(ctx, facts, time, hook, &key).await;
    }
    Ok(if ctx.hooks.knows(&key) { HookRun::Running } else { HookRun::Absent })
}

async fn of_job(ctx: &Context, facts: &Facts, time: HookTime, hook: &Hook, key: &Key) -> Result<HookRun, Error> {
    let (name, namespace) = (job_name(&facts.request, time, &hook.name), &facts.namespace);
    let jobs: Api<Job> = Api::namespaced(ctx.reader.clone(), namespace);
    let Some(found) = call(format!("read Job {namespace}/{name}"), jobs.get_opt(&name)).await? else {
        // Made again it would run twice.
        let deleted = || HookRun::Failed(format!("Job {name} was deleted before it had ended"));
        return Ok(if ctx.hooks.knows(key) { deleted() } else { HookRun::Absent });
    };
    if !job::ours(&found, &facts.request, time, hook) {
        let message = format!("Job {name} exists and is not this run's; delete it and ask again");
        return Ok(HookRun::Failed(message));
    }
    let pods: Api<Pod> = Api::namespaced(ctx.reader.clone(), namespace);
    let params = ListParams::default().labels(&format!("{JOB_NAME}={name}"));
    let pods = call(format!("list the pods of Job {namespace}/{name}"), pods.list(&params)).await?.items;
    let (known_for, waiting) = ctx.hooks.under_way(key, job_result::waiting(&pods));
    Ok(job_result::result(hook, &found, &pods, known_for, &waiting))
}

/// Why some hook can only fail; looked for before the run begins, where nothing has to be put back.
pub async fn bad(ctx: &Context, facts: &Facts) -> Result<Option<String>, Error> {
    let step = facts.request.status.as_ref().and_then(|status| status.step);
    let deleting = facts.request.metadata.deletion_timestamp.is_some();
    if deleting || !matches!(step, None | Some(Step::Queued)) {
        return Ok(None);
    }
    for (time, hook) in hooks::all(&facts.request) {
        if let Some(why) = wrong(ctx, facts, time, hook).await? {
            return Ok(Some(format!("spec.hooks.{} {}: {why}", word(time), hook.name)));
        }
    }
    Ok(None)
}

async fn wrong(ctx: &Context, facts: &Facts, time: HookTime, hook: &Hook) -> Result<Option<String>, Error> {
    if let Some(why) = hook.http.as_ref().and_then(|http| hooks::url::parse(&http.url).err()) {
        return Ok(Some(why));
    }
    let Some(template) = &hook.job else { return Ok(None) };
    match job::build(facts.into(), time, hook, template) {
        Err(why) => Ok(Some(why)),
        Ok(job) => {
            let refused = hooks::ask::refusal(ctx, &facts.namespace, &job).await?;
            Ok(refused.map(|why| format!("the API server would refuse its Job: {why}")))
        }
    }
}
