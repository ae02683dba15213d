//! Whether the machine had time for its own timers: a stall takes sound pods out of their Services, and cuts short what is waited for.
//!
//! **Invariant:** what is excused is run again, never passed over.

use crate::world::space::Space;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// A timer that is late by so much is a stall.
const STALL: Duration = Duration::from_secs(1);

/// The longest delay of a timer so far; it ends with this value.
pub struct Stall(watch::Receiver<Duration>);

impl Stall {
    /// Begins to look at the clock.
    pub fn begin() -> Self {
        let (sender, receiver) = watch::channel(Duration::ZERO);
        tokio::spawn(async move {
            while !sender.is_closed() {
                let begun = Instant::now();
                tokio::time::sleep(TICK).await;
                let late = begun.elapsed().saturating_sub(TICK);
                sender.send_if_modified(|most| std::mem::replace(most, late.max(*most)) < late);
            }
        });
        Self(receiver)
    }

    /// Why what does not hold may be the machine's fault.
    pub async fn excuse(&self, space: &Space) -> Option<String> {
        let late = *self.0.borrow();
        if late >= STALL {
            return Some(format!("the machine stood still for {:.1} s", late.as_secs_f64()));
        }
        let events = space.api::<Event>().list(&ListParams::default()).await.ok()?.items;
        let timed_out = |event: &Event| {
            let words = event.message.as_deref().unwrap_or_default();
            event.reason.as_deref() == Some("Unhealthy")
                && ["deadline exceeded", "i/o timeout"].iter().any(|word| words.contains(word))
        };
        let event = events.into_iter().find(timed_out)?;
        Some(format!("a probe of the kubelet had no answer in time: {}", event.message.unwrap_or_default()))
    }
}
