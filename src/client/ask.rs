//! Asking for a restart: the object, its name, and what it will cost.
//!
//! **Invariant:** a request without a trigger is a new object each time; one with a trigger has a name that depends on
//! nothing but the workload, so that asking twice with the same trigger restarts once.

use super::{Error, RestartClient};
use crate::api::parallel::of_replicas;
use crate::api::{
    ConcurrencyPolicy, Config, Drain, Hooks, NewRequestsPolicy, RestartRequest, RestartRequestSpec, TargetKind,
    TargetRef, TimeoutPolicy, Verify,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use std::collections::BTreeMap;

/// The controller's own default, when neither the request nor anybody else says.
pub const DEFAULT_TIMEOUT_SECONDS: i32 = 30;
/// What a batch takes beside the wait for its requests, in seconds (DESIGN 3: five measured, as many for slower apps).
const SECONDS_PER_BATCH: i64 = 10;
/// On a request: who the caller said it acts for; a note, no authority.
pub const USER_NOTE: &str = "restart-controller.dev/user";

/// A restart to ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The request's spec.
    pub spec: RestartRequestSpec,
    /// The object's name; absent: one is made.
    pub name: Option<String>,
    /// Who the caller says it acts for: a note in an annotation. Who is recorded is whom the API server authenticated.
    pub user: Option<String>,
    /// Only ask the API server whether it would accept.
    pub dry_run: bool,
    /// Field manager of the write.
    pub field_manager: &'static str,
}

impl Ask {
    /// With every default.
    #[must_use]
    pub fn new(target_ref: TargetRef, reason: impl Into<String>) -> Self {
        let spec = RestartRequestSpec {
            target_ref,
            reason: reason.into(),
            trigger: None,
            force: false,
            timeout_seconds: None,
            on_timeout: TimeoutPolicy::default(),
            new_requests: NewRequestsPolicy::default(),
            drain: Drain::default(),
            concurrency_policy: ConcurrencyPolicy::default(),
            strategy: None,
            config: Config::default(),
            hooks: Hooks::default(),
            verify: Verify::default(),
            progress_deadline_seconds: 600,
            cancel: false,
            ttl_seconds_after_finished: None,
            requested_by: None,
        };
        Self { spec, name: None, user: None, dry_run: false, field_manager: super::FIELD_MANAGER }
    }

    /// Without waiting for in-flight requests.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.spec.force = force;
        self
    }

    /// Whether the restart may pick up changed configuration.
    #[must_use]
    pub fn config_reload(mut self, reload: bool) -> Self {
        self.spec.config.reload = reload;
        self
    }

    /// The longest wait for one pod's in-flight requests, in seconds.
    #[must_use]
    pub fn timeout(mut self, seconds: i32) -> Self {
        self.spec.timeout_seconds = Some(seconds);
        self
    }

    /// The run's key: asking again with the same one restarts no second time.
    #[must_use]
    pub fn trigger(mut self, trigger: impl Into<String>) -> Self {
        self.spec.trigger = Some(trigger.into());
        self
    }

    /// The name that the object gets: what was asked for, else one that stays with the workload if there is a trigger,
    /// else `restart-<digits>`, which sorts by time.
    fn object_name(&self) -> String {
        let target = &self.spec.target_ref;
        match (&self.name, &self.spec.trigger) {
            (Some(name), _) => name.clone(),
            (None, Some(_)) => format!("{}-{}", target.kind.short(), target.name).chars().take(253).collect(),
            (None, None) => generated_name("restart"),
        }
    }

    fn object(&self, requested_by: Option<String>) -> RestartRequest {
        let mut request = RestartRequest::new(&self.object_name(), self.spec.clone());
        request.spec.requested_by = requested_by;
        request.metadata.annotations = self.user.clone().map(|user| BTreeMap::from([(USER_NOTE.to_owned(), user)]));
        request
    }
}

/// `PREFIX-<digits>`: the time in microseconds, so that names sort by age and two callers hardly meet.
#[must_use]
pub fn generated_name(prefix: &str) -> String {
    let end = prefix.char_indices().nth(200).map_or(prefix.len(), |(at, _)| at);
    format!("{}-{}", prefix[..end].trim_end_matches(['-', '.']), Timestamp::now().as_microsecond())
}

/// What has become of an [`Ask`].
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The object, as the API server has it.
    pub request: RestartRequest,
    /// False: a request with this trigger was there, and nothing was written.
    pub new: bool,
    /// About how long it will take, in seconds: the wait for requests, and ten seconds for each batch.
    pub estimated_time: i64,
}

impl RestartClient {
    /// Asks for a restart. One whose trigger was asked for before is not asked for again.
    ///
    /// # Errors
    /// [`Error::NoTarget`], [`Error::AlreadyRestarting`] unless it may queue, and what the API server refuses.
    pub async fn request_restart(&self, ask: &Ask) -> Result<Asked, Error> {
        let estimated_time = self.estimate(&ask.spec).await?;
        let requested_by = self.whoami().await;
        let object = ask.object(requested_by);
        if ask.spec.trigger.is_some()
            && let Some(present) = self.find(object.metadata.name.as_deref().unwrap_or_default()).await?
        {
            return self.ask_again(ask, present, object, estimated_time).await;
        }
        self.free(&ask.spec).await?;
        let parameters = PostParams { dry_run: ask.dry_run, field_manager: Some(ask.field_manager.to_owned()) };
        let what = format!("ask for a restart of {} in namespace {}", ask.spec.target_ref, self.namespace());
        let request = self.requests().create(&parameters, &object).await;
        let request = request.map_err(|source| Error::kube(what, source))?;
        Ok(Asked { request, new: true, estimated_time })
    }

