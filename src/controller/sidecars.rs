//! The controller's side of the sidecar's admin port: read a report, send a signed command.
//!
//! **Invariant:** what a pod answers is never trusted beyond its own restart: only pod addresses are called, nothing is
//! followed, a body has a cap and a time limit, and a report of another pod is an error, not a count.

use super::hooks::address;
use super::leader::{Leader, NotLeading};
use super::shares::{Place, Shares};
use crate::wire::{
    ADMIN_PORT, DRAIN_PATH, DrainCommand, IN_FLIGHT_PATH, InFlightReport, MAX_BODY, Mode, Refusal, VERSION,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest wait for a sidecar, from the connection to the last byte of its answer.
pub const LIMIT: Duration = Duration::from_secs(2);
/// Calls of one kind under way at any time for one namespace: five hundred sidecars that answer are asked within a second,
/// and as many that do not answer keep these places and no others.
const OF_ONE_NAMESPACE: usize = 32;
/// The same for all namespaces.
const OF_ALL: usize = 512;
/// Longest wait for one of these places. It is counted apart from [`LIMIT`], so that a sidecar that answers is not called
/// silent because of others, and no pass waits for longer than both together.
pub const PLACE_LIMIT: Duration = Duration::from_secs(8);

/// Refusals that the next command meets as well: [`Refusal::reason`]. Others are about the moment, such as a challenge that
/// has changed or too many commands from one address, or are not of this protocol.
const FINAL: [&str; 3] = ["UnknownKey", "BadSignature", "WrongPod"];

/// Why a sidecar's answer cannot be used: its pod's count is unknown, never zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SidecarError {
    /// The pod's address is none, or none of a pod.
    #[error("{0:?} is not the address of a pod on the pod network")]
    Address(String),
    /// No connection, or it broke.
    #[error("the sidecar at {at} cannot be reached: {why}")]
    Unreachable {
        /// Its address.
        at: String,
        /// What the network said.
        why: String,
    },
    /// A command that is not ours to give any more.
    #[error("the command to the sidecar at {0} was {NotLeading}")]
    NotLeading(String),
    /// Nothing in time.
    #[error("the sidecar at {at} did not answer within {limit} s", limit = limit.as_secs())]
    Timeout {
        /// Its address.
        at: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It answered, but not as the protocol says.
    #[error("the sidecar at {at} gave an answer that cannot be used: {why}")]
    Malformed {
        /// Its address.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// It was not called: too many others of its namespace have yet to answer.
    #[error(
        "the sidecar at {at} was not asked: other sidecars of its namespace did not answer, and their calls took all \
         {OF_ONE_NAMESPACE} places for {limit} s; does a NetworkPolicy keep the controller from port {ADMIN_PORT}?",
        limit = PLACE_LIMIT.as_secs()
    )]
    NoPlace {
        /// Its address.
        at: String,
    },
    /// Its protocol is newer than ours.
    #[error(
        "the sidecar at {at} speaks version {version} of the protocol, this controller {VERSION}: upgrade the controller"
    )]
    Version {
        /// Its address.
        at: String,
        /// Its version.
        version: u32,
    },
    /// It counts something that this controller does not know of.
    #[error("the sidecar at {0} runs in a mode that this controller does not know: upgrade the controller")]
    Mode(String),
    /// Another pod answered at this address.
    #[error("at {at} pod {found} answered instead of {expected}")]
    WrongPod {
        /// The address.
        at: String,
        /// Who was meant.
        expected: String,
        /// Who answered.
        found: String,
    },
    /// It refused the command; nothing changed.
    #[error("the sidecar at {at} refused the command ({reason}): {message}")]
    Refused {
        /// Its address.
        at: String,
        /// [`Refusal::reason`].
        reason: String,
        /// [`Refusal::message`].
        message: String,
    },
}

impl SidecarError {
    /// Whether the sidecar refuses this controller whatever it is told: another challenge or boot id makes no difference.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { reason, .. } => FINAL.contains(&reason.as_str()),
            Self::Address(_)
            | Self::Unreachable { .. }
            | Self::NotLeading(_)
            | Self::Timeout { .. }
            | Self::NoPlace { .. }
            | Self::Malformed { .. }
            | Self::Version { .. }
            | Self::Mode(_)
            | Self::WrongPod { .. } => false,
        }
    }

    /// One word for the metric's label.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Unreachable { .. } => "unreachable",
            Self::NotLeading(_) => "not_leading",
            Self::Timeout { .. } => "timeout",
            Self::NoPlace { .. } => "no_place",
            Self::Malformed { .. } => "malformed",
            Self::Version { .. } => "version",
            Self::Mode(_) => "mode",
            Self::WrongPod { .. } => "wrong_pod",
            Self::Refused { .. } => "refused",
        }
    }
}

