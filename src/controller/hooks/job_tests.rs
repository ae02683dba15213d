use super::*;
use crate::api::SnapshotSource;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

fn request() -> RestartRequest {
    serde_json::from_value(json!({
        "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "generation": 3},
        "spec": {"targetRef": {"kind": "StatefulSet", "name": "web"}, "reason": "new prices"},
    }))
    .unwrap()
}

fn workload() -> Workload {
    let set: StatefulSet = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"serviceName": "web", "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}}},
    }))
    .unwrap();
    Workload::StatefulSet(Box::new(set))
}

fn hook() -> Hook {
    serde_json::from_value(json!({"name": "check", "timeoutSeconds": 30})).unwrap()
}

fn template(labels: &Value) -> Value {
    json!({"metadata": {"labels": {"team": "a"}}, "spec": {"template": {"metadata": {"labels": labels}, "spec": {
        "initContainers": [{"name": "first", "image": "check:1"}], "containers": [{"name": "main", "image": "check:1"}]}}}})
}

fn built(template: Value, mount: Option<&str>, config: &[ConfigMapFacts]) -> Result<Job, String> {
    let service = json!({"metadata": {"name": "front"}, "spec": {"selector": {"tier": "front"}}});
    let unrelated = json!({"metadata": {"name": "batch"}, "spec": {"selector": {"app": "batch"}}});
    let services: Vec<Service> = serde_json::from_value(json!([unrelated, service])).unwrap();
    let (request, workload) = (request(), workload());
    let around = Around { request: &request, workload: Some(&workload), services: &services, config };
    build(around, HookTime::Pre, &hook(), &JobHook { template, mount_candidate_at: mount.map(str::to_owned) })
}

fn config(name: &str) -> ConfigMapFacts {
    let entry = crate::api::SnapshotEntry {
        name: name.into(),
        snapshot: format!("{name}-old"),
        sha256: String::new(),
        source: SnapshotSource::AtRequest,
        candidate: format!("{name}-new"),
        candidate_sha256: String::new(),
        promoted: true,
        restored: false,
    };
    ConfigMapFacts {
        entry,
        optional: false,
        referred: true,
        live: None,
        from: None,
        digest: String::new(),
        snapshot: None,
        candidate: None,
    }
}

#[test]
fn a_job_keeps_its_template_and_gets_bounds_labels_and_no_rights() {
    let job = built(template(&json!({"app": "check"})), None, &[]).unwrap();
    let (labels, spec) = (job.metadata.labels.clone().unwrap(), job.spec.clone().unwrap());
    assert_eq!(labels["team"], "a");
    assert_eq!(labels[names::RUN], "u-1-3");
    assert_eq!((labels[names::HOOK].as_str(), labels[names::ROLE].as_str()), ("check", "pre-hook"));
    assert_eq!((spec.active_deadline_seconds, spec.backoff_limit), (Some(30), Some(0)));
    assert_eq!(spec.ttl_seconds_after_finished, Some(3600));
    let pod = spec.template.spec.unwrap();
    assert_eq!((pod.restart_policy.as_deref(), pod.automount_service_account_token), (Some("Never"), Some(false)));
    assert!(pod.volumes.is_none() && pod.containers[0].volume_mounts.is_none());
    assert!(ours(&job, &request(), HookTime::Pre, &hook()));
    assert!(!ours(&job, &request(), HookTime::Post, &hook()));
}

#[test]
fn what_the_template_says_stays_but_its_deadline_is_never_longer_than_the_hooks() {
    let mut template = template(&json!({}));
    template["spec"]["backoffLimit"] = json!(2);
    template["spec"]["ttlSecondsAfterFinished"] = json!(900);
    template["spec"]["activeDeadlineSeconds"] = json!(3000);
    template["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    template["spec"]["template"]["spec"]["automountServiceAccountToken"] = json!(true);
    let spec = built(template, None, &[]).unwrap().spec.unwrap();
    assert_eq!((spec.active_deadline_seconds, spec.backoff_limit), (Some(30), Some(2)));
    assert_eq!(spec.ttl_seconds_after_finished, Some(900));
    let pod = spec.template.spec.unwrap();
    assert_eq!((pod.restart_policy.as_deref(), pod.automount_service_account_token), (Some("OnFailure"), Some(true)));
}

#[test]
fn every_container_finds_the_candidate_copies_below_the_directory() {
    let job = built(template(&json!({})), Some("/candidate/"), &[config("web-config"), config("prices")]).unwrap();
    let pod = job.spec.unwrap().template.spec.unwrap();
    let copies: Vec<String> =
        pod.volumes.iter().flatten().filter_map(|volume| Some(volume.config_map.as_ref()?.name.clone())).collect();
    assert_eq!(copies, ["web-config-new", "prices-new"]);
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        let mounts = container.volume_mounts.as_ref().unwrap();
        let paths: Vec<&str> = mounts.iter().map(|mount| mount.mount_path.as_str()).collect();
        assert_eq!(paths, ["/candidate/web-config", "/candidate/prices"]);
        assert!(mounts.iter().all(|mount| mount.read_only == Some(true)));
    }
    let nothing = built(template(&json!({})), Some("/candidate"), &[]).unwrap_err();
    assert!(nothing.starts_with("mountCandidateAt: there is nothing to mount"), "{nothing}");
}

#[test]
fn the_pods_of_a_job_are_never_among_the_workloads() {
    let own = built(template(&json!({"app": "web"})), None, &[]).unwrap_err();
    assert!(own.contains("are those of the pods of web"), "{own}");
    let served = built(template(&json!({"tier": "front"})), None, &[]).unwrap_err();
    assert!(served.contains("are those that Service front selects"), "{served}");
    assert!(built(template(&json!({"app": "batch"})), None, &[]).is_ok());
}
