//! A plan's namespace: the sample as users deploy it, small and quick, and what is asked about it past the proxy.
//!
//! **Invariant:** no two plans share a namespace, and none is left behind.

use super::World;
use super::account::keys;
use super::pods::{Pods, Stage};
use crate::path::{Path, Workload};
use crate::support::Result;
use crate::support::app::documents;
use crate::support::cluster::{path as file, with_images};
use crate::support::wait::{Look, until, when};
use hyper::Method;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::TypeMeta;
use kube::{Api, Resource, ResourceExt as _};
use restart_controller::api::{RestartHistory, RestartRequest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the pods start on.
pub const GOOD: &str = "greeting: hello\ndelayMillis: 20\n";
/// What is promoted and good.
pub const NEXT: &str = "greeting: promoted\ndelayMillis: 20\n";
/// Bytes that are no text, beside each of these two.
pub const BINARY: &str = "AP+AAQI=";
/// On this no pod starts.
pub const BAD: &str = "greeting: never seen\nexitAtStart: true\n";
/// The ConfigMap that the pods read.
pub const CONFIG: &str = "web-config";
/// The candidate of a promotion.
pub const CANDIDATE: &str = "web-config-next";
/// The request.
pub const REQUEST: &str = "web";
/// Of a Deployment and of a StatefulSet.
const REPLICAS: usize = 2;

/// The namespace.
pub struct Space {
    /// What it shares.
    pub world: Arc<World>,
    /// Its name.
    pub name: String,
    /// What is deployed in it.
    pub workload: Workload,
}

impl Space {
    /// Makes it and deploys the sample.
    pub async fn create(world: Arc<World>, name: String, path: Path) -> Result<Self> {
        let space = Self { world, name, workload: path.workload };
        let namespace = json!({"metadata": {"name": space.name}});
        Api::<Namespace>::all(space.world.client.clone())
            .create(&PostParams::default(), &serde_json::from_value(namespace)?)
            .await?;
        // Made here, so that the pods do not wait for it.
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        space.create_or_leave(account).await?;
        space.create_or_leave(keys(&space.name)).await?;
        let manifest = with_images(&std::fs::read_to_string(file(path.workload.manifest()))?);
        for mut document in documents(&manifest)? {
            space.small(&mut document, path.has_baseline());
            space.create_or_leave(document).await?;
        }
        Ok(space)
    }

    /// Few pods, short requests, and the ledger of the load client beside them.
    fn small(&self, document: &mut Value, baseline: bool) {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        if kind == "ConfigMap" {
            document["data"] = json!({"config.yaml": GOOD});
            document["binaryData"] = json!({"logo.bin": BINARY});
        }
        if kind != self.workload.kind() {
            return;
        }
        if self.workload != Workload::DaemonSet {
            document["spec"]["replicas"] = json!(REPLICAS);
        }
        if !baseline {
            document["spec"]["template"]["metadata"]["labels"] = json!({"app": "web"});
        }
        let container = &mut document["spec"]["template"]["spec"]["containers"][0];
        container["env"] = json!([{"name": "LEDGER", "value": self.world.load.ledger}]);
    }

    /// Creates an object of any kind; one that is there stays.
    pub async fn create_or_leave(&self, object: Value) -> Result {
        let object: DynamicObject = serde_json::from_value(object)?;
        let types =
            object.types.clone().unwrap_or_else(|| TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() });
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api: Api<DynamicObject> = Api::namespaced_with(self.world.client.clone(), &self.name, &resource);
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Objects of a kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.world.client.clone(), &self.name)
    }

    /// How many pods there are to be.
    pub fn wanted(&self) -> usize {
        if self.workload == Workload::DaemonSet { 1 } else { REPLICAS }
    }

    /// Waits until every pod is there, ready and attached.
    pub async fn settled(&self, pods: &Pods, seconds: u64) -> Result {
        until("every pod to be ready and attached", seconds, async || {
            let present = pods.present();
            let sound =
                present.values().filter(|life| life.ready && !life.detached && !life.address.is_empty()).count();
            let going = pods.lives().values().filter(|life| life.stage == Stage::Going).count();
            let settled = present.len() == self.wanted() && sound == present.len() && going == 0;
            Ok(when(settled, || format!("{sound} of {} sound, {going} going, wanted {}", present.len(), self.wanted())))
        })
        .await
    }

    /// The address of the Service, once it answers.
    pub async fn served(&self) -> Result<String> {
        let spec = self.api::<Service>().get("web").await?.spec.unwrap_or_default();
        let address = format!("{}:80", spec.cluster_ip.unwrap_or_default());
        until("the Service to answer", 30, async || {
            super::load::ask_at(Method::GET, &address, "/healthz", String::new()).await?;
            Ok(Look::Done(()))
        })
        .await?;
        Ok(address)
    }

    /// Its RestartHistory, if there is one.
    pub async fn history(&self) -> Result<Option<RestartHistory>> {
        Ok(self.api::<RestartHistory>().list(&ListParams::default()).await?.items.into_iter().next())
    }

    /// The request, if there is one.
    pub async fn request(&self) -> Result<Option<RestartRequest>> {
        Ok(self.api::<RestartRequest>().get_opt(REQUEST).await?)
    }

    /// The content of a ConfigMap.
    pub async fn content(&self, name: &str) -> Result<Value> {
        let map = self.api::<ConfigMap>().get(name).await?;
        Ok(json!({"data": map.data, "binaryData": map.binary_data, "immutable": map.immutable}))
    }

    /// Writes the configuration as people do.
    pub async fn edit(&self, yaml: &str) -> Result {
        let patch = Patch::Merge(json!({"data": {"config.yaml": yaml}}));
        self.api::<ConfigMap>().patch(CONFIG, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The workload and its ReplicaSets, without what only describes the moment.
    pub async fn workload(&self) -> Result<Value> {
        let types = TypeMeta { api_version: "apps/v1".to_owned(), kind: self.workload.kind().to_owned() };
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api: Api<DynamicObject> = Api::namespaced_with(self.world.client.clone(), &self.name, &resource);
        let object = api.get("web").await?;
        let sets = self.api::<ReplicaSet>().list(&ListParams::default()).await?.items;
        let entry = |set: ReplicaSet| (set.name_any(), json!([set.uid(), set.metadata.generation, set.spec]));
        let sets: BTreeMap<String, Value> = sets.into_iter().map(entry).collect();
        Ok(
            json!({"generation": object.metadata.generation, "labels": object.metadata.labels, "annotations": object.metadata.annotations,
            "owners": object.metadata.owner_references, "finalizers": object.metadata.finalizers, "spec": object.data["spec"], "sets": sets}),
        )
    }

    /// Tells the namespace to go.
    pub async fn delete(&self) -> Result {
        let namespaces: Api<Namespace> = Api::all(self.world.client.clone());
        match namespaces.delete(&self.name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Whether the namespace is gone.
    pub async fn is_gone(&self) -> Result<bool> {
        Ok(Api::<Namespace>::all(self.world.client.clone()).get_opt(&self.name).await?.is_none())
    }

    /// Deletes everything, whatever holds it. Pods do not drain for the sake of a plan that is over.
    pub async fn clear(&self) -> Result {
        self.delete().await?;
        let at_once = DeleteParams::default().grace_period(0);
        // What is gone already is no failure.
        let _ = self.api::<Pod>().delete_collection(&at_once, &ListParams::default()).await;
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        for request in self.api::<RestartRequest>().list(&ListParams::default()).await?.items {
            let _ = self.api::<RestartRequest>().patch(&request.name_any(), &PatchParams::default(), &free).await;
        }
        for history in self.api::<RestartHistory>().list(&ListParams::default()).await?.items {
            let _ = self.api::<RestartHistory>().patch(&history.name_any(), &PatchParams::default(), &free).await;
        }
        Ok(())
    }
}
