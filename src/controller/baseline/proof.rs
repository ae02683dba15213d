//! Did a pod's containers start after a ConfigMap's present content was there?
//!
//! No clock of ours decides. A pod proves it if
//! (c) this process saw that content before the pod existed; or
//! (b) the pod was created later than the newest of the ConfigMap's `managedFields` times, both stamped by the API server; or
//! (a) it was created in the very second in which the ConfigMap was, which has not been modified since, and which it cannot
//!     start without.
//!
//! The API server stamps no time when an update only takes keys away (tried on 1.36: the resourceVersion moves, every time
//! stays). So times are believed only if they have moved since another content was known: by an earlier look, or by the copy
//! of last-known-good. What was taken away before anybody looked for the first time is not noticed.
//!
//! **Invariant:** pure; a doubt is no proof. What is remembered here may be lost: then less is proven.

use crate::controller::contents::Seen;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeSet;

/// When another content of the same ConfigMap was there, by the API server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// No other content is known.
    None,
    /// At this time.
    At(Timestamp),
    /// At a time that nobody knows.
    Unknown,
}

/// What is known of a ConfigMap's present content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// UID and resourceVersion: as long as they stay, so does the content.
    version: (String, String),
    /// Pods that existed when it was first seen; absent if nobody looked.
    older: Option<BTreeSet<String>>,
    /// The newest time that the object tells of itself.
    newest: Option<Timestamp>,
    /// That time, if it can be believed.
    since: Option<Timestamp>,
    /// It has been there as it is since its creation, and pods wait for it.
    original: bool,
}

impl Sighting {
    /// The first look at this version of `map`; `pods` were listed after it was read.
    #[must_use]
    pub fn new(map: &Seen, optional: bool, pods: Option<BTreeSet<String>>, earlier: Earlier) -> Self {
        let newest = newest(map);
        let since = match earlier {
            Earlier::None => newest,
            Earlier::At(before) => newest.filter(|newest| *newest > before),
            Earlier::Unknown => None,
        };
        Self {
            version: version(map),
            older: pods,
            newest,
            since,
            original: earlier == Earlier::None && !optional && untouched(map, newest),
        }
    }

    /// Whether this is about `map` as it is.
    #[must_use]
    pub fn is_of(&self, map: &Seen) -> bool {
        self.version == version(map)
    }

    /// What it says to whoever looks at a later version.
    #[must_use]
    pub fn earlier(&self) -> Earlier {
        self.newest.map_or(Earlier::Unknown, Earlier::At)
    }

    /// Whether a pod of that UID, created at that time, started after the content was there.
    #[must_use]
    pub fn proves(&self, uid: &str, born: Option<Timestamp>) -> bool {
        let seen = self.older.as_ref().is_some_and(|older| !older.contains(uid));
        let (Some(since), Some(born)) = (self.since, born) else { return seen };
        seen || born > since || self.original && born == since
    }
}

fn version(map: &Seen) -> (String, String) {
    (map.uid.clone(), map.version.clone())
}

/// Absent if the object does not tell of every one of its writers.
fn newest(map: &Seen) -> Option<Timestamp> {
    let (written, created) = (map.written.as_ref()?, map.created?);
    written.iter().copied().chain([created]).max()
}

fn untouched(map: &Seen, newest: Option<Timestamp>) -> bool {
    newest.is_some() && newest == map.created && map.written.as_ref().is_some_and(|written| written.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: u8) -> Timestamp {
        format!("2026-11-22T10:00:{second:02}Z").parse().unwrap()
    }

    /// A ConfigMap created in second 10, with writers at these seconds.
    fn map(writers: &[Option<u8>]) -> Seen {
        let entry = |second: &Option<u8>| json!({"manager": "m", "operation": "Update", "time": second.map(|second| at(second).to_string())});
        let fields: Vec<Value> = writers.iter().map(entry).collect();
        let map = json!({"metadata": {"name": "web", "uid": "u", "resourceVersion": "1",
            "creationTimestamp": at(10).to_string(), "managedFields": fields}});
        Seen::of(&serde_json::from_value(map).unwrap())
    }

    #[test]
    fn only_what_was_certainly_born_later_is_proof() {
        let (one, edited, silent, unmanaged) =
            (map(&[Some(10)]), map(&[Some(10), Some(20)]), map(&[Some(10), None]), map(&[]));
        for (why, map, optional, earlier, born, proven) in [
            ("(a) in the second of its creation", &one, false, Earlier::None, 10, true),
            ("(a) before it: it may have been made anew", &one, false, Earlier::None, 9, false),
            ("(a) an optional one need not be waited for", &one, true, Earlier::None, 10, false),
            ("(a) it is not the first", &one, false, Earlier::At(at(9)), 10, false),
            ("(b) later than its creation", &one, true, Earlier::None, 11, true),
            ("(b) later than its creation, not its first content", &one, false, Earlier::At(at(9)), 11, true),
            ("(b) before the edit", &edited, false, Earlier::None, 15, false),
            ("(b) in the second of the edit", &edited, false, Earlier::None, 20, false),
            ("(b) after the edit", &edited, false, Earlier::None, 21, true),
            ("(b) a key was taken away, which leaves no time", &one, false, Earlier::At(at(10)), 11, false),
            ("(b) after an edit that left its time", &edited, false, Earlier::At(at(10)), 21, true),
            ("(b) another content at an unknown time", &edited, false, Earlier::Unknown, 21, false),
            ("(b) a writer without a time", &silent, false, Earlier::None, 30, false),
            ("(b) no writers at all", &unmanaged, false, Earlier::None, 30, false),
        ] {
            let everybody = BTreeSet::from(["pod".to_owned()]);
            let sighting = Sighting::new(map, optional, Some(everybody), earlier);
            assert_eq!(sighting.proves("pod", Some(at(born))), proven, "{why}");
        }
    }

    #[test]
    fn a_pod_that_did_not_exist_at_the_first_look_was_born_after_it() {
        let older = BTreeSet::from(["old".to_owned()]);
        let sighting = Sighting::new(&map(&[]), false, Some(older), Earlier::Unknown);
        assert!(!sighting.proves("old", Some(at(50))));
        assert!(sighting.proves("new", Some(at(1))));
        assert!(sighting.proves("new", None));
        let nobody_looked = Sighting::new(&map(&[]), false, None, Earlier::Unknown);
        assert!(!nobody_looked.proves("new", Some(at(50))));
    }

    #[test]
    fn any_write_makes_another_version() {
        let (mut map, sighting) = (map(&[Some(10)]), Sighting::new(&map(&[Some(10)]), false, None, Earlier::None));
        assert!(sighting.is_of(&map));
        assert_eq!(sighting.earlier(), Earlier::At(at(10)));
        map.version = "2".into();
        assert!(!sighting.is_of(&map));
    }
}
