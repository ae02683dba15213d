//! Which workload is meant: names from a query, a body or the command line, checked before they become part of a path.
//!
//! **Invariant:** nothing that is not a Kubernetes name leaves this module: kube puts names into paths as they are.

use super::error::ApiError;
use crate::api::names::{LABEL, SUBDOMAIN, is_label, is_subdomain};
use crate::api::{TargetKind, TargetRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its namespace.
    pub namespace: String,
    /// Its kind and name.
    pub workload: TargetRef,
}

/// The same as callers name it; what is absent is that of the default target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub namespace: Option<String>,
    /// Its kind; without a default target Deployment.
    pub kind: Option<TargetKind>,
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Option<String>,
}

/// What callers call a restart, as a regular expression.
pub const REQUEST_ID: &str = "^[a-z0-9]([-_.a-z0-9]*[a-z0-9])?$";

impl Named {
    /// The workload that is meant.
    pub fn or(self, default: Option<&Target>) -> Result<Target, ApiError> {
        let namespace = self.namespace.clone().or_else(|| default.map(|target| target.namespace.clone()));
        let kind = self.kind.or_else(|| default.map(|target| target.workload.kind)).unwrap_or(TargetKind::Deployment);
        let name = self.name.or_else(|| default.map(|target| target.workload.name.clone()));
        let (Some(namespace), Some(name)) = (namespace, name) else {
            return Err(ApiError::invalid(
                "which workload? give namespace, kind and name: this server has no default target",
            ));
        };
        let workload = TargetRef { kind, name: checked_name(name)? };
        Ok(Target { namespace: checked_namespace(namespace)?, workload })
    }

    /// The namespace that is meant, where a restart is named and no workload need be.
    pub fn namespace_or(&self, default: Option<&Target>) -> Result<String, ApiError> {
        let namespace = self.namespace.clone().or_else(|| default.map(|target| target.namespace.clone()));
        let missing = || ApiError::invalid("in which namespace? give it: this server has no default target");
        checked_namespace(namespace.ok_or_else(missing)?)
    }

    /// Whether a restart of this workload is what was named, too.
    pub fn fits(&self, id: &str, workload: &TargetRef) -> Result<(), ApiError> {
        let (kind, name) = (self.kind.unwrap_or(workload.kind), self.name.as_ref().unwrap_or(&workload.name));
        let same = kind == workload.kind && *name == workload.name;
        let message = || format!("{id} is a restart of {workload}, not of {}/{name}", kind.short());
        if same { Ok(()) } else { Err(ApiError::not_there(message())) }
    }
}

/// A namespace's name.
pub fn checked_namespace(name: String) -> Result<String, ApiError> {
    let fits = is_label(&name);
    if fits { Ok(name) } else { Err(ApiError::invalid(format!("{name:?} is not the name of a namespace"))) }
}

/// Another object's name.
pub fn checked_name(name: String) -> Result<String, ApiError> {
    let fits = is_subdomain(&name);
    if fits { Ok(name) } else { Err(ApiError::invalid(format!("{name:?} is not the name of an object"))) }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAMESPACE/KIND/NAME, as in shop/Deployment/web");
        let [namespace, kind, name] = text.split('/').collect::<Vec<_>>().try_into().map_err(|_| wrong())?;
        let kind = serde_json::from_value(kind.into()).map_err(|_| wrong())?;
        let named = Named { namespace: Some(namespace.to_owned()), kind: Some(kind), name: Some(name.to_owned()) };
        named.or(None).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(namespace: &str, name: &str) -> Result<Target, ApiError> {
        Named { namespace: Some(namespace.to_owned()), kind: None, name: Some(name.to_owned()) }.or(None)
    }

    #[test]
    fn a_path_cannot_be_put_into_a_name() {
        for bad in ["", ".", "..", "a/b", "../secrets", "a%2fb", "A", "a b", "a?x", "a#x", "-a", "a-", "a..b", "ä"] {
            assert!(named("shop", bad).is_err(), "{bad:?}");
            assert!(named(bad, "web").is_err(), "{bad:?}");
        }
        assert!(named("shop", "web.v2").is_ok() && named("shop.x", "web").is_err());
        assert!(named("shop", &"a".repeat(254)).is_err() && named(&"a".repeat(64), "web").is_err());
    }

    #[test]
    fn what_is_absent_is_the_default_targets_and_without_one_a_bare_name_is_a_deployments() {
        let default: Target = "shop/StatefulSet/db".parse().unwrap();
        assert_eq!(Named::default().or(Some(&default)).unwrap(), default);
        let other = Named { name: Some("web".into()), ..Named::default() }.or(Some(&default)).unwrap();
        assert_eq!((other.namespace.as_str(), other.workload.kind), ("shop", TargetKind::StatefulSet));
        assert_eq!(named("shop", "web").unwrap().workload.kind, TargetKind::Deployment);
        assert!(Named::default().or(None).is_err());
    }

    #[test]
    fn who_names_a_restart_need_not_name_its_workload_but_not_another_one() {
        let web: TargetRef = "deployment/web".parse().unwrap();
        let default: Target = "shop/StatefulSet/db".parse().unwrap();
        let named = Named { namespace: Some("bank".into()), ..Named::default() };
        assert_eq!((named.namespace_or(Some(&default)).unwrap().as_str(), named.fits("r", &web)), ("bank", Ok(())));
        assert!(Named::default().namespace_or(None).is_err());
        let other = Named { name: Some("db".into()), ..Named::default() };
        assert_eq!(
            other.fits("r", &web).unwrap_err().message,
            "r is a restart of deployment/web, not of deployment/db"
        );
    }

    #[test]
    fn a_target_on_the_command_line_has_three_parts() {
        for bad in ["web", "shop/web", "shop/Pod/web", "shop/Deployment/We b", "a/Deployment/b/c"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
