//! A hook's Job template: understood in full, or refused with the field's name before the run begins.
//!
//! **Invariant:** no field of the template is dropped in silence: what is not kept is refused.

use k8s_openapi::api::batch::v1::{JobSpec, JobTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// Shortest life of a finished Job, in seconds: a controller that was away meanwhile must still find its result.
pub const SHORTEST_TTL: i32 = 600;
/// The only service account that a hook's pods may have (DESIGN 8): a hook is no way to another's rights.
const SERVICE_ACCOUNT: &str = "default";

/// The template with its metadata's labels and annotations.
///
/// # Errors
/// Which field is wrong, and what to do.
pub fn parse(template: &Value) -> Result<(ObjectMeta, JobSpec), String> {
    let parsed: JobTemplateSpec = serde_path_to_error::deserialize(template)
        .map_err(|error| format!("template.{}: {}", error.path(), error.inner()))?;
    let known = serde_json::to_value(&parsed).map_err(|error| error.to_string())?;
    if let Some(field) = unknown(template, &known) {
        return Err(format!("template{field} is no field of a Job template (batch/v1); correct or remove it"));
    }
    let metadata = metadata(&parsed.metadata.unwrap_or_default())?;
    let spec = parsed.spec.ok_or("template.spec is missing: it is the Job's specification")?;
    checked(&spec)?;
    Ok((metadata, spec))
}

/// The path of the first value that the typed template has lost.
fn unknown(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(key, value)| match known.get(key) {
            None if value.is_null() => None,
            None => Some(format!(".{key}")),
            Some(known) => unknown(value, known).map(|rest| format!(".{key}{rest}")),
        }),
        (Value::Array(given), Value::Array(known)) => given
            .iter()
            .zip(known)
            .enumerate()
            .find_map(|(index, (given, known))| unknown(given, known).map(|rest| format!("[{index}]{rest}"))),
        _ => None,
    }
}

fn metadata(metadata: &ObjectMeta) -> Result<ObjectMeta, String> {
    let kept = ObjectMeta {
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        ..ObjectMeta::default()
    };
    if *metadata != kept {
        return Err("template.metadata may hold labels and annotations only: the Job's name, namespace and owner are the controller's".to_owned());
    }
    Ok(kept)
}

fn checked(spec: &JobSpec) -> Result<(), String> {
    if spec.suspend == Some(true) {
        return Err("template.spec.suspend would keep the Job from ever running; remove it".to_owned());
    }
    if spec.selector.is_some() || spec.manual_selector.is_some() {
        return Err("template.spec.selector is Kubernetes' to set; remove selector and manualSelector".to_owned());
    }
    if let Some(ttl) = spec.ttl_seconds_after_finished.filter(|ttl| *ttl < SHORTEST_TTL) {
        return Err(format!(
            "template.spec.ttlSecondsAfterFinished {ttl} could delete the Job before its result is seen; use {SHORTEST_TTL} or more"
        ));
    }
    let pod =
        spec.template.spec.as_ref().ok_or("template.spec.template.spec is missing: it is the pod's specification")?;
    let accounts = [("serviceAccountName", &pod.service_account_name), ("serviceAccount", &pod.service_account)];
    for (field, account) in accounts {
        if let Some(account) = account.as_ref().filter(|account| !["", SERVICE_ACCOUNT].contains(&account.as_str())) {
            return Err(format!(
                "template.spec.template.spec.{field} is {account}; the pods of a hook run as the namespace's service account {SERVICE_ACCOUNT} and no other; remove it"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(path: &str, value: &Value) -> Value {
        let mut template = json!({"metadata": {}, "spec": {"template": {"metadata": {}, "spec": {"containers": [{"name": "check", "image": "check:1"}]}}}});
        template.pointer_mut(path).and_then(Value::as_object_mut).unwrap().extend(value.as_object().unwrap().clone());
        template
    }

    fn refused(path: &str, value: &Value) -> String {
        parse(&with(path, value)).unwrap_err()
    }

    #[test]
    fn a_template_keeps_labels_annotations_and_specification() {
        let (metadata, spec) =
            parse(&with("/metadata", &json!({"labels": {"a": "b"}, "creationTimestamp": null}))).unwrap();
        assert_eq!(metadata.labels.unwrap()["a"], "b");
        assert_eq!(spec.template.spec.unwrap().containers[0].name, "check");
    }

    #[test]
    fn what_is_no_job_template_is_refused_by_the_name_of_the_field() {
        assert_eq!(
            refused("/spec/template/spec/containers/0", &json!({"imagePolicy": "Never"})),
            "template.spec.template.spec.containers[0].imagePolicy is no field of a Job template (batch/v1); correct or remove it"
        );
        assert!(refused("", &json!({"kind": "Job"})).starts_with("template.kind is no field"));
        let wrong = refused("/spec", &json!({"backoffLimit": "two"}));
        assert!(wrong.starts_with("template.spec.backoffLimit: invalid type: string \"two\""), "{wrong}");
        assert!(parse(&json!({"metadata": {}})).unwrap_err().starts_with("template.spec is missing"));
        assert!(
            parse(&json!({"spec": {"template": {}}}))
                .unwrap_err()
                .starts_with("template.spec.template.spec is missing")
        );
    }

    #[test]
    fn what_belongs_to_the_controller_is_refused() {
        for metadata in [json!({"name": "mine"}), json!({"namespace": "other"}), json!({"finalizers": ["a.b/c"]})] {
            assert!(refused("/metadata", &metadata).starts_with("template.metadata may hold"), "{metadata}");
        }
        assert!(refused("/spec", &json!({"selector": {}})).contains("selector"));
        assert!(refused("/spec", &json!({"suspend": true})).contains("suspend"));
        assert!(refused("/spec", &json!({"ttlSecondsAfterFinished": 0})).contains("use 600 or more"));
    }

    #[test]
    fn no_service_account_but_the_default_one_runs_a_hook() {
        for field in ["serviceAccountName", "serviceAccount"] {
            let said = refused("/spec/template/spec", &json!({field: "admin"}));
            assert!(said.contains("is admin; the pods of a hook run as"), "{said}");
            assert!(parse(&with("/spec/template/spec", &json!({field: "default"}))).is_ok());
        }
    }
}
