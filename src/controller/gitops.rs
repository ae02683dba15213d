//! Who applies an object from Git, as far as the object says.
//!
//! **Invariant:** nothing depends on it but words and the time to live of requests: a tool that is not known here is
//! treated like a person.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Labels and annotations by which the tools mark what they apply, each from the tool's documentation.
const MARKS: [(&str, &str); 7] = [
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("configsync.gke.io/resource-id", "Config Sync"),
    ("config.k8s.io/owning-inventory", "an inventory of cli-utils"),
    ("objectset.rio.cattle.io/id", "Fleet"),
];

/// The tool that applies this object from Git.
#[must_use]
pub fn applied_by(metadata: &ObjectMeta) -> Option<&'static str> {
    let marked = |mark: &str| {
        metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(mark))
            || metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(mark))
    };
    MARKS.iter().find(|(mark, _)| marked(mark)).map(|(_, tool)| *tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_known_by_its_label_or_annotation() {
        let metadata = |json: serde_json::Value| serde_json::from_value::<ObjectMeta>(json).unwrap();
        let flux = metadata(serde_json::json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}));
        assert_eq!(applied_by(&flux), Some("Flux"));
        let argo = metadata(serde_json::json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}));
        assert_eq!(applied_by(&argo), Some("Argo CD"));
        assert_eq!(applied_by(&metadata(serde_json::json!({"labels": {"app": "web"}}))), None);
    }
}