    async fn ask_again(
        &self,
        ask: &Ask,
        present: RestartRequest,
        object: RestartRequest,
        estimated_time: i64,
    ) -> Result<Asked, Error> {
        if present.spec.trigger == ask.spec.trigger {
            return Ok(Asked { request: present, new: false, estimated_time });
        }
        let name = present.metadata.name.clone().unwrap_or_default();
        let mut armed = present;
        armed.spec = object.spec;
        let parameters = PostParams { dry_run: ask.dry_run, field_manager: Some(ask.field_manager.to_owned()) };
        let request = self.requests().replace(&name, &parameters, &armed).await;
        let what = format!("ask RestartRequest {}/{name} for another run", self.namespace());
        let request = request.map_err(|source| Error::kube(what, source))?;
        Ok(Asked { request, new: true, estimated_time })
    }

    /// Refuses what the controller would refuse at once; whoever may not look leaves it to the controller.
    async fn free(&self, spec: &RestartRequestSpec) -> Result<(), Error> {
        if spec.concurrency_policy == ConcurrencyPolicy::Queue {
            return Ok(());
        }
        let history = match self.history_of(&spec.target_ref).await {
            Err(error) if error.status() == Some(403) => None,
            found => found?,
        };
        match history.and_then(|history| history.status?.active) {
            None => Ok(()),
            Some(active) => Err(Error::AlreadyRestarting {
                target: spec.target_ref.clone(),
                namespace: self.namespace().to_owned(),
                holder: active.request,
            }),
        }
    }

    /// The name under which the API server knows us: what `requestedBy` must be where no policy writes it.
    pub async fn whoami(&self) -> Option<String> {
        let review = Api::<SelfSubjectReview>::all(self.kube().clone());
        let answer = review.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
        answer.status?.user_info?.username
    }

    /// About how long such a restart will take, in seconds: `timeout` + 10 for each batch of pods. Whoever may not read
    /// the workload gets the estimate for one batch.
    ///
    /// # Errors
    /// [`Error::NoTarget`] when the workload does not exist, and when the API server cannot be reached.
    pub async fn estimate(&self, spec: &RestartRequestSpec) -> Result<i64, Error> {
        let timeout = if spec.force { 0 } else { spec.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS) };
        Ok(i64::from(timeout) + SECONDS_PER_BATCH * self.batches(spec).await?)
    }

    async fn batches(&self, spec: &RestartRequestSpec) -> Result<i64, Error> {
        let (replicas, surge) = match self.size(&spec.target_ref).await {
            Err(error) if error.status() == Some(403) => return Ok(1),
            size => size?,
        };
        let asked = spec.strategy.as_ref().and_then(|strategy| strategy.max_parallel.clone());
        let batch = asked.or(surge).map_or(1, |value| of_replicas(&value, replicas)).max(1);
        Ok(i64::from(replicas.max(1).saturating_add(batch - 1) / batch))
    }

    /// How many pods it has, and a Deployment's `maxSurge`.
    async fn size(&self, target: &TargetRef) -> Result<(i32, Option<IntOrString>), Error> {
        let (client, namespace, name) = (self.kube().clone(), self.namespace(), target.name.as_str());
        let read = match target.kind {
            TargetKind::Deployment => {
                Api::<Deployment>::namespaced(client, namespace).get_opt(name).await.map(|found| {
                    let spec = found?.spec?;
                    let surge = spec.strategy.and_then(|strategy| strategy.rolling_update?.max_surge);
                    Some((spec.replicas.unwrap_or(1), surge))
                })
            }
            TargetKind::StatefulSet => Api::<StatefulSet>::namespaced(client, namespace)
                .get_opt(name)
                .await
                .map(|found| Some((found?.spec?.replicas.unwrap_or(1), None))),
            TargetKind::DaemonSet => Api::<DaemonSet>::namespaced(client, namespace)
                .get_opt(name)
                .await
                .map(|found| Some((found?.status?.desired_number_scheduled, None))),
        };
        let found = read.map_err(|source| Error::kube(format!("read {target} in namespace {namespace}"), source))?;
        found.ok_or_else(|| Error::NoTarget { target: target.clone(), namespace: namespace.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> Ask {
        Ask::new("deploy/web".parse().unwrap(), "test")
    }

    #[test]
    fn a_name_is_new_each_time_unless_there_is_a_trigger() {
        assert!(ask().object_name().starts_with("restart-"));
        assert_eq!(ask().trigger("1").object_name(), "deployment-web");
        assert_eq!(ask().trigger("2").object_name(), "deployment-web");
    }

    #[test]
    fn a_generated_name_fits_kubernetes() {
        assert!(generated_name(&"a".repeat(253)).len() <= 253);
        assert!(generated_name("web.").starts_with("web-"));
    }

    #[test]
    fn nothing_is_written_that_the_definition_fills_in_otherwise() {
        let json = serde_json::to_value(&ask().spec).unwrap();
        let read: RestartRequestSpec = serde_json::from_value(serde_json::json!({
            "targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"}))
        .unwrap();
        assert_eq!(json, serde_json::to_value(read).unwrap());
    }
}
