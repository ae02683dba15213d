//! Who asks: a client of the API server made of the request's bearer token, for this request alone.
//!
//! **Invariant:** of the server's own credentials nothing goes into that client: only the API server's address and the
//! authority that its certificate is signed by. So a caller has the rights of their token and no other.

use super::Shared;
use super::error::ApiError;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube::config::AuthInfo;
use kube::{Client, Config};
use std::time::Duration;

/// The longest token that is looked at; one of a service account has about a thousand characters.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Longest wait for a connection to the API server.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Above the time that a watch lasts at most.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// The way to the API server, without any credentials.
#[derive(Clone, Debug)]
pub struct Server {
    config: Config,
}

impl Server {
    /// The API server that the environment names: that of the pod's cluster, or of a kubeconfig.
    pub async fn infer() -> Result<Self, String> {
        let config = Config::infer().await.map_err(|error| format!("no way to the API server: {error}"))?;
        Ok(Self::of(config))
    }

    fn of(mut config: Config) -> Self {
        config.auth_info = AuthInfo::default();
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.write_timeout = Some(CONNECT_LIMIT);
        config.read_timeout = Some(IDLE_LIMIT);
        config.reset_reader_on_write = true;
        Self { config }
    }

    /// The name of the user whose token this is, as the API server says; absent if it does not.
    pub async fn user(&self, token: &str) -> Option<String> {
        let reviews: Api<SelfSubjectReview> = Api::all(Client::try_from(self.with(token)).ok()?);
        let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let user = review.ok()?.status?.user_info?;
        user.username.filter(|name| !name.is_empty())
    }

    fn with(&self, token: &str) -> Config {
        let mut config = self.config.clone();
        config.auth_info.token = Some(token.to_owned().into());
        config
    }
}

/// Whoever sent the request.
pub struct Caller {
    /// The API server, asked with the caller's token.
    pub client: Client,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers)?;
        let client = Client::try_from(shared.server.with(token));
        Ok(Self { client: client.map_err(|error| ApiError::from_kube("ask the API server", &error))? })
    }
}

/// The token of a request's header.
pub fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let header = headers.get(AUTHORIZATION);
    let missing = "who asks? send the header `Authorization: Bearer TOKEN` with a token of the cluster";
    let text = header.and_then(|value| value.to_str().ok()).ok_or_else(|| ApiError::unknown_caller(missing))?;
    let (scheme, token) = text.split_once(' ').ok_or_else(|| ApiError::unknown_caller(missing))?;
    let token = token.trim();
    let known = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= LONGEST_TOKEN;
    // RFC 6750 2.1.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if known && token.bytes().all(plain) { Ok(token) } else { Err(ApiError::unknown_caller(missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn parts(value: &str) -> HeaderMap {
        Request::builder().header(AUTHORIZATION, value).body(()).unwrap().into_parts().0.headers
    }

    #[test]
    fn only_a_bearer_token_names_a_caller() {
        assert_eq!(bearer(&parts("Bearer abc.def-ghi")).unwrap(), "abc.def-ghi");
        assert_eq!(bearer(&parts("bearer abc")).unwrap(), "abc");
        for bad in ["", "Bearer", "Bearer ", "Basic YTpi", "abc", "Bearer a b", "Bearer a,b", "Bearer \"a\""] {
            assert!(bearer(&parts(bad)).is_err(), "{bad:?}");
        }
        assert!(bearer(&parts(&format!("Bearer {}", "a".repeat(LONGEST_TOKEN + 1)))).is_err());
        assert!(bearer(&HeaderMap::new()).is_err());
    }

    #[test]
    fn nothing_of_the_servers_own_credentials_is_in_a_callers_client() {
        let mut config = Config::new("https://192.0.2.10:6443".parse().unwrap());
        config.root_cert = Some(vec![vec![1]]);
        config.auth_info = serde_json::from_value(serde_json::json!({
            "token": "own", "tokenFile": "own", "client-certificate": "own", "client-key": "own", "as": "own",
            "client-certificate-data": "own", "client-key-data": "own", "username": "own", "password": "own",
            "exec": {"command": "own"}, "auth-provider": {"name": "own", "config": {}}, "as-groups": ["own"],
        }))
        .unwrap();
        let with = Server::of(config).with("theirs");
        let written = serde_json::to_string(&with.auth_info).unwrap();
        assert!(!written.contains("own") && written.contains("theirs"), "{written}");
        assert_eq!(with.root_cert, Some(vec![vec![1]]));
    }
}
