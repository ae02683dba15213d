//! The sample deployed in a scenario's namespace, from the manifests that users read, with the scenario's changes.
//!
//! **Invariant:** what a scenario changes stands in the scenario; everything else is `deploy/samples` as it is.

use super::cluster::{path, with_images};
use super::pods::is_ready;
use super::request::Request;
use super::space::Space;
use super::wait::{until, when};
use super::{Result, ensure, load};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use restart_controller::api::{RestartHistory, names};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const REVISION: &str = "deployment.kubernetes.io/revision";

/// Manifests with changes.
pub struct Template {
    kind: &'static str,
    name: &'static str,
    documents: Vec<Value>,
}

impl Template {
    /// `web`, with the sidecar.
    pub fn web() -> Result<Self> {
        Self::read("Deployment", "web", "deploy/samples/sample.yaml")
    }

    /// `plain`, without it.
    pub fn plain() -> Result<Self> {
        Self::read("Deployment", "plain", "deploy/samples/plain.yaml")
    }

    /// `web` as a StatefulSet.
    pub fn stateful_set() -> Result<Self> {
        Self::read("StatefulSet", "web", "deploy/samples/statefulset.yaml")
    }

    /// `web` as a DaemonSet.
    pub fn daemon_set() -> Result<Self> {
        Self::read("DaemonSet", "web", "deploy/samples/daemonset.yaml")
    }

    /// A Deployment and what goes with it, from elsewhere.
    pub fn of(name: &'static str, documents: Vec<Value>) -> Self {
        Self { kind: "Deployment", name, documents }
    }

    fn read(kind: &'static str, name: &'static str, file: &str) -> Result<Self> {
        Ok(Self { kind, name, documents: documents(&with_images(&std::fs::read_to_string(path(file))?))? })
    }

    /// The same beside it, under another name.
    pub fn renamed(mut self, name: &'static str) -> Self {
        self.documents.iter_mut().for_each(|document| rename(document, self.name, name));
        Self { name, ..self }
    }

    /// So many pods.
    pub fn replicas(self, replicas: i32) -> Self {
        let kind = self.kind;
        self.edit(kind, |workload| workload["spec"]["replicas"] = json!(replicas))
    }

    /// Changes the document of a kind.
    pub fn edit(mut self, kind: &str, change: impl Fn(&mut Value)) -> Self {
        self.documents.iter_mut().filter(|document| document["kind"] == kind).for_each(change);
        self
    }

    /// Changes the pod's specification.
    pub fn edit_pod(self, change: impl Fn(&mut Value)) -> Self {
        let kind = self.kind;
        self.edit(kind, |workload| change(&mut workload["spec"]["template"]["spec"]))
    }

    /// Applies it all and waits until every pod is ready.
    pub async fn deploy(self, space: &Space) -> Result<App<'_>> {
        space.apply(&self.documents).await?;
        let app = App { space, kind: self.kind, name: self.name };
        app.settled().await?;
        Ok(app)
    }

    /// The same with the load client, which is there first, and with a Service that answers.
    pub async fn deploy_with_load(self, space: &Space) -> Result<App<'_>> {
        load::deploy(space).await?;
        let app = self.deploy(space).await?;
        load::served(space, &app.address().await?).await?;
        Ok(app)
    }
}

