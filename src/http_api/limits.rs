//! What one caller may take: size, rate and time.
//!
//! **Invariant:** a limit is answered with a refusal that says so; nothing waits behind it.

use super::Shared;
use super::caller::bearer;
use super::callers::{Callers, Who};
use super::error::ApiError;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The largest body; one that fills every field has four kilobytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Longest time until an answer begins, the body of the request included.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for the name of a token's user.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Addresses that are remembered before those that have been quiet are forgotten.
const ADDRESSES: usize = 4096;

/// The rates of all callers.
#[derive(Debug)]
pub struct Limits {
    /// Of users.
    pub callers: Callers,
    /// Of addresses from which somebody comes who is not known.
    rates: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
}

impl Limits {
    /// So many requests per second of a user, or of an address where no user is known; twice as many at once.
    pub fn new(per_second: NonZeroU32) -> Self {
        let quota =
            Quota::per_second(per_second).allow_burst(per_second.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        Self { callers: Callers::new(quota), rates: RateLimiter::hashmap(quota) }
    }

    fn allows(&self, address: IpAddr) -> bool {
        if self.rates.len() > ADDRESSES {
            self.rates.retain_recent();
        }
        self.rates.check_key(&network(address)).is_ok()
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

/// The rate: of the user whose token it is, or, until the API server has said whose, of the address that the connection comes
/// from. So users behind one proxy do not share a rate, and tokens that nobody has cost no more than none.
pub async fn not_too_often(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let (limits, peer) = (&shared.limits, request.extensions().get::<SocketAddr>().map(SocketAddr::ip));
    let token = bearer(request.headers()).ok().map(str::to_owned);
    let mut who = token.as_ref().and_then(|token| limits.callers.of(token, Instant::now()));
    if who.is_none() {
        if peer.is_some_and(|address| !limits.allows(address)) {
            return ApiError::too_often("this address").into_response();
        }
        who = match &token {
            Some(token) => known(&shared, token).await,
            None => None,
        };
    }
    if who.as_ref().is_some_and(|who| !limits.callers.allows(who)) {
        return ApiError::too_often("you").into_response();
    }
    let address = || Who(peer.map(|peer| network(peer).to_string()).unwrap_or_default());
    request.extensions_mut().insert(who.unwrap_or_else(address));
    next.run(request).await
}

/// Whose token it is, asked of the API server with that token; absent if it does not say.
async fn known(shared: &Shared, token: &str) -> Option<Who> {
    let asked = tokio::time::timeout(ASK_LIMIT, shared.server.user(token)).await;
    let who = Who(asked.ok().flatten()?);
    shared.limits.callers.remember(token, who.clone(), Instant::now());
    Some(who)
}

/// The time until an answer begins; a stream of events goes on after that.
pub async fn in_time(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(TIME_LIMIT, next.run(request)).await;
    answered.unwrap_or_else(|_| ApiError::too_late().into_response())
}

/// The size of a body.
pub fn body() -> DefaultBodyLimit {
    DefaultBodyLimit::max(BODY_LIMIT)
}

/// A body of JSON, refused as everything here is.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = axum::Json::from_request(request, state).await;
        read.map(|axum::Json(body)| Self(body)).map_err(|why| ApiError::unreadable(why.status(), why.body_text()))
    }
}

/// A query, refused as everything here is.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> axum::extract::FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, ApiError> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(query)| Self(query))
            .map_err(|why| ApiError::unreadable(why.status(), why.body_text()))
    }
}

/// A namespace and a restart in it, of a path, refused as everything here is.
pub struct Place(pub String, pub String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Place {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, ApiError> {
        let read = axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path((namespace, id))| Self(namespace, id))
            .map_err(|why| ApiError::unreadable(why.status(), why.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_that_asks_too_often_is_refused_and_others_are_not() {
        let limits = Limits::new(NonZeroU32::new(5).unwrap());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((0..100).filter(|_| limits.allows(one)).count(), 10);
        assert!(limits.allows(other));
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_count_as_one() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}