/// Calls sidecars, some of each namespace at a time.
#[derive(Clone, Debug)]
pub struct Sidecars {
    reports: Shares,
    /// Of their own, so that a cordon or a release does not queue behind the questions to a whole workload.
    commands: Shares,
    leader: Leader,
    loopback_allowed: bool,
    /// Asks through the API server, from where pods cannot be reached.
    through: Option<Through>,
}

#[derive(Clone)]
struct Through(kube::Client);

impl std::fmt::Debug for Through {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the API server")
    }
}

impl Sidecars {
    /// Commands them while `leader` leads.
    #[must_use]
    pub fn new(leader: Leader) -> Self {
        let shares = || Shares::new(OF_ONE_NAMESPACE, OF_ALL);
        Self { reports: shares(), commands: shares(), leader, loopback_allowed: false, through: None }
    }

    /// The same through the API server's proxy, with the rights of `client`: from a person's machine.
    #[must_use]
    pub fn through(self, client: kube::Client) -> Self {
        Self { through: Some(Through(client)), ..self }
    }

    /// For tests: sidecars on this machine.
    #[cfg(test)]
    pub(super) fn on_loopback() -> Self {
        Self { loopback_allowed: true, ..Self::new(Leader::always()) }
    }

    /// The port of a sidecar whose pod does not say otherwise.
    pub const PORT: u16 = ADMIN_PORT;

    /// What the sidecar of this pod says of itself.
    ///
    /// # Errors
    /// Whatever keeps the count unknown.
    pub async fn of_pod(&self, pod: &Pod) -> Result<InFlightReport, SidecarError> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default();
        if let Some(Through(client)) = &self.through {
            let _place = place(&self.reports, namespace, ip).await?;
            proxied(client, pod, uid).await
        } else {
            self.report(namespace, ip, Self::PORT, uid).await
        }
    }

    /// What the sidecar of pod `pod_uid` of that namespace, at `ip`, says of itself.
    ///
    /// # Errors
    /// Whatever keeps the count unknown.
    pub async fn report(
        &self,
        namespace: &str,
        ip: &str,
        port: u16,
        pod_uid: &str,
    ) -> Result<InFlightReport, SidecarError> {
        let request = Request::get(IN_FLIGHT_PATH).body(Full::default());
        let address = SocketAddr::new(self.checked(ip)?, port);
        let _place = place(&self.reports, namespace, ip).await?;
        called(address, pod_uid, request, LIMIT).await
    }

    /// As [`Sidecars::report`], but answered when no request is in flight, at the latest after `wait` (whole seconds).
    ///
    /// # Errors
    /// As [`Sidecars::report`].
    pub async fn at_zero(
        &self,
        ip: &str,
        port: u16,
        pod_uid: &str,
        wait: Duration,
    ) -> Result<InFlightReport, SidecarError> {
        let path = format!("{IN_FLIGHT_PATH}?below=1&waitSeconds={}", wait.as_secs());
        let address = SocketAddr::new(self.checked(ip)?, port);
        // Without a permit: it would keep one for as long as it waits.
        called(address, pod_uid, Request::get(path).body(Full::default()), wait + LIMIT).await
    }

    /// Whether a command would be sent now.
    #[must_use]
    pub fn may_command(&self) -> bool {
        self.leader.leading()
    }

    /// Sends `command`; the report is the one after it.
    ///
    /// # Errors
    /// [`SidecarError::Refused`] when the sidecar did not obey; else as [`Sidecars::report`], and then it may have obeyed.
    pub async fn command(
        &self,
        namespace: &str,
        ip: &str,
        port: u16,
        command: &DrainCommand,
    ) -> Result<InFlightReport, SidecarError> {
        let address = SocketAddr::new(self.checked(ip)?, port);
        let _place = place(&self.commands, namespace, ip).await?;
        if !self.may_command() {
            return Err(SidecarError::NotLeading(ip.to_owned()));
        }
        let body = serde_json::to_vec(command).map_err(|error| malformed(ip, &error))?;
        let request = Request::post(DRAIN_PATH).header("content-type", "application/json").body(Full::from(body));
        called(address, &command.pod_uid, request, LIMIT).await
    }

    /// A tenant decides what answers; nobody may point the controller at itself or a cloud's metadata service.
    fn checked(&self, ip: &str) -> Result<IpAddr, SidecarError> {
        let refused = || SidecarError::Address(ip.to_owned());
        let address: IpAddr = ip.parse::<IpAddr>().map_err(|_| refused())?.to_canonical();
        let permitted = address.is_loopback() && self.loopback_allowed || address::refusal(address).is_none();
        permitted.then_some(address).ok_or_else(refused)
    }
}

