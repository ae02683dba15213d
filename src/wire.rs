//! The protocol between the controller and the sidecar: the in-flight report and the signed drain command.
//!
//! Plain HTTP with JSON on the sidecar's admin port. A report can be read by anybody; a command is obeyed only when an
//! Ed25519 key that the pod's owner trusts has signed it for this pod, this process ([`InFlightReport::boot`]) and this
//! very moment ([`InFlightReport::challenge`]), so nothing replays and no clock is compared (DESIGN 6).
//!
//! **Invariant:** nothing here opens a connection or reads a clock; both sides share these types and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// Version of this protocol, in every report. A controller that meets a higher one treats the sidecar as unknown.
pub const VERSION: u32 = 1;
/// The port that the Service sends traffic to.
pub const TRAFFIC_PORT: u16 = 8012;
/// The app's port, unless the sidecar is told another.
pub const APP_PORT: u16 = 8080;
/// The port of reports, commands, probes and metrics.
pub const ADMIN_PORT: u16 = 8022;
/// `GET`: the report. `?below=N&waitSeconds=S` answers as soon as fewer than N requests are in flight, at the latest after S seconds.
pub const IN_FLIGHT_PATH: &str = "/v1/in-flight";
/// `POST`: a [`DrainCommand`]; answers the [`InFlightReport`] after it, or a [`Refusal`] with status 403, 409, 400 or 429.
pub const DRAIN_PATH: &str = "/v1/drain";
/// The port of an address, or a port alone.
#[must_use]
pub fn port_of(address: &str) -> Option<u16> {
    address.rsplit(':').next()?.parse().ok()
}

/// The ports of a route `LISTEN=APP,PROTOCOL`: where the sidecar takes its traffic, and where the app does; the app has none
/// if it listens on a socket, `unix:PATH`.
#[must_use]
pub fn route_ports(route: &str) -> Option<(u16, Option<u16>)> {
    let (listen, rest) = route.split_once('=')?;
    Some((port_of(listen)?, port_of(rest.split(',').next()?)))
}

/// `GET`: answers when the app may go; the preStop hook of every container of the app.
pub const WAIT_DRAINED_PATH: &str = "/wait-drained";
/// The verb of the sidecar's program that waits for the same and then carries out the app's own hook.
pub const WAIT_DRAINED_VERB: &str = "wait-drained";
/// Largest body accepted in either direction, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// Longest lease that a sidecar grants, in seconds: a controller that dies leaves a pod out of its Services no longer.
pub const MAX_TTL_SECONDS: u32 = 300;

/// What a sidecar says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlightReport {
    /// [`VERSION`] of the sidecar.
    pub version: u32,
    /// UID of the pod it runs in.
    pub pod_uid: String,
    /// Random, new with every start of the process (32 hex digits). A changed one means: not cordoned, count unknown.
    pub boot: String,
    /// Random, new with every accepted command and every 30 s; good for 60 s (32 hex digits).
    pub challenge: String,
    /// Ids of the public keys it trusts.
    pub trusted_keys: Vec<String>,
    /// How it understands traffic; a sidecar that does not say is of the first version, which knew `http` alone.
    #[serde(default)]
    pub mode: Mode,
    /// What [`InFlightReport::in_flight`] counts, as [`Mode`] says: in `http` mode requests that have begun to arrive and are
    /// not yet answered to the last byte, reset, or closed as a tunnel, and never fewer than there are.
    pub in_flight: u64,
    /// Milliseconds since the last request arrived; absent when none has arrived since the start.
    pub last_arrival_ago_millis: Option<u64>,
    /// Mean gap between the requests of the last 60 s before the drain began (or before now, when there is none), in
    /// milliseconds; absent when fewer than two arrived.
    pub mean_gap_millis: Option<u64>,
    /// The drain lease in force.
    pub lease: Option<LeaseReport>,
    /// The pod is being terminated: the preStop hook has said so.
    pub terminating: bool,
    /// What the last probe of `/readyz` was answered: true ready, false not ready; absent when none came since the start, or
    /// the sidecar is older than this field. The kubelet may know it before the pod's status shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_probe: Option<bool>,
}

