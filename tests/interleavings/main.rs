//! The sidecar's count, in every order in which the threads that serve connections, the admin port and the termination can meet
//! in it. loom runs each test once for each of them.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect")]

mod atomic {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}
#[path = "../../src/sidecar/level.rs"]
#[allow(dead_code, reason = "the sidecar uses the rest")]
mod level;

use level::Level;
use loom::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread::{JoinHandle, spawn};

/// A request on a thread of its own, as an observer sees it that talks to the app and to the client.
struct Request {
    /// The app has bytes of it.
    sent: AtomicBool,
    /// The client has all of its answer.
    answered: AtomicBool,
}

impl Request {
    fn serve(level: &Arc<Level>) -> (Arc<Self>, JoinHandle<()>) {
        let request = Arc::new(Self { sent: AtomicBool::new(false), answered: AtomicBool::new(false) });
        let (level, served) = (Arc::clone(level), Arc::clone(&request));
        let thread = spawn(move || {
            level.rise(1);
            served.sent.store(true, Ordering::Release);
            served.answered.store(true, Ordering::Release);
            let _ = level.fall(1);
        });
        (request, thread)
    }

    fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    fn is_open(&self) -> bool {
        !self.answered.load(Ordering::Acquire)
    }
}

#[test]
fn the_count_is_never_below_the_requests_that_are_known_to_be_open() {
    model(|| {
        let level = Arc::new(Level::default());
        let requests = [Request::serve(&level), Request::serve(&level)];
        let sent: Vec<bool> = requests.iter().map(|(request, _)| request.is_sent()).collect();
        let counted = level.now();
        let open = requests.iter().zip(sent).filter(|((request, _), sent)| *sent && request.is_open()).count();
        assert!(counted >= open as u64, "{open} are open, and the count is {counted}");
        requests.into_iter().for_each(|(_, thread)| thread.join().unwrap());
        assert_eq!((level.now(), level.total()), (0, 2));
    });
}

#[test]
fn a_waiter_that_is_told_to_wait_is_woken_by_the_last_request_that_ends() {
    model(|| {
        let (level, woken) = (Arc::new(Level::default()), Arc::new(AtomicBool::new(false)));
        level.rise(2);
        let end = || {
            let (level, woken) = (Arc::clone(&level), Arc::clone(&woken));
            spawn(move || {
                if level.fall(1) {
                    woken.store(true, Ordering::SeqCst);
                }
            })
        };
        let threads = [end(), end()];
        let is_below = level.is_below(1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(is_below || woken.load(Ordering::SeqCst), "it waits for ever");
    });
}