/// A place for one call, waited for with a limit of its own.
async fn place(places: &Shares, namespace: &str, ip: &str) -> Result<Place, SidecarError> {
    match tokio::time::timeout(PLACE_LIMIT, places.place(namespace)).await {
        Ok(place) => place.map_err(|error| unreachable(ip, &error)),
        Err(_) => Err(SidecarError::NoPlace { at: ip.to_owned() }),
    }
}

/// Asked through the API server, which says itself what it may not or cannot do.
async fn proxied(client: &kube::Client, pod: &Pod, uid: &str) -> Result<InFlightReport, SidecarError> {
    let metadata = &pod.metadata;
    let (namespace, name) =
        (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let at = format!("pods/{name}:{}/proxy", Sidecars::PORT);
    let path = format!("/api/v1/namespaces/{namespace}/{at}{IN_FLIGHT_PATH}");
    let request = Request::get(path).body(vec![]).map_err(|error| malformed(&at, &error))?;
    let answered = tokio::time::timeout(2 * LIMIT, client.request_text(request)).await;
    let answered = answered.map_err(|_| SidecarError::Timeout { at: at.clone(), limit: 2 * LIMIT })?;
    let body = answered.map_err(|error| match &error {
        kube::Error::Api(status) => unreachable(&at, &clipped(&status.message)),
        _ => unreachable(&at, &error),
    })?;
    verdict(&at, uid, StatusCode::OK, body.as_bytes())
}

async fn called(
    address: SocketAddr,
    pod_uid: &str,
    request: hyper::http::Result<Request<Full<Bytes>>>,
    limit: Duration,
) -> Result<InFlightReport, SidecarError> {
    let at = address.to_string();
    let mut request = request.map_err(|error| malformed(&at, &error))?;
    let host = at.parse().map_err(|error| malformed(&at, &error))?;
    request.headers_mut().insert(hyper::header::HOST, host);
    let answered = tokio::time::timeout(limit, answer(address, request)).await;
    let (status, body) = answered.map_err(|_| SidecarError::Timeout { at: at.clone(), limit })??;
    verdict(&at, pod_uid, status, &body)
}

/// One connection per call: a drained pod's sidecar is asked about once a second, and a connection kept would be in the
/// way of its termination.
async fn answer(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), SidecarError> {
    let at = address.to_string();
    let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&at, &error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(&at, &error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| unreachable(&at, &error))?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(|error| malformed(&at, &error))?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answered = &mut exchange => answered,
        // The connection ends first when the answer says so; what was read of it is still there.
        _ = connection => exchange.await,
    }
}

#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

fn verdict(at: &str, pod_uid: &str, status: StatusCode, body: &[u8]) -> Result<InFlightReport, SidecarError> {
    if status != StatusCode::OK {
        return Err(refusal(at, status, body));
    }
    // The version first: the rest of a newer report may not even parse.
    let Versioned { version } = serde_json::from_slice(body).map_err(|error| malformed(at, &error))?;
    if version > VERSION {
        return Err(SidecarError::Version { at: at.to_owned(), version });
    }
    let report: InFlightReport = serde_json::from_slice(body).map_err(|error| malformed(at, &error))?;
    if report.pod_uid != pod_uid {
        let (expected, found) = (pod_uid.to_owned(), clipped(&report.pod_uid));
        return Err(SidecarError::WrongPod { at: at.to_owned(), expected, found });
    }
    if report.mode == Mode::Unknown {
        return Err(SidecarError::Mode(at.to_owned()));
    }
    Ok(report)
}

fn refusal(at: &str, status: StatusCode, body: &[u8]) -> SidecarError {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { reason, message }) if status.is_client_error() => {
            SidecarError::Refused { at: at.to_owned(), reason: clipped(&reason), message: clipped(&message) }
        }
        Ok(_) | Err(_) => malformed(at, &format!("HTTP status {status}")),
    }
}

/// A tenant's text goes into status and logs: short, and on one line.
fn clipped(text: &str) -> String {
    text.chars().take(200).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn malformed(at: &str, why: &impl ToString) -> SidecarError {
    SidecarError::Malformed { at: at.to_owned(), why: clipped(&why.to_string()) }
}

fn unreachable(at: &str, why: &impl ToString) -> SidecarError {
    SidecarError::Unreachable { at: at.to_owned(), why: why.to_string() }
}

#[cfg(test)]
#[path = "sidecars_tests.rs"]
mod tests;