/// How a sidecar understands traffic, and so what it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// A relay of HTTP: requests, exactly.
    #[default]
    Http,
    /// A relay of anything: connections, exactly; an idle one is in flight until it closes.
    Tcp,
    /// No relay: the app's connections that are not idle, as the kernel's times of their last bytes tell. An estimate.
    Observe,
    /// One that this version does not know: the count is unknown, never the number that stands beside it.
    #[serde(other)]
    Unknown,
}

/// A drain lease as the sidecar's monotonic clock sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseReport {
    /// Milliseconds until it runs out.
    pub remaining_millis: u64,
    /// Milliseconds since the first command of this uninterrupted lease: the clock of `timeoutSeconds`, kept here so that
    /// it outlives the controller's process.
    pub draining_for_millis: u64,
    /// What happens to late requests.
    pub new_requests: NewRequests,
}

/// What a cordoned sidecar does with requests that still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NewRequests {
    /// They are served.
    Serve,
    /// They are answered 503 with `Retry-After`.
    Reject,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DrainAction {
    /// Be not ready, ask clients to go elsewhere; renews a lease in force.
    Drain,
    /// End the lease at once.
    Release,
}

/// A signed command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainCommand {
    /// UID of the pod that is meant.
    pub pod_uid: String,
    /// [`InFlightReport::boot`] of the process that is meant.
    pub boot: String,
    /// [`InFlightReport::challenge`] just read.
    pub challenge: String,
    /// What to do.
    pub action: DrainAction,
    /// Length of the lease in seconds, 1 to [`MAX_TTL_SECONDS`]; from reception, by the sidecar's monotonic clock.
    pub ttl_seconds: u32,
    /// What to do with late requests.
    pub new_requests: NewRequests,
    /// Id of the key that signed.
    pub key_id: String,
    /// Ed25519 over [`DrainCommand::message`], base64.
    pub signature: String,
}

/// Why a command was not obeyed; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// One word: `TooMany`, `UnknownKey`, `BadSignature`, `WrongPod`, `WrongBoot`, `WrongChallenge`, `Expired`, `BadRequest`, `TooLarge`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl DrainCommand {
    /// The bytes that are signed: each field on a line of its own under a domain line, so no two commands share them.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let Self { pod_uid, boot, challenge, action, ttl_seconds, new_requests, key_id, signature: _ } = self;
        let lines = format!(
            "restart-controller.dev/drain/v1\n{pod_uid}\n{boot}\n{challenge}\n{action:?}\n{ttl_seconds}\n{new_requests:?}\n{key_id}"
        );
        lines.into_bytes()
    }

    /// This command with its signature by `key`.
    #[must_use]
    pub fn signed(mut self, key: &SigningKey) -> Self {
        self.signature = BASE64.encode(key.sign(&self.message()).to_bytes());
        self
    }

    /// Whether `key` signed exactly this command.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let Ok(bytes) = BASE64.decode(&self.signature) else { return false };
        let Ok(signature) = Signature::from_slice(&bytes) else { return false };
        key.verify_strict(&self.message(), &signature).is_ok()
    }
}

/// A public key as sidecars get it in an argument: `ID=BASE64` of the 32 bytes.
///
/// # Errors
/// A sentence that names what is wrong with `text`.
pub fn parse_public_key(text: &str) -> Result<(String, VerifyingKey), String> {
    let (id, encoded) = text.split_once('=').ok_or_else(|| format!("key {text:?} is not of the form ID=BASE64"))?;
    let bytes = BASE64.decode(encoded).map_err(|error| format!("key {id:?} is not base64: {error}"))?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| format!("key {id:?} is not 32 bytes long"))?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|error| format!("key {id:?} is no Ed25519 key: {error}"))?;
    Ok((id.to_owned(), key))
}

