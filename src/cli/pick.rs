//! Which restart is meant: a workload's, or one by its name.
//!
//! **Invariant:** what does not exist is an error that says so, never an empty answer.

use crate::api::{RestartRequest, TargetKind, TargetRef};
use crate::client::{Error, RestartClient};

/// A workload or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The restart of this workload that counts.
    Target(TargetRef),
    /// This request.
    Request(String),
}

impl std::str::FromStr for Pick {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None if text.parse::<TargetKind>().is_ok() => text.parse().map(Self::Target),
            None => Ok(Self::Request(text.to_owned())),
            Some((
                "rr"
                | "restartrequest"
                | "restartrequests"
                | "restartrequest.restart-controller.dev"
                | "restartrequests.restart-controller.dev",
                name,
            )) if !name.is_empty() => Ok(Self::Request(name.to_owned())),
            Some(_) => text.parse().map(Self::Target),
        }
    }
}

impl Pick {
    /// The request as it is now.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find(&self, client: &RestartClient) -> Result<RestartRequest, Error> {
        let namespace = client.namespace();
        match self {
            Self::Target(target) => client.newest(target).await?.ok_or_else(|| {
                Error::Invalid(format!("no restart of {target} was ever asked for in namespace {namespace}"))
            }),
            Self::Request(name) => client.find(name).await?.ok_or_else(|| {
                Error::Invalid(format!(
                    "RestartRequest {namespace}/{name} does not exist; for a workload write its kind, such as deployment/{name}"
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_request_and_a_kind_with_a_name_is_a_workload() {
        assert_eq!("restart-1".parse(), Ok(Pick::Request("restart-1".into())));
        assert_eq!("rr/web".parse(), Ok(Pick::Request("web".into())));
        assert_eq!("deploy/web".parse(), Ok(Pick::Target("deployment/web".parse().unwrap())));
        assert!("pod/web".parse::<Pick>().is_err());
        assert!("deploy".parse::<Pick>().unwrap_err().contains("deploy/NAME"));
    }
}
