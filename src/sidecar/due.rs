//! Moments by which something must have happened.
//!
//! **Invariant:** a timer exists only while something is waited for.

use std::future::{Future as _, pending};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The end of the patience with a peer; it begins with the first poll after a [`Due::clear`].
#[derive(Default)]
pub struct Due(Option<Pin<Box<Sleep>>>);

impl Due {
    /// What was waited for has happened.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Ready, with `TimedOut`, when `limit` has passed.
    pub fn poll(&mut self, context: &mut Context<'_>, limit: Duration) -> Poll<io::Error> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        sleep.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }
}

/// Returns at `moment`; without one never.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}
