//! The watchdog: whether the loops that everything hangs on still answer.
//!
//! **Invariant:** no false alarm: what counts is not the time that has passed but the seconds in which this process ran and
//! the loop did not, so neither a stopped process nor a busy machine looks like a loop that hangs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

/// How often a loop is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Questions without an answer after which a loop is taken to hang.
const PATIENCE: u32 = 30;

/// Watches over loops.
#[derive(Clone, Debug, Default)]
pub struct Watchdog {
    loops: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    /// Gone with the loop, which is then no longer asked.
    missed: Weak<AtomicU32>,
}

/// One loop's side: it must answer at least every half a minute while it lives.
#[derive(Debug)]
pub struct Pulse {
    missed: Arc<AtomicU32>,
    ticks: Interval,
}

impl Watchdog {
    /// Begins to ask, for as long as the process lives.
    #[must_use]
    pub fn start() -> Self {
        let watchdog = Self::default();
        let asking = watchdog.clone();
        tokio::spawn(async move {
            let mut ticks = ticks();
            loop {
                ticks.tick().await;
                asking.ask();
            }
        });
        watchdog
    }

    /// A loop of that name, watched until the pulse is dropped.
    #[must_use]
    pub fn pulse(&self, name: &'static str) -> Pulse {
        let missed = Arc::new(AtomicU32::new(0));
        self.lock().push(Watched { name, missed: Arc::downgrade(&missed) });
        Pulse { missed, ticks: ticks() }
    }

    fn ask(&self) {
        self.lock().retain(|watched| {
            let Some(missed) = watched.missed.upgrade() else { return false };
            missed.fetch_add(1, Ordering::Relaxed);
            true
        });
    }

    /// The loops that hang.
    #[must_use]
    pub fn hanging(&self) -> Vec<&'static str> {
        let hangs = |watched: &&Watched| {
            watched.missed.upgrade().is_some_and(|missed| missed.load(Ordering::Relaxed) > PATIENCE)
        };
        self.lock().iter().filter(hangs).map(|watched| watched.name).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// The loop answers.
    pub fn beat(&self) {
        self.missed.store(0, Ordering::Relaxed);
    }

    /// Comes when the loop should answer again, and answers.
    pub async fn next(&mut self) {
        self.ticks.tick().await;
        self.beat();
    }

    /// Waits, and answers meanwhile.
    pub async fn beating(&mut self, wait: Duration) {
        let end = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(end) => break,
                () = self.next() => {}
            }
        }
        self.beat();
    }
}

/// After a pause one tick, not all that were missed.
fn ticks() -> Interval {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_leaves_thirty_questions_unanswered_hangs_until_it_answers() {
        let watchdog = Watchdog::default();
        let (answers, hangs) = (watchdog.pulse("answers"), watchdog.pulse("hangs"));
        for _ in 0..=PATIENCE {
            assert!(watchdog.hanging().is_empty());
            watchdog.ask();
            answers.beat();
        }
        assert_eq!(watchdog.hanging(), ["hangs"]);
        hangs.beat();
        assert!(watchdog.hanging().is_empty());
    }

    #[tokio::test]
    async fn a_loop_that_ended_is_not_asked() {
        let watchdog = Watchdog::default();
        drop(watchdog.pulse("over"));
        for _ in 0..=PATIENCE {
            watchdog.ask();
        }
        assert!(watchdog.hanging().is_empty());
        assert!(watchdog.lock().is_empty());
    }

    #[tokio::test]
    async fn a_loop_that_waits_answers_meanwhile() {
        let watchdog = Watchdog::default();
        let mut pulse = watchdog.pulse("waits");
        watchdog.ask();
        pulse.beating(Duration::from_millis(10)).await;
        assert_eq!(pulse.missed.load(Ordering::Relaxed), 0);
    }
}
