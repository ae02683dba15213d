//! Places for calls that a tenant can keep waiting, shared between namespaces: one namespace has a few, all have many.
//!
//! **Invariant:** a namespace that uses up its own places takes none from another one until very many do so at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Namespaces that are remembered although nobody of them has a place or waits for one.
const IDLE: usize = 64;

/// The places; clones share them.
#[derive(Clone, Debug)]
pub struct Shares {
    all: Arc<Semaphore>,
    each: usize,
    of: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// One place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _of: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Shares {
    /// `each` places for one namespace, and `all` of them together.
    #[must_use]
    pub fn new(each: usize, all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, of: Arc::default() }
    }

    /// Waits for a place, first in the namespace and then among all: who waits for its own namespace holds up nobody else.
    ///
    /// # Errors
    /// Never: the semaphores are not closed.
    pub async fn place(&self, namespace: &str) -> Result<Place, AcquireError> {
        let of = self.of(namespace).acquire_owned().await?;
        Ok(Place { _of: of, _all: self.all.clone().acquire_owned().await? })
    }

    fn of(&self, namespace: &str) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() > IDLE {
            // A place and a wait each hold a reference of their own.
            of.retain(|_, places| Arc::strong_count(places) > 1);
        }
        of.entry(namespace.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn now(shares: &Shares, namespace: &str) -> Option<Place> {
        shares.place(namespace).now_or_never().map(Result::unwrap)
    }

    #[test]
    fn a_namespace_that_holds_all_its_places_leaves_those_of_others() {
        let shares = Shares::new(2, 4);
        let mut held: Vec<Place> = (0..2).map(|_| now(&shares, "dark").unwrap()).collect();
        assert!(now(&shares, "dark").is_none());
        let other = now(&shares, "shop");
        assert!(other.is_some());
        drop(held.pop());
        assert!(now(&shares, "dark").is_some());
    }

    #[test]
    fn what_waits_in_a_full_namespace_keeps_no_place_of_all() {
        let shares = Shares::new(1, 2);
        let held = now(&shares, "dark").unwrap();
        let mut waiting = Box::pin(shares.place("dark"));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(now(&shares, "shop").is_some());
        drop(held);
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn nothing_is_kept_of_namespaces_that_ask_no_more() {
        let shares = Shares::new(1, 1_000);
        let held = now(&shares, "stays");
        (0..1_000).for_each(|number| drop(now(&shares, &format!("n{number}"))));
        let of = shares.of.lock().unwrap();
        assert!(of.len() <= IDLE + 1 && of.contains_key("stays"), "{}", of.len());
        drop(held);
    }
}
