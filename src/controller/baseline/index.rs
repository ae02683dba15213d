//! The workloads that are looked after: which ConfigMaps each refers to, and what has been seen of those.
//!
//! **Invariant:** all of it may be lost at any time: a workload comes back with the next event of one of its pods.

use super::proof::{Earlier, Sighting};
use crate::api::TargetRef;
use crate::controller::contents::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its kind and name.
    pub target: TargetRef,
}

/// What is known of one workload.
#[derive(Clone, Debug, Default)]
struct Entry {
    uid: String,
    refers_to: BTreeSet<String>,
    seen: BTreeMap<String, Sighting>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Index {
    entries: Mutex<BTreeMap<Key, Entry>>,
}

impl Index {
    /// The workload of that UID refers to these ConfigMaps. What was seen for another UID or of other ConfigMaps goes.
    pub fn refers(&self, key: &Key, uid: &str, names: BTreeSet<String>) {
        let mut entries = self.lock();
        let entry = entries.entry(key.clone()).or_default();
        if entry.uid != uid {
            *entry = Entry { uid: uid.to_owned(), ..Entry::default() };
        }
        entry.seen.retain(|name, _| names.contains(name));
        entry.refers_to = names;
    }

    /// The workload is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// The workloads that refer to a ConfigMap.
    pub fn of_config_map(&self, namespace: &str, name: &str) -> Vec<Key> {
        let entries = self.lock();
        let concerned =
            entries.iter().filter(|(key, entry)| key.namespace == namespace && entry.refers_to.contains(name));
        concerned.map(|(key, _)| key.clone()).collect()
    }

    /// All workloads.
    pub fn all(&self) -> Vec<Key> {
        self.lock().keys().cloned().collect()
    }

    /// What has been seen of `map` as it is.
    pub fn sighting(&self, key: &Key, map: &Seen) -> Option<Sighting> {
        let entries = self.lock();
        let seen = entries.get(key)?.seen.get(&map.name)?;
        seen.is_of(map).then(|| seen.clone())
    }

    /// What was seen last of a ConfigMap says this about the time before now.
    pub fn earlier(&self, key: &Key, name: &str) -> Option<Earlier> {
        self.lock().get(key)?.seen.get(name).map(Sighting::earlier)
    }

    /// Keeps it.
    pub fn keep(&self, key: &Key, name: &str, sighting: Sighting) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.seen.insert(name.to_owned(), sighting);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TargetKind;

    #[test]
    fn a_workload_is_found_by_what_it_refers_to_and_starts_anew_with_another_uid() {
        let (index, map) = (Index::default(), Seen::default());
        let target = TargetRef { kind: TargetKind::Deployment, name: "web".into() };
        let key = Key { namespace: "shop".into(), target };
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        index.refers(&key, "1", names("a"));
        index.keep(&key, "a", Sighting::new(&map, false, None, Earlier::None));
        assert_eq!(index.of_config_map("shop", "a"), std::slice::from_ref(&key));
        assert!(index.of_config_map("shop", "b").is_empty() && index.of_config_map("other", "a").is_empty());
        assert_eq!(index.earlier(&key, "a"), Some(Earlier::Unknown));
        index.refers(&key, "2", names("a"));
        assert_eq!(index.earlier(&key, "a"), None);
        index.forget(&key);
        assert!(index.all().is_empty());
    }
}
