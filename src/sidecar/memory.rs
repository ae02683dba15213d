//! Memory given back to the system once a crowd has left.
//!
//! The C library's heap gives back what lies at its end; one long-lived allocation there keeps all below it resident. So
//! when far fewer connections and requests are left than there were, it is asked to give back every whole free page.
//!
//! **Invariant:** nothing here is in a request's way, and the calls in [`trim`] and [`share_heap`] are the only unsafe code of
//! the sidecar.

use super::state::Shared;
use std::time::Duration;

/// How often it is looked at what is left.
const EVERY: Duration = Duration::from_secs(2);
/// Fewer connections and requests are no crowd: what they hold (2 MiB, if all speak HTTP/2), the next ones need again.
const CROWD: u64 = 32;

/// Gives memory back whenever more than half of a crowd has left; runs as long as the process.
pub async fn give_back(shared: &Shared) {
    let mut most = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        most = most.max(shared.connections.take_most() + shared.in_flight.take_most());
        let left = shared.connections.now() + shared.in_flight.now();
        if is_worth_it(most, left) {
            tracing::debug!(most, left, "a crowd has left: memory is given back");
            trim();
            most = left;
        }
    }
}

fn is_worth_it(most: u64, left: u64) -> bool {
    most >= CROWD + 2 * left
}

/// Makes all threads allocate from one heap. By itself the C library gives each thread a heap of its own, and [`trim`] was seen
/// to free nothing in those. Call it before other threads start, because a thread keeps the heap that it has.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate that is kept wraps it")]
pub fn share_heap() {
    // SAFETY: it takes two numbers and no pointer, and no other thread runs yet that could allocate meanwhile (mallopt(3)).
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Other C libraries have one heap.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_heap() {}

/// Other C libraries give back by themselves, or cannot be asked.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate that is kept wraps it")]
fn trim() {
    // SAFETY: it takes a number and no pointer, is safe to call from any thread at any time (malloc_trim(3): MT-Safe), and
    // touches free memory only.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::is_worth_it;

    #[test]
    fn memory_is_given_back_when_most_of_a_crowd_has_left() {
        assert!(is_worth_it(10_000, 0) && is_worth_it(10_000, 4_000));
        assert!(!is_worth_it(10_000, 6_000) && !is_worth_it(31, 0) && !is_worth_it(0, 0));
    }
}
