//! A drain command as it arrives, and how much garbage is looked at.
//!
//! **Invariant:** nothing that a client wrote is kept or logged at the length that it chose.

use super::serve::HEAD_TIMEOUT;
use crate::sidecar::drain::Refused;
use crate::wire::{self, DrainCommand};
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::Incoming;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The largest number of refused commands that one source may send in a [`PERIOD`].
const MOST: u32 = 20;
/// The time over which refused commands are counted. Further commands of a source are refused without being read.
const PERIOD: Duration = Duration::from_secs(1);
/// The largest number of sources that are counted separately. Only a flood has more; the limit of connections bounds that.
const SOURCES: usize = 1_024;

/// The refused commands of the present [`PERIOD`], by source.
#[derive(Default)]
pub struct Garbage(Mutex<(Option<Instant>, HashMap<IpAddr, u32>)>);

impl Garbage {
    fn lock(&self, now: Instant) -> MutexGuard<'_, (Option<Instant>, HashMap<IpAddr, u32>)> {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if period.0.is_none_or(|began| now.saturating_duration_since(began) >= PERIOD) {
            *period = (Some(now), HashMap::new());
        }
        period
    }

    /// A command of `source` was refused.
    pub fn count(&self, source: IpAddr, now: Instant) {
        let mut period = self.lock(now);
        if period.1.len() < SOURCES || period.1.contains_key(&source) {
            *period.1.entry(source).or_default() += 1;
        }
    }

    /// Whether `source` has sent so many that no more are looked at now.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, source: IpAddr, now: Instant) -> Result<(), Refused> {
        if self.lock(now).1.get(&source).is_some_and(|count| *count >= MOST) {
            return Err(Refused::new("TooMany", "too many refused commands from this address: wait a second"));
        }
        Ok(())
    }
}

/// Reads the command that `request` carries.
///
/// # Errors
/// Why there is none.
pub async fn read(request: Request<Incoming>) -> Result<DrainCommand, Refused> {
    let body = Limited::new(request.into_body(), wire::MAX_BODY);
    let arrived = tokio::time::timeout(HEAD_TIMEOUT, body.collect()).await;
    let body =
        arrived.map_err(|_| Refused::new("BadRequest", "the body took too long to arrive"))?.map_err(|error| {
            match error.downcast_ref::<http_body_util::LengthLimitError>() {
                Some(_) => Refused::new("TooLarge", format!("a command has at most {} bytes", wire::MAX_BODY)),
                None => Refused::new("BadRequest", "the body broke off"),
            }
        })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| Refused::new("BadRequest", format!("no drain command: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_quotes_no_more_than_a_line_of_what_a_client_wrote() {
        let unknown = format!("{{\"{}\": 1}}", "é".repeat(5_000));
        let error = serde_json::from_str::<DrainCommand>(&unknown).unwrap_err();
        let refused = Refused::new("BadRequest", format!("no drain command: {error}"));
        assert!((100..=200).contains(&refused.message.len()), "{}", refused.message);
    }

    #[test]
    fn garbage_of_one_source_is_bounded_and_takes_nothing_from_another() {
        let (garbage, now) = (Garbage::default(), Instant::now());
        let (attacker, controller) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([10, 0, 0, 1]));
        for _ in 0..MOST {
            assert_eq!(garbage.check(attacker, now), Ok(()));
            garbage.count(attacker, now);
        }
        assert!(garbage.check(attacker, now).is_err_and(|refused| refused.status() == 429));
        assert_eq!(garbage.check(controller, now), Ok(()));
        assert_eq!(garbage.check(attacker, now + PERIOD), Ok(()));
    }
}
