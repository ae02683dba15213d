//! A namespace of one scenario: made with the key in it, looked through when the scenario fails, deleted afterwards.
//!
//! **Invariant:** no two scenarios share a namespace, and none is left behind.

use super::cluster::{Cluster, kubectl};
use super::wait::{until, when};
use super::{Result, controller, load};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Resource};
use restart_controller::api::names;
use serde_json::{Value, json};
use std::sync::Arc;

/// The namespace.
pub struct Space {
    /// The cluster it is in.
    pub cluster: Arc<Cluster>,
    /// Its name.
    pub name: String,
}

impl Space {
    /// Makes the namespace, open to hooks that are Jobs, with the key that sidecars read.
    pub async fn create(cluster: Arc<Cluster>, name: &str) -> Result<Self> {
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        // Left by an earlier run in a cluster that lives on.
        let _ = namespaces.delete(name, &DeleteParams::default()).await;
        until("the namespace to be free", 120, async || {
            Ok(when(namespaces.get_opt(name).await?.is_none(), || "still there".into()))
        })
        .await?;
        namespaces
            .create(
                &PostParams::default(),
                &serde_json::from_value(json!({"metadata": {"name": name, "labels": {names::JOB_HOOKS: "true"}}}))?,
            )
            .await?;
        let space = Self { cluster, name: name.to_owned() };
        space.trust(&space.cluster.public_key.clone()).await?;
        Ok(space)
    }

    /// Writes the key that sidecars of this namespace trust.
    pub async fn trust(&self, key: &str) -> Result {
        let keys = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "restart-controller-keys"}, "data": {"public": key}});
        self.apply(&[keys]).await
    }

    /// Objects of a kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// kubectl in this namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&[&["--namespace", &self.name], arguments].concat(), "").await
    }

    /// Applies objects as users do.
    pub async fn apply(&self, objects: &[Value]) -> Result {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        kubectl(&["--namespace", &self.name, "apply", "--server-side", "--force-conflicts", "-f", "-"], &list).await?;
        Ok(())
    }

    /// Deletes everything. Pods do not drain for the sake of a scenario that is over.
    pub async fn delete(&self) -> Result {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        namespaces.delete(&self.name, &DeleteParams::default()).await?;
        self.api::<Pod>().delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
        Ok(())
    }

    /// What there is to see when the scenario has failed.
    pub async fn diagnosis(&self) -> String {
        let ask = async |arguments: &[&str]| match self.kubectl(arguments).await {
            Ok(said) => format!("--- kubectl {}\n{said}\n", arguments.join(" ")),
            Err(error) => format!("--- {error}\n"),
        };
        let mut text = ask(&["get", "restartrequests", "-o", "yaml"]).await;
        text += &ask(&[
            "get",
            "deployments,replicasets,pods,poddisruptionbudgets,configmaps",
            "-o",
            "wide",
            "--show-labels",
        ])
        .await;
        text += &ask(&["get", "events", "--sort-by=.metadata.creationTimestamp"]).await;
        let log = controller::log(&self.name).await;
        text.push_str("--- the controller's log about it\n");
        text.push_str(&log);
        text + &format!("--- load\n{}\n", load::all(self).await)
    }
}
