//! What is due when: a set of keys, each with the earliest time that anybody has asked for.
//!
//! **Invariant:** a key that is pushed again and again is not put off: the first push sets its time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Keys that wait for their time.
#[derive(Debug)]
pub struct Queue<K> {
    due: Mutex<BTreeMap<K, Instant>>,
    changed: Notify,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { due: Mutex::default(), changed: Notify::new() }
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// `key` is due at `time`, or earlier if it was so already.
    pub fn push(&self, key: K, time: Instant) {
        let mut due = self.lock();
        let entry = due.entry(key).or_insert(time);
        *entry = time.min(*entry);
        self.changed.notify_one();
    }

    /// Waits until something is due, and takes all that is.
    pub async fn take(&self) -> Vec<K> {
        loop {
            let next = {
                let mut due = self.lock();
                let now = Instant::now();
                let taken: Vec<K> = due.iter().filter(|(_, time)| **time <= now).map(|(key, _)| key.clone()).collect();
                due.retain(|_, time| *time > now);
                if !taken.is_empty() {
                    return taken;
                }
                due.values().min().copied()
            };
            let timer = async {
                match next {
                    Some(time) => sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = timer => {}, () = self.changed.notified() => {} }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn the_first_push_sets_the_time_and_only_an_earlier_one_moves_it() {
        let (queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_secs(3600);
        queue.push("a", now);
        queue.push("a", later);
        queue.push("b", later);
        assert_eq!(queue.take().await, ["a"]);
        queue.push("b", now);
        assert_eq!(queue.take().await, ["b"]);
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_a_push() {
        let queue = Queue::default();
        let (taken, ()) = tokio::join!(queue.take(), async { queue.push("a", Instant::now()) });
        assert_eq!(taken, ["a"]);
    }
}
