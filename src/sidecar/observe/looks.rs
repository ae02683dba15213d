//! When a look at the app's connections is due.
//!
//! A look costs milliseconds, so there is none without a reason: a question that must be answered freshly, something that
//! waits for the count to fall, a drain; else one every half minute, from which the rate of requests is known.
//!
//! **Invariant:** a question is answered by a look that began after it, on whatever thread it was asked.

use crate::sidecar::state::Shared;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often it is looked while something waits for the count to fall, or the pod drains.
const WATCHED: Duration = Duration::from_millis(100);
/// How often it is looked for the rate of requests alone.
const UNWATCHED: Duration = Duration::from_secs(30);
/// The thread that looks rests for so many times what a look took, so that a flood of questions takes a part of it only.
const REST: u32 = 4;

/// What has been asked for, and what has been answered.
pub struct Looks {
    /// Questions asked.
    asked: watch::Sender<u64>,
    /// Those of them that have been answered.
    answered: watch::Sender<u64>,
    /// How many wait for the count to fall.
    watching: watch::Sender<u64>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), answered: watch::Sender::new(0), watching: watch::Sender::new(0) }
    }
}

/// Something waits for the count to fall, as long as this lives.
pub struct Watched<'a>(&'a Looks);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.watching.send_modify(|watching| *watching -= 1);
    }
}

impl Looks {
    /// Returns when there has been a look that began after the call.
    pub async fn fresh(&self) {
        let mut answered = self.answered.subscribe();
        let mut question = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            question = *asked;
        });
        // The sender lives as long as `self`: no error is possible.
        let _ = answered.wait_for(|answered| *answered >= question).await;
    }

    /// As long as the answer lives, it is looked often.
    #[must_use]
    pub fn watch(&self) -> Watched<'_> {
        self.watching.send_modify(|watching| *watching += 1);
        Watched(self)
    }

    /// Calls `look` whenever it is due, as long as the process runs.
    pub async fn run(&self, shared: &Shared, mut look: impl FnMut()) {
        let (mut asked, mut watching, mut drains) =
            (self.asked.subscribe(), self.watching.subscribe(), shared.drains());
        loop {
            let began = Instant::now();
            let (questions, _) = (*asked.borrow_and_update(), drains.borrow_and_update());
            let is_watched = *watching.borrow_and_update() > 0 || shared.is_draining();
            look();
            self.answered.send_replace(questions);
            tokio::time::sleep(began.elapsed() * REST).await;
            let next = began + if is_watched { WATCHED } else { UNWATCHED };
            // The senders live as long as `self` and `shared`: no error is possible.
            tokio::select! {
                _ = asked.changed() => {}
                _ = watching.changed() => {}
                _ = drains.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sidecar::drain::Drain;
    use crate::wire::Mode;
    use std::cell::Cell;

    fn shared() -> Shared {
        Shared::new(Mode::Observe, Drain::new("pod-1".into(), std::iter::empty().collect()))
    }

    /// How many looks there are while `asking` runs.
    async fn looks_during(shared: &Shared, asking: impl Future<Output = ()>) -> u32 {
        let looks = Cell::new(0);
        tokio::select! {
            () = shared.looks.run(shared, || looks.set(looks.get() + 1)) => {}
            () = asking => {}
        }
        looks.get()
    }

    #[tokio::test]
    async fn it_is_looked_when_asked_and_hardly_otherwise() {
        let shared = shared();
        let second = Duration::from_secs(1);
        assert_eq!(looks_during(&shared, tokio::time::sleep(second)).await, 1);
        let asked = async {
            for _ in 0..3 {
                shared.refresh().await;
            }
        };
        assert!((3..=4).contains(&looks_during(&shared, asked).await));
        let watched = async {
            let _watched = shared.watch();
            tokio::time::sleep(second).await;
        };
        assert!((5..=13).contains(&looks_during(&shared, watched).await));
        let drained = async {
            shared.terminate();
            tokio::time::sleep(second).await;
        };
        assert!((5..=13).contains(&looks_during(&shared, drained).await));
    }
}
