//! Workloads as people write them: `deploy/web`.
//!
//! **Invariant:** pure; whether the workload exists is asked elsewhere.

use crate::api::{TargetKind, TargetRef};
use std::str::FromStr;

impl TargetKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// As it stands in `targetRef.kind`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// As kubectl prints it before a name.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }
}

impl FromStr for TargetKind {
    type Err = String;

    /// What kubectl understands: `deploy`, `deployments`, `deployments.apps`, `Deployment`, ...
    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        let word = word.strip_suffix(".v1.apps").or_else(|| word.strip_suffix(".apps")).unwrap_or(&word);
        match word {
            "deploy" | "deployment" | "deployments" => Ok(Self::Deployment),
            "sts" | "statefulset" | "statefulsets" => Ok(Self::StatefulSet),
            "ds" | "daemonset" | "daemonsets" => Ok(Self::DaemonSet),
            _ => Err(format!("{text:?} is no kind that can be restarted: use deployment, statefulset or daemonset")),
        }
    }
}

impl FromStr for TargetRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((kind, name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self { kind: kind.parse()?, name: name.to_owned() })
            }
            Some(_) => Err(format!("{text:?} is not KIND/NAME, such as deployment/web")),
            None if text.parse::<TargetKind>().is_ok() => {
                Err(format!("{text:?} is a kind without a name: write {text}/NAME, in one word"))
            }
            None => {
                Err(format!("{text:?} has no kind: write deployment/{text}, statefulset/{text} or daemonset/{text}"))
            }
        }
    }
}

impl std::fmt::Display for TargetRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.kind.short(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_written_as_for_kubectl() {
        for text in ["deploy/web", "deployment/web", "deployments.apps/web", "Deployment/web", "deployment.v1.apps/web"]
        {
            assert_eq!(text.parse::<TargetRef>().unwrap().to_string(), "deployment/web", "{text}");
        }
        assert_eq!("sts/db".parse::<TargetRef>().unwrap().kind, TargetKind::StatefulSet);
        assert_eq!("ds/log".parse::<TargetRef>().unwrap().kind, TargetKind::DaemonSet);
    }

    #[test]
    fn what_is_no_workload_is_answered_with_how_to_write_one() {
        assert!("web".parse::<TargetRef>().unwrap_err().contains("deployment/web"));
        assert!("pod/web".parse::<TargetRef>().unwrap_err().contains("use deployment, statefulset or daemonset"));
        assert!("deploy".parse::<TargetRef>().unwrap_err().contains("deploy/NAME"));
        assert!("deploy/".parse::<TargetRef>().unwrap_err().contains("KIND/NAME"));
        assert!("a/b/c".parse::<TargetRef>().is_err());
    }
}
