//! Who a token belongs to, for the limits: each user has a rate and a number of streams of their own, also where all of them
//! come from the address of one ingress.
//!
//! **Invariant:** nobody gets a right by it, and no token is kept: a hash of it, with the name that the API server gave for it,
//! for a minute.

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a name is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// Tokens, and users, that are remembered before those that have been quiet are forgotten.
const REMEMBERED: usize = 4096;
/// Streams of events of one caller at any time, and of all; less than the connections, so that there is always one to ask by.
pub const STREAMS: (usize, usize) = (16, 384);

/// What a limit counts: a user, or an address as long as no user is known behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Who(pub String);

type Token = [u8; 32];

/// The callers of the last minute; clones share them.
#[derive(Clone, Debug)]
pub struct Callers {
    known: Arc<Mutex<HashMap<Token, (Who, Instant)>>>,
    rates: Arc<RateLimiter<Who, HashMapStateStore<Who>, DefaultClock>>,
    streams: Arc<Mutex<HashMap<Who, usize>>>,
}

impl Callers {
    /// So much for each.
    pub fn new(quota: Quota) -> Self {
        Self { known: Arc::default(), rates: Arc::new(RateLimiter::hashmap(quota)), streams: Arc::default() }
    }

    /// Whose token this was, within the last minute.
    pub fn of(&self, token: &str, now: Instant) -> Option<Who> {
        let known = lock(&self.known);
        known.get(&hash(token)).filter(|(_, seen)| now < *seen + BELIEVED).map(|(who, _)| who.clone())
    }

    /// The API server has said whose it is.
    pub fn remember(&self, token: &str, who: Who, now: Instant) {
        let mut known = lock(&self.known);
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, seen)| now < *seen + BELIEVED);
        }
        if known.len() < REMEMBERED {
            known.insert(hash(token), (who, now));
        }
    }

    /// Whether this user may ask once more now.
    pub fn allows(&self, who: &Who) -> bool {
        if self.rates.len() > REMEMBERED {
            self.rates.retain_recent();
        }
        self.rates.check_key(who).is_ok()
    }

    /// A stream for this caller; absent when they have as many as one may have, or all together have.
    pub fn stream(&self, who: &Who) -> Option<Streaming> {
        let mut streams = lock(&self.streams);
        let (own, all) = (streams.get(who).copied().unwrap_or(0), streams.values().sum::<usize>());
        (own < STREAMS.0 && all < STREAMS.1).then(|| {
            *streams.entry(who.clone()).or_default() += 1;
            Streaming { who: who.clone(), streams: self.streams.clone() }
        })
    }
}

/// One stream; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Streaming {
    who: Who,
    streams: Arc<Mutex<HashMap<Who, usize>>>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let mut streams = lock(&self.streams);
        if let Some(own) = streams.get_mut(&self.who) {
            *own -= 1;
        }
        streams.retain(|_, own| *own > 0);
    }
}

fn hash(token: &str) -> Token {
    Sha256::digest(token.as_bytes()).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn callers() -> Callers {
        Callers::new(Quota::per_second(NonZeroU32::new(5).unwrap()))
    }

    fn who(name: &str) -> Who {
        Who(name.to_owned())
    }

    #[test]
    fn each_user_has_a_rate_of_their_own_whatever_token_they_send() {
        let (callers, now) = (callers(), Instant::now());
        callers.remember("one of alice", who("alice"), now);
        callers.remember("another of alice", who("alice"), now);
        let (one, other) = (callers.of("one of alice", now).unwrap(), callers.of("another of alice", now).unwrap());
        assert_eq!((0..100).filter(|at| callers.allows(if at % 2 == 0 { &one } else { &other })).count(), 5);
        assert!(callers.allows(&who("bob")));
    }

    #[test]
    fn a_name_is_believed_for_a_minute_and_no_token_is_kept() {
        let (callers, now) = (callers(), Instant::now());
        callers.remember("secret", who("alice"), now);
        assert!(callers.of("secret", now + BELIEVED / 2).is_some());
        assert!(callers.of("secret", now + BELIEVED).is_none() && callers.of("other", now).is_none());
        assert!(!format!("{callers:?}").contains("secret"));
        (0..2 * REMEMBERED).for_each(|number| callers.remember(&number.to_string(), who("alice"), now));
        assert_eq!(lock(&callers.known).len(), REMEMBERED);
    }

    #[test]
    fn a_caller_has_so_many_streams_and_leaves_those_of_others() {
        let callers = callers();
        let mut held: Vec<Streaming> = std::iter::from_fn(|| callers.stream(&who("alice"))).collect();
        assert_eq!(held.len(), STREAMS.0);
        assert!(callers.stream(&who("bob")).is_some());
        drop(held.pop());
        assert!(callers.stream(&who("alice")).is_some());
        let all: Vec<Streaming> = (0..STREAMS.1).filter_map(|user| callers.stream(&who(&user.to_string()))).collect();
        assert_eq!(all.len() + held.len(), STREAMS.1);
        drop((held, all));
        assert!(lock(&callers.streams).is_empty());
    }
}