/// Every string that is the name, or that of the ConfigMap, is the other's.
fn rename(value: &mut Value, old: &str, new: &str) {
    match value {
        Value::String(text) if text == old => new.clone_into(text),
        Value::String(text) if *text == format!("{old}-config") => *text = format!("{new}-config"),
        Value::Array(all) => all.iter_mut().for_each(|value| rename(value, old, new)),
        Value::Object(all) => all.values_mut().for_each(|value| rename(value, old, new)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The documents of a manifest.
pub fn documents(manifest: &str) -> Result<Vec<Value>> {
    use serde::Deserialize as _;
    serde_yaml::Deserializer::from_str(manifest).map(|document| Ok(Value::deserialize(document)?)).collect()
}

/// A deployed sample.
pub struct App<'a> {
    /// Where.
    pub space: &'a Space,
    /// Deployment, StatefulSet or DaemonSet.
    pub kind: &'static str,
    /// Name of its workload, Service and label.
    pub name: &'static str,
}

/// What a restart must leave as it was.
#[derive(Debug, PartialEq)]
pub struct Workload {
    generation: Option<i64>,
    revision: Option<String>,
    spec: Value,
    /// Name, UID, generation and specification of each ReplicaSet.
    replica_sets: BTreeMap<String, (Option<String>, Option<i64>, Value)>,
}

/// A ConfigMap's content, byte for byte.
pub type Content = (Value, Value);

impl<'a> App<'a> {
    /// Waits until exactly the wanted pods are there and ready.
    pub async fn settled(&self) -> Result {
        match self.kind {
            "Deployment" => self.rolled_out().await,
            _ => self.all_ready().await,
        }
    }

    /// Of a StatefulSet or DaemonSet: as many pods as it wants, all Ready.
    async fn all_ready(&self) -> Result {
        until(&format!("{} {} to settle", self.kind, self.name), 120, async || {
            let wanted = self.wanted().await?;
            let pods = self.pods().await?;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            let settled = wanted == Some(pods.len()) && ready == pods.len();
            Ok(when(settled, || format!("{ready} of {} pods Ready, wanted {wanted:?}", pods.len())))
        })
        .await
    }

    /// How many pods a StatefulSet or DaemonSet wants; absent until its controller has seen it.
    async fn wanted(&self) -> Result<Option<usize>> {
        let (seen, generation, wanted) = if self.kind == "StatefulSet" {
            let set = self.space.api::<StatefulSet>().get(self.name).await?;
            let seen = set.status.and_then(|status| status.observed_generation);
            (seen, set.metadata.generation, set.spec.and_then(|spec| spec.replicas).unwrap_or(1))
        } else {
            let set = self.space.api::<DaemonSet>().get(self.name).await?;
            let status = set.status.unwrap_or_default();
            (status.observed_generation, set.metadata.generation, status.desired_number_scheduled)
        };
        Ok((seen == generation).then_some(usize::try_from(wanted)?))
    }

    async fn rolled_out(&self) -> Result {
        until(&format!("Deployment {} to settle", self.name), 120, async || {
            let deployment = self.deployment().await?;
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let generation = deployment.metadata.generation;
            let status = deployment.status.unwrap_or_default();
            let counts =
                [status.replicas, status.updated_replicas, status.available_replicas].map(Option::unwrap_or_default);
            // The counts may be about the pods of a moment ago.
            let pods = self.pods().await?;
            let (all, ready) = (pods.len(), pods.iter().filter(|pod| is_ready(pod)).count());
            let settled = status.observed_generation == generation
                && counts == [wanted; 3]
                && all == ready
                && i32::try_from(all) == Ok(wanted);
            Ok(when(settled, || {
                format!("of {wanted}: [there, updated, available] {counts:?}, pods {all}, Ready {ready}")
            }))
        })
        .await
    }

    /// The Deployment as it is.
    pub async fn deployment(&self) -> Result<Deployment> {
        Ok(self.space.api::<Deployment>().get(self.name).await?)
    }

    /// The pods that nobody has told to go.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let pods = self.space.api::<Pod>().list(&ListParams::default().labels(&format!("app={}", self.name))).await?;
        Ok(pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    /// Their UIDs.
    pub async fn uids(&self) -> Result<BTreeSet<String>> {
        Ok(self.pods().await?.iter().filter_map(ResourceExt::uid).collect())
    }

    /// Their UIDs, with how often and when last each container was started.
    pub async fn starts(&self) -> Result<BTreeMap<String, Vec<String>>> {
        Ok(self.pods().await?.iter().map(|pod| (pod.uid().unwrap_or_default(), starts(pod))).collect())
    }

    /// Where its Service is, IP:port.
    pub async fn address(&self) -> Result<String> {
        let spec = self.space.api::<Service>().get(self.name).await?.spec.unwrap_or_default();
        let port = spec.ports.iter().flatten().next().map_or(80, |port| port.port);
        Ok(format!("{}:{port}", spec.cluster_ip.unwrap_or_default()))
    }

    /// The Deployment and its ReplicaSets, without what only describes the moment.
    pub async fn workload(&self) -> Result<Workload> {
        let deployment = self.deployment().await?;
        let sets =
            self.space.api::<ReplicaSet>().list(&ListParams::default().labels(&format!("app={}", self.name))).await?;
        let entry = |set: ReplicaSet| (set.name_any(), (set.uid(), set.metadata.generation, json!(set.spec)));
        Ok(Workload {
            generation: deployment.metadata.generation,
            revision: deployment.annotations().get(REVISION).cloned(),
            spec: json!(deployment.spec),
            replica_sets: sets.items.into_iter().map(entry).collect(),
        })
    }

    /// The name of the ConfigMap that the pods read.
    pub fn config(&self) -> String {
        format!("{}-config", self.name)
    }

    /// What that ConfigMap holds.
    pub async fn content(&self) -> Result<Content> {
        let map = self.space.api::<ConfigMap>().get(&self.config()).await?;
        Ok((json!(map.data), json!(map.binary_data)))
    }

    /// Edits that ConfigMap in place, as people do.
    pub async fn edit_config(&self, yaml: &str) -> Result {
        let patch = Patch::Merge(json!({"data": {"config.yaml": yaml}}));
        self.space.api::<ConfigMap>().patch(&self.config(), &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Scales the Deployment.
    pub async fn scale(&self, replicas: i32) -> Result {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.space.api::<Deployment>().patch_scale(self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits until it is settled and no pod is detached.
    pub async fn whole(&self) -> Result {
        self.settled().await?;
        until("every pod to be back", 30, async || {
            let detached: Vec<String> =
                self.pods().await?.iter().filter(|pod| is_detached(pod)).map(ResourceExt::name_any).collect();
            Ok(when(detached.is_empty(), || format!("detached: {}", detached.join(", "))))
        })
        .await
    }

    /// Asks for a restart of it; `more` is merged into the request's spec.
    pub async fn restart(&self, name: &str, more: Value) -> Result<Request<'a>> {
        let mut spec = json!({"targetRef": {"kind": self.kind, "name": self.name}});
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        Request::apply(self.space, name, self.name, spec).await
    }

    /// Its RestartHistory, if it has one.
    pub async fn history(&self) -> Result<Option<RestartHistory>> {
        let all = self.space.api::<RestartHistory>().list(&ListParams::default()).await?;
        Ok(all.items.into_iter().find(|history| history.spec.target_ref.name == self.name))
    }

    /// Asks the app in one pod for something, past its sidecar.
    pub async fn tell(&self, pod: &Pod, path: &str) -> Result {
        let url = format!("http://127.0.0.1:8080{path}");
        self.space.kubectl(&["exec", &pod.name_any(), "-c", "app", "--", "/sample", "ask", "POST", &url]).await?;
        Ok(())
    }

    /// Everything that a refused request must not touch, down to the resourceVersion of pods and configuration.
    pub async fn untouched(&self) -> Result<Value> {
        let version = |object: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
            json!([object.name, object.uid, object.resource_version])
        };
        let pods: Vec<Value> = self.pods().await?.iter().map(|pod| version(&pod.metadata)).collect();
        // The baseline makes copies whenever it has something to learn.
        let people = ListParams::default().labels(&format!("{}!=snapshot", names::ROLE));
        let maps = self.space.api::<ConfigMap>().list(&people).await?;
        let maps: Vec<Value> = maps.items.iter().map(|map| version(&map.metadata)).collect();
        ensure!(!pods.is_empty(), "there are no pods that could stay untouched");
        let workload = self.workload().await?;
        Ok(json!({"pods": pods, "configMaps": maps, "workload": format!("{workload:?}")}))
    }
}

/// Whether the controller has taken the pod from its ReplicaSet.
pub fn is_detached(pod: &Pod) -> bool {
    pod.annotations().contains_key(names::DETACHED_HASH)
}

fn starts(pod: &Pod) -> Vec<String> {
    let status = pod.status.clone().unwrap_or_default();
    let containers =
        status.init_container_statuses.into_iter().flatten().chain(status.container_statuses.into_iter().flatten());
    containers
        .map(|container| {
            let started = container.state.and_then(|state| state.running).and_then(|running| running.started_at);
            format!("{} {} {}", container.name, container.restart_count, json!(started))
        })
        .collect()
}
