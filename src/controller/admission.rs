//! The policies without which no restart begins (DESIGN 8): looked for at the start and every minute.
//!
//! **Invariant:** only their presence is judged, never a request: that was the API server's part. A run under way goes on.

use super::admin::Health;
use super::context::call;
use super::error::Error;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks while all is there.
const AGAIN: Duration = Duration::from_secs(60);
/// Between two looks while something is missing.
const SOON: Duration = Duration::from_secs(5);
/// What readiness calls it.
const POLICIES: &str = "the admission policies";

/// A policy, as `--require-admission` names it: `ValidatingAdmissionPolicy/NAME` or `MutatingAdmissionPolicy/NAME`. Its
/// binding has the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    kind: &'static str,
    name: String,
}

impl std::str::FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"];
        let (kind, name) = text.split_once('/').unwrap_or(("", text));
        match kinds.into_iter().find(|known| *known == kind) {
            Some(kind) if !name.is_empty() => Ok(Self { kind, name: name.to_owned() }),
            Some(_) | None => Err(format!("not KIND/NAME with one of the kinds {}", kinds.join(", "))),
        }
    }
}

/// What was found at the last look.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    missing: Arc<Mutex<Option<String>>>,
}

impl Admission {
    /// Looks for these for as long as the process lives; readiness waits for them.
    #[must_use]
    pub fn follow(reader: Client, required: Vec<Policy>, health: Health) -> Self {
        let admission = Self::default();
        if !required.is_empty() {
            admission.found(Some("not looked for yet".to_owned()), &health);
            tokio::spawn(admission.clone().look(reader, required, health));
        }
        admission
    }

    /// Why no restart may begin.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).as_deref().map(sentence)
    }

    async fn look(self, reader: Client, required: Vec<Policy>, health: Health) {
        loop {
            match lacking(&reader, &required).await {
                Ok(lacking) if lacking.is_empty() => self.found(None, &health),
                Ok(lacking) => self.found(Some(lacking.join(", ")), &health),
                // What was known stays so.
                Err(error) => tracing::warn!(%error, "the admission policies cannot be read"),
            }
            tokio::time::sleep(if self.missing().is_some() { SOON } else { AGAIN }).await;
        }
    }

    fn found(&self, missing: Option<String>, health: &Health) {
        match &missing {
            Some(lacking) => health.wait(POLICIES, format!("{POLICIES}: {lacking}")),
            None => health.done(POLICIES),
        }
        let mut known = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &missing) {
            (old, Some(lacking)) if old.as_ref() != Some(lacking) => tracing::warn!(lacking, "no restart begins"),
            (Some(_), None) => tracing::info!("the admission policies are in place"),
            (Some(_) | None, Some(_)) | (None, None) => {}
        }
        *known = missing;
    }
}

fn sentence(lacking: &str) -> String {
    format!(
        "no restart begins without the policies that say who may: {lacking}; install them (admission.enabled of the chart), or do without (admission.require)"
    )
}

/// What is not there, or not as it must be.
async fn lacking(reader: &Client, required: &[Policy]) -> Result<Vec<String>, Error> {
    let mut lacking = vec![];
    for policy in required {
        let Policy { kind, name } = policy;
        if read(reader, kind, name).await?.is_none() {
            lacking.push(format!("{kind} {name} is missing"));
        } else if let Some(fault) = unbound(read(reader, &format!("{kind}Binding"), name).await?.as_ref(), policy) {
            lacking.push(fault);
        }
    }
    Ok(lacking)
}

async fn read(reader: &Client, kind: &str, name: &str) -> Result<Option<DynamicObject>, Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind));
    let api: Api<DynamicObject> = Api::all_with(reader.clone(), &resource);
    call(format!("read {kind} {name}"), api.get_opt(name)).await
}

/// A policy without a binding does nothing, and one that only warns refuses nobody.
fn unbound(binding: Option<&DynamicObject>, Policy { kind, name }: &Policy) -> Option<String> {
    let Some(binding) = binding else { return Some(format!("{kind}Binding {name} is missing")) };
    let spec = &binding.data["spec"];
    let denies = spec["validationActions"].as_array().is_none_or(|all| all.iter().any(|action| action == "Deny"));
    let bound = spec["policyName"] == name.as_str();
    (!bound || !denies).then(|| format!("{kind}Binding {name} does not put {name} in force"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn binding(spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "who"}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_policy_is_named_by_kind_and_name() {
        let policy: Policy = "ValidatingAdmissionPolicy/who".parse().unwrap();
        assert_eq!((policy.kind, policy.name.as_str()), ("ValidatingAdmissionPolicy", "who"));
        for wrong in ["who", "ValidatingAdmissionPolicy/", "Policy/who", ""] {
            assert!(wrong.parse::<Policy>().unwrap_err().contains("KIND/NAME"), "{wrong}");
        }
    }

    #[test]
    fn a_binding_must_be_of_that_policy_and_deny() {
        let policy: Policy = "ValidatingAdmissionPolicy/who".parse().unwrap();
        let deny = json!({"policyName": "who", "validationActions": ["Audit", "Deny"]});
        assert_eq!(unbound(Some(&binding(&deny)), &policy), None);
        let warn = json!({"policyName": "who", "validationActions": ["Warn"]});
        let other = json!({"policyName": "other", "validationActions": ["Deny"]});
        for spec in [warn, other] {
            assert!(unbound(Some(&binding(&spec)), &policy).unwrap().contains("does not put"), "{spec}");
        }
        assert!(unbound(None, &policy).unwrap().contains("is missing"));
        let mutating: Policy = "MutatingAdmissionPolicy/who".parse().unwrap();
        assert_eq!(unbound(Some(&binding(&json!({"policyName": "who"}))), &mutating), None);
    }
}