/// The form that [`parse_public_key`] reads.
#[must_use]
pub fn format_public_key(id: &str, key: &VerifyingKey) -> String {
    format!("{id}={}", BASE64.encode(key.as_bytes()))
}

/// 128 random bits as 32 hex digits: boot ids and challenges.
///
/// # Panics
/// When the operating system has no randomness, without which no command may be accepted.
#[must_use]
pub fn random_id() -> String {
    use std::fmt::Write as _;
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> DrainCommand {
        DrainCommand {
            pod_uid: "uid".into(),
            boot: "boot".into(),
            challenge: "challenge".into(),
            action: DrainAction::Drain,
            ttl_seconds: 30,
            new_requests: NewRequests::Serve,
            key_id: "k1".into(),
            signature: String::new(),
        }
    }

    #[test]
    fn a_signed_command_is_accepted_by_its_key_alone() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signed = command().signed(&key);
        assert!(signed.is_signed_by(&key.verifying_key()));
        assert!(!signed.is_signed_by(&SigningKey::from_bytes(&[8; 32]).verifying_key()));
    }

    #[test]
    fn changing_any_field_breaks_the_signature() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signed = command().signed(&key);
        let changed = [
            DrainCommand { pod_uid: "other".into(), ..signed.clone() },
            DrainCommand { boot: "other".into(), ..signed.clone() },
            DrainCommand { challenge: "other".into(), ..signed.clone() },
            DrainCommand { action: DrainAction::Release, ..signed.clone() },
            DrainCommand { ttl_seconds: 31, ..signed.clone() },
            DrainCommand { new_requests: NewRequests::Reject, ..signed.clone() },
            DrainCommand { key_id: "k2".into(), ..signed },
        ];
        assert!(changed.iter().all(|command| !command.is_signed_by(&key.verifying_key())));
    }

    #[test]
    fn reports_of_older_and_newer_sidecars_are_understood() {
        let old = r#"{"version":1,"podUid":"u","boot":"b","challenge":"c","trustedKeys":[],"inFlight":3,
            "lastArrivalAgoMillis":null,"meanGapMillis":null,"lease":null,"terminating":false}"#;
        let report: InFlightReport = serde_json::from_str(old).unwrap();
        assert_eq!((report.mode, report.in_flight), (Mode::Http, 3));
        let newer = old.replace("\"inFlight\"", "\"more\":[],\"mode\":\"Quic\",\"inFlight\"");
        assert_eq!(serde_json::from_str::<InFlightReport>(&newer).unwrap().mode, Mode::Unknown);
    }

    #[test]
    fn what_the_last_probe_was_answered_is_absent_with_older_peers_on_either_side() {
        let old = r#"{"version":1,"podUid":"u","boot":"b","challenge":"c","trustedKeys":[],"mode":"Http","inFlight":3,"lastArrivalAgoMillis":null,"meanGapMillis":null,"lease":null,"terminating":false}"#;
        let report: InFlightReport = serde_json::from_str(old).unwrap();
        assert_eq!(report.last_probe, None);
        assert_eq!(serde_json::to_string(&report).unwrap(), old, "an older controller sees what it saw");
        for said in [true, false] {
            let probed = InFlightReport { last_probe: Some(said), ..report.clone() };
            let text = serde_json::to_string(&probed).unwrap();
            assert!(text.contains(&format!("\"lastProbe\":{said}")), "{text}");
            assert_eq!(serde_json::from_str::<InFlightReport>(&text).unwrap(), probed);
        }
    }

    #[test]
    fn a_public_key_survives_its_text_form() {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        assert_eq!(parse_public_key(&format_public_key("k1", &key)), Ok(("k1".to_owned(), key)));
        assert!(parse_public_key("k1").is_err_and(|error| error.contains("ID=BASE64")));
    }
}
