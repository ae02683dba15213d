//! What became of every pod that was ever seen, by a watch that runs beside the scenario.
//!
//! **Invariant:** nothing is forgotten: a pod that was there for a moment is in the account.

use super::app::{App, is_detached};
use super::wait::{until, when};
use super::{Result, ensure};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::JoinHandle;

/// One pod's life so far.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Its name.
    pub name: String,
    /// When its readiness last changed, and to what.
    pub ready: Option<(bool, Instant)>,
    /// Somebody has told it to go.
    pub told_to_go: bool,
    /// It no longer exists.
    pub gone: bool,
    /// The controller has taken it from its ReplicaSet.
    pub detached: bool,
}

type Lives = Arc<Mutex<BTreeMap<String, Life>>>;

/// The watch; it ends with this value.
pub struct PodWatch {
    lives: Lives,
    most: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl PodWatch {
    /// Begins once every pod of the app has been seen.
    pub async fn start(app: &App<'_>) -> Result<Self> {
        let lives = Lives::default();
        let config = watcher::Config::default().labels(&format!("app={}", app.name));
        let most = Arc::<AtomicUsize>::default();
        let task = tokio::spawn(follow(app.space.api::<Pod>(), config, Arc::clone(&lives), Arc::clone(&most)));
        let watch = Self { lives, most, task };
        let wanted = app.uids().await?;
        until("the watch of the pods to begin", 20, async || {
            let seen: BTreeSet<String> = watch.lives().into_keys().collect();
            Ok(when(seen.is_superset(&wanted), || format!("{} of {}", seen.len(), wanted.len())))
        })
        .await?;
        Ok(watch)
    }

    /// Every pod ever seen, by UID.
    pub fn lives(&self) -> BTreeMap<String, Life> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many pods were detached at once, at most.
    pub fn most_detached(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Fails unless the pods ever seen are `old` and exactly one replacement for each.
    pub fn each_replaced_once(&self, old: &BTreeSet<String>) -> Result {
        let lives = self.lives();
        let new: Vec<&str> =
            lives.iter().filter(|(uid, _)| !old.contains(*uid)).map(|(_, life)| life.name.as_str()).collect();
        ensure!(new.len() == old.len(), "{} pods were replaced by {}: {}", old.len(), new.len(), new.join(", "));
        Ok(())
    }

    /// Fails if anybody told one of these pods to go.
    pub fn never_told_to_go(&self, pods: &BTreeSet<String>) -> Result {
        let lives = self.lives();
        let told = lives.iter().find(|(uid, life)| pods.contains(*uid) && (life.told_to_go || life.gone));
        ensure!(told.is_none(), "{:?} was told to go", told.map(|(_, life)| &life.name));
        Ok(())
    }
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(api: Api<Pod>, config: watcher::Config, lives: Lives, most: Arc<AtomicUsize>) {
    let events = watcher(api, config);
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let mut lives = lives.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => seen(&mut lives, &pod),
            Ok(Event::Delete(pod)) => {
                seen(&mut lives, &pod);
                lives.entry(pod.uid().unwrap_or_default()).or_default().gone = true;
            }
            // A watch that breaks is begun again by the next poll.
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
        most.fetch_max(lives.values().filter(|life| life.detached && !life.gone).count(), Ordering::Relaxed);
    }
}

fn seen(lives: &mut BTreeMap<String, Life>, pod: &Pod) {
    let life = lives.entry(pod.uid().unwrap_or_default()).or_default();
    life.name = pod.name_any();
    life.detached = is_detached(pod);
    life.told_to_go |= pod.metadata.deletion_timestamp.is_some();
    let ready = is_ready(pod);
    if life.ready.is_none_or(|(was, _)| was != ready) {
        life.ready = Some((ready, Instant::now()));
    }
}

/// Whether the pod's condition Ready is True.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
