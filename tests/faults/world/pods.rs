//! What became of every pod of a plan's namespace, by a watch past the proxy.
//!
//! **Invariant:** nothing is forgotten.

use crate::support::app::is_detached;
use crate::support::pods::is_ready;
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// One pod.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its condition Ready.
    pub ready: bool,
    /// It is detached now.
    pub detached: bool,
    /// How far it has gone.
    pub stage: Stage,
}

/// A pod only ever goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It is there to stay.
    #[default]
    Present,
    /// It has been told to go.
    Going,
    /// It no longer exists.
    Gone,
}

type Lives = Arc<Mutex<BTreeMap<String, Life>>>;

/// The watch; it ends with this value.
pub struct Pods {
    lives: Lives,
    task: JoinHandle<()>,
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pods {
    /// Begins.
    pub fn watch(api: Api<Pod>) -> Self {
        let lives = Lives::default();
        let task = tokio::spawn(follow(api, lives.clone()));
        Self { lives, task }
    }

    /// Every pod ever seen, by UID.
    pub fn lives(&self) -> BTreeMap<String, Life> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those that nobody has told to go.
    pub fn present(&self) -> BTreeMap<String, Life> {
        self.lives().into_iter().filter(|(_, life)| life.stage == Stage::Present).collect()
    }
}

async fn follow(api: Api<Pod>, lives: Lives) {
    let events = watcher(api, watcher::Config::default());
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let mut lives = lives.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => seen(&mut lives, &pod, false),
            Ok(Event::Delete(pod)) => seen(&mut lives, &pod, true),
            // A watch that breaks is begun again by the next poll.
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
    }
}

fn seen(lives: &mut BTreeMap<String, Life>, pod: &Pod, gone: bool) {
    let life = lives.entry(pod.uid().unwrap_or_default()).or_default();
    life.name = pod.name_any();
    life.address = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default();
    life.ready = is_ready(pod);
    life.detached = is_detached(pod);
    let told = if pod.metadata.deletion_timestamp.is_some() { Stage::Going } else { Stage::Present };
    life.stage = life.stage.max(if gone { Stage::Gone } else { told });
}
