//! Names and bodies of objects that reads and writes have in common.
//!
//! **Invariant:** no call is made here; a name depends on nothing but what the object is for.

use crate::api::{HookTime, RestartRequest, names};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};

/// Name of the list of pods to replace.
#[must_use]
pub fn plan_name(request: &RestartRequest) -> String {
    list_name(request, "plan")
}

/// Name of the list of pods to replace once more.
#[must_use]
pub fn again_name(request: &RestartRequest) -> String {
    list_name(request, "again")
}

fn list_name(request: &RestartRequest, which: &str) -> String {
    let name = request.metadata.name.as_deref().unwrap_or_default();
    names::generated(&format!("{name}-{which}"), "RestartRequest", name, &run_id(request))
}

/// Name of the Job of a hook: one for each run.
#[must_use]
pub fn job_name(request: &RestartRequest, time: HookTime, hook: &str) -> String {
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let word = word(time);
    names::generated_label(
        &format!("{name}-{word}-{hook}"),
        "RestartRequest",
        &format!("{name}/{word}/{hook}"),
        &run_id(request),
    )
}

/// `pre` or `post`.
#[must_use]
pub fn word(time: HookTime) -> &'static str {
    match time {
        HookTime::Pre => "pre",
        HookTime::Post => "post",
    }
}

/// What names one run of a request: its UID, and the generation of the spec that the run began with.
#[must_use]
pub fn run_id(request: &RestartRequest) -> String {
    format!("{}-{}", request.metadata.uid.as_deref().unwrap_or_default(), run_generation(request))
}

/// The generation of the spec that the run began with, or would begin with now.
#[must_use]
pub fn run_generation(request: &RestartRequest) -> i64 {
    let begun = request.status.as_ref().and_then(|status| status.run_generation);
    begun.or(request.metadata.generation).unwrap_or_default()
}

/// The key by which the workload's history knows a run whose object is made anew; absent without a trigger.
#[must_use]
pub fn run_key(request: &RestartRequest) -> Option<String> {
    let (name, trigger) = (request.metadata.name.as_deref().unwrap_or_default(), request.spec.trigger.as_deref()?);
    Some(names::sha256_hex(format!("{name}\n{trigger}").as_bytes())[..32].to_owned())
}

/// The UID in the name keeps a workload that is made anew apart from the one that is going.
#[must_use]
pub fn history_name(request: &RestartRequest, workload_uid: &str) -> String {
    let target = &request.spec.target_ref;
    let kind = format!("{:?}", target.kind);
    names::generated(&format!("{}-{}", kind.to_lowercase(), target.name), &kind, &target.name, workload_uid)
}

/// An eviction of that very pod. Written out, because kube's own `Api::evict` loses the preconditions (DESIGN 10).
#[must_use]
pub fn eviction(name: &str, uid: &str, version: Option<&str>, dry_run: bool) -> Eviction {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: version.map(str::to_owned) };
    let options = DeleteOptions {
        preconditions: Some(preconditions),
        dry_run: dry_run.then(|| vec!["All".to_owned()]),
        ..DeleteOptions::default()
    };
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Eviction { metadata, delete_options: Some(options) }
}
