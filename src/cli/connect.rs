//! From the kubeconfig to a client, as kubectl does it.
//!
//! **Invariant:** no call is repeated behind the caller's back and none waits for ever.

use super::args::Global;
use crate::client::{Error, RestartClient};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Above the 290 s after which the API server ends a watch.
const READ_LIMIT: Duration = Duration::from_secs(295);

/// The cluster and the namespace that the arguments mean.
pub async fn connect(global: &Global) -> Result<RestartClient, Error> {
    let mut config = config(global).await?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_LIMIT);
    config.read_timeout = Some(READ_LIMIT);
    config.reset_reader_on_write = true;
    if let Some(user) = &global.as_user {
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_groups = Some(global.as_group.clone()).filter(|groups| !groups.is_empty());
    }
    let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = kube::Client::try_from(config)
        .map_err(|error| Error::Invalid(format!("the kubeconfig's address or credentials: {error}")))?;
    Ok(RestartClient::new(client, namespace))
}

async fn config(global: &Global) -> Result<kube::Config, Error> {
    let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
    let unusable = |error: &dyn std::fmt::Display| {
        Error::Invalid(format!("no way to a cluster: {error}; set KUBECONFIG, or --kubeconfig and --context"))
    };
    if let Some(file) = &global.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(file).map_err(|error| unusable(&error))?;
        return kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(&error));
    }
    if global.context.is_some() {
        return kube::Config::from_kubeconfig(&options).await.map_err(|error| unusable(&error));
    }
    // Inside a pod there is none, and the service account is used.
    kube::Config::infer().await.map_err(|error| unusable(&error))
}
