//! From the kubeconfig to a client, as kubectl does it.
//!
//! **Invariant:** no call is repeated behind the caller's back and none waits for ever.

use super::args::Global;
use super::names::Names;
use crate::client::{Error, RestartClient};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::time::Duration;
use tower::ServiceExt as _;

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Above the 290 s after which the API server ends a watch.
const READ_LIMIT: Duration = Duration::from_secs(295);

/// The cluster and the namespace that the arguments mean.
pub async fn connect(global: &Global) -> Result<RestartClient, Error> {
    let mut config = config(global).await?;
    if let Some(proxy) = &config.proxy_url {
        return Err(Error::Invalid(format!(
            "the way to {} is by the proxy {proxy} (the kubeconfig's proxy-url, or HTTPS_PROXY), which kubectl restart cannot use; if the cluster can be reached without it, run: HTTPS_PROXY= https_proxy= kubectl restart ...",
            config.cluster_url
        )));
    }
    if let Some(user) = &global.as_user {
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_groups = Some(global.as_group.clone()).filter(|groups| !groups.is_empty());
    }
    let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client =
        client(&config).map_err(|error| Error::Invalid(format!("the kubeconfig's address or credentials: {error}")))?;
    Ok(RestartClient::new(client, namespace))
}

/// What kube builds, with names resolved as kubectl does it, and without its silent repetitions.
fn client(config: &kube::Config) -> kube::Result<kube::Client> {
    let mut connector = HttpConnector::new_with_resolver(Names);
    connector.enforce_http(false);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(Some(CONNECT_LIMIT));
    connector.set_read_timeout(Some(READ_LIMIT));
    connector.set_reset_reader_on_write(true);
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
    let http = http.map_err(tower::BoxError::from);
    let stack = ClientBuilder::new(http, &config.default_namespace).with_layer(&config.extra_headers_layer()?);
    Ok(match config.auth_layer()? {
        Some(auth) => stack.with_layer(&auth).with_layer(&config.base_uri_layer()).build(),
        None => stack.with_layer(&config.base_uri_layer()).build(),
    })
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
