//! Waiting for a condition, never for a time.
//!
//! **Invariant:** every wait has a deadline, and one that runs out says what was awaited and what was seen last.

use super::Result;
use std::time::{Duration, Instant};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(150);

/// What a look has found.
pub enum Look<T> {
    /// The condition holds.
    Done(T),
    /// It does not; why.
    NotYet(String),
}

/// Looks until the condition holds; `what` completes the sentence "waited N s for ...".
pub async fn until<T>(what: &str, seconds: u64, mut look: impl AsyncFnMut() -> Result<Look<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let seen = match look().await {
            Ok(Look::Done(value)) => return Ok(value),
            Ok(Look::NotYet(seen)) => seen,
            // A request that fails once is no verdict: the API server may be busy.
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(format!("waited {seconds} s for {what}; last seen: {seen}").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A condition as a look.
pub fn when(holds: bool, seen: impl FnOnce() -> String) -> Look<()> {
    if holds { Look::Done(()) } else { Look::NotYet(seen()) }
}
