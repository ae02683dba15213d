//! What a run is asked to do, and its bounds.
//!
//! **Invariant:** a run always ends: its length is bounded, and so are its rate and its number of requests.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

const HIGHEST_RATE: f64 = 10_000.0;
const LONGEST_SECONDS: u64 = 3_600;
const MOST_REQUESTS: u64 = 2_000_000;

/// The body of `POST /start`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spec {
    /// Names the run; part of every request's id.
    pub name: String,
    /// `http://IP:port`, `IP:port`, or the name of a Service of the same namespace that is older than this pod.
    pub target: String,
    /// Requests due per second.
    pub rate_per_second: f64,
    /// Ends the run after so many requests.
    pub count: Option<u64>,
    /// Ends the run after so long; with `count` whichever comes first.
    pub seconds: Option<u64>,
    /// How long the service takes over a request; absent: as the service is configured.
    pub work_millis: Option<u32>,
    /// The share of requests that bring a connection of their own.
    pub new_connections: f64,
    /// The share of requests with a body that comes slowly, in the request, the answer or both.
    pub slow_bodies: f64,
    /// The share of requests that are POST.
    pub post: f64,
    /// The longest wait for a complete answer.
    pub timeout_millis: u64,
    /// The longest wait for a connection, which ends with the fate of the first SYN: a retransmission goes where it went.
    pub connect_timeout_millis: u64,
    /// How long after the start of sending a kept connection's end can still be the idle close of RFC 9112 9.5.
    pub idle_race_millis: u64,
    /// Whether a 503 that says Retry-After is obeyed: the request is sent again after that time, on a new connection.
    pub retry_after: bool,
    /// Whether the service reports to our ledger; false: the answers alone are judged.
    pub ledger: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            name: "load".into(),
            target: String::new(),
            rate_per_second: 0.0,
            count: None,
            seconds: None,
            work_millis: None,
            new_connections: 0.5,
            slow_bodies: 0.05,
            post: 0.3,
            timeout_millis: 30_000,
            connect_timeout_millis: 5_000,
            idle_race_millis: 100,
            retry_after: false,
            ledger: true,
        }
    }
}

impl Spec {
    /// Refuses what is out of bounds; returns the address to send to.
    pub fn check(&self) -> Result<SocketAddr, String> {
        let plain = self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if self.name.is_empty() || self.name.len() > 40 || !plain {
            return Err("name must be 1 to 40 letters, digits or dashes".into());
        }
        if !(self.rate_per_second > 0.0 && self.rate_per_second <= HIGHEST_RATE) {
            return Err(format!("ratePerSecond must be above 0 and at most {HIGHEST_RATE}"));
        }
        for (key, share) in
            [("newConnections", self.new_connections), ("slowBodies", self.slow_bodies), ("post", self.post)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{key} is a share from 0 to 1, not {share}"));
            }
        }
        self.check_length()?;
        address(&self.target, |name| std::env::var(name).ok())
    }

    fn check_length(&self) -> Result<(), String> {
        if self.count.is_none() && self.seconds.is_none() {
            return Err("give count, seconds or both".into());
        }
        if self.requests() == 0 || self.requests() > MOST_REQUESTS {
            return Err(format!("a run has 1 to {MOST_REQUESTS} requests, not {}", self.requests()));
        }
        if self.due(self.requests()) > Duration::from_secs(LONGEST_SECONDS) {
            return Err(format!(
                "a run lasts at most {LONGEST_SECONDS} s, not {:.0}",
                self.due(self.requests()).as_secs_f64()
            ));
        }
        Ok(())
    }

    /// The number of requests of the whole run.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn requests(&self) -> u64 {
        let by_time = self.seconds.map_or(u64::MAX, |seconds| (seconds as f64 * self.rate_per_second).ceil() as u64);
        self.count.unwrap_or(u64::MAX).min(by_time)
    }

    /// When a request is due, from the start of the run.
    #[allow(clippy::cast_precision_loss)]
    pub fn due(&self, index: u64) -> Duration {
        Duration::from_secs_f64(index as f64 / self.rate_per_second)
    }
}

/// A numeric address, or that of a Service by the environment that Kubernetes gives to pods younger than it.
fn address(target: &str, environment: impl Fn(&str) -> Option<String>) -> Result<SocketAddr, String> {
    let place = target.strip_prefix("http://").unwrap_or(target).trim_end_matches('/');
    let with_port = if place.parse::<std::net::IpAddr>().is_ok() { format!("{place}:80") } else { place.into() };
    if let Ok(address) = with_port.parse() {
        return Ok(address);
    }
    let prefix = place.to_uppercase().replace('-', "_");
    let value = |end: &str| environment(&format!("{prefix}_SERVICE_{end}"));
    let service = value("HOST").zip(value("PORT")).and_then(|(host, port)| format!("{host}:{port}").parse().ok());
    service.ok_or_else(|| {
        format!("target {target:?} is neither IP:port nor a Service in this pod's environment ({prefix}_SERVICE_HOST)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec { target: "10.0.0.1:80".into(), rate_per_second: 100.0, seconds: Some(10), ..Spec::default() }
    }

    #[test]
    fn a_run_has_as_many_requests_as_its_rate_and_time_give() {
        assert_eq!(spec().requests(), 1000);
        assert_eq!(Spec { count: Some(7), ..spec() }.requests(), 7);
        assert_eq!(spec().due(50), Duration::from_millis(500));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        assert!(spec().check().is_ok());
        for bad in [
            Spec { rate_per_second: 10_001.0, ..spec() },
            Spec { rate_per_second: f64::NAN, ..spec() },
            Spec { rate_per_second: 0.0, ..spec() },
            Spec { seconds: Some(3_601), rate_per_second: 1.0, ..spec() },
            Spec { seconds: None, ..spec() },
            Spec { seconds: None, count: Some(u64::MAX), ..spec() },
            Spec { seconds: None, count: Some(2_000_001), rate_per_second: 10_000.0, ..spec() },
            Spec { seconds: None, count: Some(2_000), rate_per_second: 0.1, ..spec() },
            Spec { post: 1.5, ..spec() },
            Spec { target: "web".into(), ..spec() },
            Spec { name: "a b".into(), ..spec() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_target_is_an_address_or_a_service_of_the_environment() {
        let none = |_: &str| None;
        assert_eq!(address("http://10.0.0.1:81/", none).unwrap().to_string(), "10.0.0.1:81");
        assert_eq!(address("10.0.0.1", none).unwrap().to_string(), "10.0.0.1:80");
        let some = |name: &str| match name {
            "MY_WEB_SERVICE_HOST" => Some("10.0.0.2".to_string()),
            "MY_WEB_SERVICE_PORT" => Some("82".to_string()),
            _ => None,
        };
        assert_eq!(address("my-web", some).unwrap().to_string(), "10.0.0.2:82");
    }
}
