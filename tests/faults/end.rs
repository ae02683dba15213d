//! How a run ended: what the differential oracle compares.
//!
//! **Invariant:** nothing in it depends on a name, a time or a UID.

use crate::path::Story;
use crate::support::Result;
use crate::support::request::condition;
use crate::world::pods::Pods;
use crate::world::space::{BAD, BINARY, CONFIG, GOOD, NEXT, Space};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::ListParams;
use restart_controller::api::{Code, ConditionStatus, Phase, names};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct End {
    /// The namespace is gone, and with it everything below.
    pub gone: bool,
    /// The request's phase; absent when it is gone.
    pub phase: Option<Phase>,
    /// Its code.
    pub code: Option<Code>,
    /// Its condition Restored.
    pub restored: Option<ConditionStatus>,
    /// What the configuration is.
    pub configuration: Option<Content>,
    /// Pods that are Ready, and of them those that were there before; the latter only where it is no matter of who is faster.
    pub ready: usize,
    /// Of them, those that were there before.
    pub kept: Option<usize>,
    /// The history, newest first.
    pub runs: Vec<Run>,
    /// ConfigMaps by their role.
    pub made: BTreeMap<String, usize>,
    /// Jobs.
    pub jobs: usize,
}

/// Which of the configurations that a path knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The first.
    Good,
    /// The one that is promoted and good.
    Next,
    /// The one on which no pod starts.
    Bad,
    /// None of them, byte for byte.
    Other,
}

/// A record of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Completed, Failed or Cancelled.
    pub result: Phase,
    /// Why it failed.
    pub code: Option<Code>,
    /// Which ConfigMaps it put back.
    pub restored: Vec<String>,
}

impl End {
    /// As it is now.
    pub async fn of(space: &Space, story: Story, pods: &Pods, old: &BTreeSet<String>) -> Result<Self> {
        if story == Story::NamespaceDeletion && space.is_gone().await? {
            return Ok(Self { gone: true, ..Self::default() });
        }
        let status = space.request().await?.and_then(|request| request.status);
        let present = pods.present();
        let kept = present.keys().filter(|uid| old.contains(*uid)).count();
        let runs = space.history().await?.and_then(|history| history.status).unwrap_or_default().runs;
        let run = |run: restart_controller::api::RunRecord| Run {
            result: run.result,
            code: run.code,
            restored: run.restored.into_iter().map(|map| map.config_map).collect(),
        };
        Ok(Self {
            gone: false,
            phase: status.as_ref().and_then(|status| status.phase),
            code: status.as_ref().and_then(|status| status.code),
            restored: status.as_ref().and_then(|status| condition(status, "Restored")),
            configuration: Some(content(space).await?),
            ready: present.values().filter(|life| life.ready).count(),
            kept: story.counts_pods().then_some(kept),
            runs: runs.into_iter().map(run).collect(),
            made: made(space).await?,
            jobs: space.api::<Job>().list(&ListParams::default()).await?.items.len(),
        })
    }
}

async fn content(space: &Space) -> Result<Content> {
    let found = space.content(CONFIG).await?;
    let binary = json!({"logo.bin": BINARY});
    let is = |yaml: &str| found == json!({"data": {"config.yaml": yaml}, "binaryData": binary, "immutable": null});
    Ok(if is(GOOD) {
        Content::Good
    } else if is(NEXT) {
        Content::Next
    } else if is(BAD) {
        Content::Bad
    } else {
        Content::Other
    })
}

/// What the controller has made and left.
async fn made(space: &Space) -> Result<BTreeMap<String, usize>> {
    let maps = space.api::<ConfigMap>().list(&ListParams::default().labels(names::ROLE)).await?;
    let mut made = BTreeMap::new();
    for map in maps {
        *made.entry(map.labels().get(names::ROLE).cloned().unwrap_or_default()).or_default() += 1;
    }
    Ok(made)
}
