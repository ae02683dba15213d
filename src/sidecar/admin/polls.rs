//! Long polls: what they ask for, and how many may wait.
//!
//! **Invariant:** no source, and not all together, can keep more connections waiting than their part.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest long poll, in seconds.
pub const MAX_WAIT_SECONDS: u64 = 60;
/// Of all connections of the admin port one in so many may be a long poll,
const PART: usize = 4;
/// and of all long polls one in so many of the same source.
const SOURCE_PART: usize = 4;

/// The long polls that wait.
pub struct Polls {
    most: usize,
    each: usize,
    waiting: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them; it ends when this is dropped.
pub struct Waiting<'a>(&'a Polls, IpAddr);

impl Polls {
    /// For a port that takes `connections` at a time.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        let most = (connections / PART).max(2);
        Self { most, each: (most / SOURCE_PART).max(2), waiting: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more from `source`; none if as many wait as may.
    #[must_use]
    pub fn begin(&self, source: IpAddr) -> Option<Waiting<'_>> {
        let mut waiting = self.lock();
        let of_source = waiting.get(&source).copied().unwrap_or(0);
        if of_source >= self.each || waiting.values().sum::<usize>() >= self.most {
            return None;
        }
        waiting.insert(source, of_source + 1);
        drop(waiting);
        Some(Waiting(self, source))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        match waiting.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(waiting.remove(&self.1)),
        }
    }
}

/// `below=N&waitSeconds=S`; each may be absent: below 1, without a wait.
///
/// # Errors
/// A sentence that says what is wrong with it, of a bounded length.
pub fn parse(query: &str) -> Result<Option<(u64, Duration)>, String> {
    let (mut below, mut wait) = (1, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let number = || value.parse::<u64>().map_err(|_| format!("{name} must be a whole number of at most 20 digits"));
        match name {
            "below" => below = number()?,
            "waitSeconds" => wait = Some(number()?.min(MAX_WAIT_SECONDS)),
            _ => return Err("only the parameters below and waitSeconds are known".into()),
        }
    }
    if below == 0 {
        return Err("below must be at least 1: no count is below 0, so the poll could never be answered early".into());
    }
    Ok(wait.map(|seconds| (below, Duration::from_secs(seconds))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_poll_is_asked_for_by_its_wait() {
        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse("below=3&waitSeconds=5"), Ok(Some((3, Duration::from_secs(5)))));
        assert_eq!(parse("waitSeconds=9999"), Ok(Some((1, Duration::from_secs(MAX_WAIT_SECONDS)))));
        assert!(parse("below=x").is_err() && parse("bellow=1").is_err());
    }

    #[test]
    fn a_poll_that_could_never_be_answered_is_refused_with_its_reason() {
        assert!(parse("below=0&waitSeconds=60").is_err_and(|why| why.contains("never")));
    }

    #[test]
    fn no_source_and_not_all_together_wait_more_than_their_part() {
        let polls = Polls::new(64);
        let source = |last| IpAddr::from([10, 0, 0, last]);
        let begun: Vec<_> = (0..100).filter_map(|_| polls.begin(source(1))).collect();
        assert_eq!(begun.len(), 4);
        let others: Vec<_> = (2..100).filter_map(|last| polls.begin(source(last))).collect();
        assert_eq!(others.len(), 12);
        drop((begun, others));
        assert!(polls.begin(source(1)).is_some() && polls.lock().is_empty());
    }
}
