//! A hook's Job, made of its template: bounded in time, without rights, never one of the workload's pods.
//!
//! **Invariant:** pure; the same request gives the same Job, so that making it twice is making it once.

use super::template;
use crate::api::{Hook, HookTime, JobHook, RestartRequest, names};
use crate::controller::facts::{ConfigMapFacts, Facts};
use crate::controller::objects::{job_name, run_id, word};
use crate::controller::workload::Workload;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, Container, PodSpec, Service, Volume, VolumeMount};
use kube::core::{Selector, SelectorExt as _};
use std::collections::BTreeMap;

/// A finished Job stays so long, for its logs, in seconds.
const TTL: i32 = 3600;

type Labels = BTreeMap<String, String>;

/// What a Job depends on beside its template.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The request.
    pub request: &'a RestartRequest,
    /// The workload that is restarted.
    pub workload: Option<&'a Workload>,
    /// The Services of the namespace.
    pub services: &'a [Service],
    /// The ConfigMaps that the restart is about.
    pub config: &'a [ConfigMapFacts],
}

impl<'a> From<&'a Facts> for Around<'a> {
    fn from(facts: &'a Facts) -> Self {
        let (request, workload) = (&facts.request, facts.workload.as_ref());
        Self { request, workload, services: &facts.surroundings.services, config: &facts.config }
    }
}

/// The Job of a hook, all but its owner.
///
/// # Errors
/// What of the template cannot be, and what to do.
pub fn build(around: Around<'_>, time: HookTime, hook: &Hook, job: &JobHook) -> Result<Job, String> {
    let (mut metadata, mut spec) = template::parse(&job.template)?;
    apart(around, spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref()))?;
    bounded(&mut spec, hook);
    let pod = spec.template.spec.get_or_insert_default();
    without_rights(pod);
    if let Some(directory) = &job.mount_candidate_at {
        mount(pod, directory, around.config)?;
    }
    metadata.name = Some(job_name(around.request, time, &hook.name));
    metadata.namespace.clone_from(&around.request.metadata.namespace);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(names::RUN.to_owned(), run_id(around.request));
    labels.insert(names::HOOK.to_owned(), hook.name.clone());
    labels.insert(names::ROLE.to_owned(), format!("{}-hook", word(time)));
    Ok(Job { metadata, spec: Some(spec), status: None })
}

/// The Job was made by this run for this hook.
#[must_use]
pub fn ours(job: &Job, request: &RestartRequest, time: HookTime, hook: &Hook) -> bool {
    let label = |key: &str| job.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let role = format!("{}-hook", word(time));
    label(names::RUN) == Some(run_id(request).as_str())
        && label(names::HOOK) == Some(hook.name.as_str())
        && label(names::ROLE) == Some(role.as_str())
}

/// A Job's pod among the workload's would be counted, drained, and sent requests.
fn apart(around: Around<'_>, labels: Option<&Labels>) -> Result<(), String> {
    let empty = Labels::new();
    let (labels, workload) = (labels.unwrap_or(&empty), around.workload);
    let selector = workload.and_then(|workload| Selector::try_from(workload.selector()?.clone()).ok());
    if selector.is_some_and(|selector| selector.matches(labels)) {
        let name = &around.request.spec.target_ref.name;
        return Err(format!(
            "template.spec.template.metadata.labels are those of the pods of {name}, which would count the Job's pods as its own; use other labels"
        ));
    }
    let template = workload.and_then(|workload| workload.template()?.metadata.as_ref()?.labels.as_ref());
    let serves = |service: &&Service| selects(service, labels) && selects(service, template.unwrap_or(&empty));
    match around.services.iter().find(serves) {
        Some(service) => Err(format!(
            "template.spec.template.metadata.labels are those that Service {} selects, which would send requests to the Job's pods; use other labels",
            service.metadata.name.as_deref().unwrap_or_default()
        )),
        None => Ok(()),
    }
}

fn selects(service: &Service, labels: &Labels) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

fn bounded(spec: &mut JobSpec, hook: &Hook) {
    let limit = i64::from(hook.timeout_seconds);
    spec.active_deadline_seconds = Some(spec.active_deadline_seconds.map_or(limit, |given| given.min(limit)));
    spec.backoff_limit.get_or_insert(0);
    spec.ttl_seconds_after_finished.get_or_insert(TTL);
}

fn without_rights(pod: &mut PodSpec) {
    pod.automount_service_account_token.get_or_insert(false);
    pod.restart_policy.get_or_insert_with(|| "Never".to_owned());
    for container in containers(pod) {
        // What it said last is then what the failed hook says.
        container.termination_message_policy.get_or_insert_with(|| "FallbackToLogsOnError".to_owned());
    }
}

fn containers(pod: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    pod.init_containers.iter_mut().flatten().chain(&mut pod.containers)
}

/// The immutable copies of what new pods start on, each ConfigMap in a directory of its name.
fn mount(pod: &mut PodSpec, directory: &str, config: &[ConfigMapFacts]) -> Result<(), String> {
    if config.is_empty() {
        return Err("mountCandidateAt: there is nothing to mount, since the restart is about no ConfigMap; name one in spec.config.configMaps or remove it".to_owned());
    }
    for (index, map) in config.iter().enumerate() {
        let volume = format!("restart-candidate-{index}");
        let source = ConfigMapVolumeSource { name: map.entry.candidate.clone(), ..ConfigMapVolumeSource::default() };
        let volumes = pod.volumes.get_or_insert_default();
        volumes.push(Volume { name: volume.clone(), config_map: Some(source), ..Volume::default() });
        let mount = VolumeMount {
            name: volume,
            mount_path: format!("{}/{}", directory.trim_end_matches('/'), map.entry.name),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        containers(pod).for_each(|container| container.volume_mounts.get_or_insert_default().push(mount.clone()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
