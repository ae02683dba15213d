//! The sidecar's count, in every order in which the threads that serve connections, the admin port and the termination can meet
//! in it. loom runs each test once for each of them.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect")]

mod atomic {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}
#[path = "../../src/sidecar/level.rs"]
#[allow(dead_code, reason = "the sidecar uses the rest")]
mod level;

use level::Level;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread::{JoinHandle, spawn};

/// A thread loses the processor to another at most so often in one order where it could go on: without a bound the orders are
/// too many to be tried. loom's documentation says that two or three find most faults.
const PREEMPTIONS: usize = 3;

fn model(world: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(world);
}

/// A request on a thread of its own, as an observer sees it that talks to the app and to the client.
struct Request {
    stage: AtomicUsize,
}

/// The app has no byte of it.
const BEFORE: usize = 0;
/// The app has bytes of it, and the client has not got the whole answer.
const OPEN: usize = 1;
/// The client has the whole answer.
const ANSWERED: usize = 2;

impl Request {
    fn serve(level: &Arc<Level>) -> (Arc<Self>, JoinHandle<()>) {
        let request = Arc::new(Self { stage: AtomicUsize::new(BEFORE) });
        let (level, served) = (Arc::clone(level), Arc::clone(&request));
        let thread = spawn(move || {
            level.rise(1);
            served.stage.store(OPEN, Ordering::Release);
            served.stage.store(ANSWERED, Ordering::Release);
            let _ = level.fall(1);
        });
        (request, thread)
    }

    fn is_open(&self) -> bool {
        self.stage.load(Ordering::Acquire) == OPEN
    }
}

#[test]
fn the_count_is_never_below_the_requests_that_are_known_to_be_open() {
    model(|| {
        let level = Arc::new(Level::default());
        let requests = [Request::serve(&level), Request::serve(&level)];
        let before = requests.each_ref().map(|(request, _)| request.is_open());
        let counted = level.now();
        let open = requests.iter().zip(before).filter(|((request, _), before)| *before && request.is_open()).count();
        assert!(counted >= open as u64, "{open} are open, and the count is {counted}");
        for (_, thread) in requests {
            thread.join().unwrap();
        }
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
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(is_below || woken.load(Ordering::SeqCst), "it waits for ever");
    });
}
