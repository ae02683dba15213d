//! Refusals: the HTTP status that fits, `success: false`, a code of the table and a sentence.
//!
//! **Invariant:** the sentence is ours or the API server's about the caller's own call; never a token, never a dump.

use super::wire::Refusal;
use crate::api::Code;
use crate::client;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code in the body.
    pub code: Code,
    /// The sentence in the body.
    pub message: String,
}

impl ApiError {
    /// A refusal with the status that fits the code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { status: fitting(code), code, message: message.into() }
    }

    fn with(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// What was sent cannot be meant.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::with(StatusCode::BAD_REQUEST, Code::InvalidSpec, message)
    }

    /// What was sent is not understood: too large, no JSON, another type.
    pub fn unreadable(status: StatusCode, message: impl Into<String>) -> Self {
        // 422 is what a well-formed body beyond the limits gets; of a body that does not parse it is 400.
        let status = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
        Self::with(status, Code::InvalidSpec, message)
    }

    /// Nobody has said who asks, or the API server does not know them.
    pub fn unknown_caller(message: impl Into<String>) -> Self {
        Self::with(StatusCode::UNAUTHORIZED, Code::Forbidden, message)
    }

    /// There is no such restart.
    pub fn no_such_run(namespace: &str, name: &str) -> Self {
        Self::not_there(format!("there is no restart {name} in namespace {namespace}"))
    }

    /// There is no such restart, but perhaps another.
    pub fn not_there(message: impl Into<String>) -> Self {
        Self::with(StatusCode::NOT_FOUND, Code::InvalidSpec, message)
    }

    /// There is no such path.
    pub fn no_such_path() -> Self {
        let message = "there is nothing here: /openapi.json lists the paths, / is the page";
        Self::with(StatusCode::NOT_FOUND, Code::InvalidSpec, message)
    }

    /// The path has other methods.
    pub fn no_such_method() -> Self {
        let message = "this path has other methods: see the header Allow, and /openapi.json";
        Self::with(StatusCode::METHOD_NOT_ALLOWED, Code::InvalidSpec, message)
    }

    /// The caller sends more than the server takes.
    pub fn too_often(who: &str) -> Self {
        let message =
            format!("too many requests from {who}: wait a second, or follow /api/restart/events in place of polling");
        Self::with(StatusCode::TOO_MANY_REQUESTS, Code::InvalidSpec, message)
    }

    /// The caller follows more streams than one may.
    pub fn too_many_streams() -> Self {
        let message =
            "too many open streams of /api/restart/events: close some of yours, or watch a whole namespace with one";
        Self::with(StatusCode::TOO_MANY_REQUESTS, Code::InvalidSpec, message)
    }

    /// No answer came in time.
    pub fn too_late() -> Self {
        let message = "no answer within ten seconds; what was asked for may have been done: ask for the status";
        Self::with(StatusCode::GATEWAY_TIMEOUT, Code::Internal, message)
    }

    /// What the API server answered, or that it did not. `what` says what was attempted, on which object.
    pub fn from_kube(what: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(answer) => Self::from_api(what, answer),
            kube::Error::Auth(_) | kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => {
                Self::unknown_caller("this is not a bearer token")
            }
            _ => {
                tracing::warn!(%error, what, "the API server cannot be asked");
                Self::with(StatusCode::BAD_GATEWAY, Code::Internal, format!("{what}: the API server cannot be asked"))
            }
        }
    }

    fn from_api(what: &str, answer: &kube::core::Status) -> Self {
        let message = format!("{what}: {}", client::sentence(answer));
        match answer.code {
            401 => Self::unknown_caller("the API server does not know this token: log in again"),
            403 => Self::with(StatusCode::FORBIDDEN, Code::Forbidden, message),
            404 => Self::with(StatusCode::NOT_FOUND, Code::TargetInvalid, message),
            409 => Self::with(StatusCode::CONFLICT, Code::Internal, message),
            400 | 422 => Self::with(StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidSpec, message),
            429 | 503 => Self::with(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, message),
            _ => Self::with(StatusCode::BAD_GATEWAY, Code::Internal, message),
        }
    }
}

impl From<client::Error> for ApiError {
    fn from(error: client::Error) -> Self {
        match (&error, error.code()) {
            (client::Error::Kube { what, source }, _) => Self::from_kube(what, source),
            (_, code) => Self::new(code.unwrap_or(Code::Internal), error.to_string()),
        }
    }
}

/// The HTTP status of a code.
fn fitting(code: Code) -> StatusCode {
    match code {
        Code::AlreadyRestarting
        | Code::CancelRejected
        | Code::LastEndpoint
        | Code::BudgetExhausted
        | Code::ConfigDrift
        | Code::RestoreConflict
        | Code::RolloutConflict => StatusCode::CONFLICT,
        Code::ValidationFailed | Code::InvalidSpec => StatusCode::UNPROCESSABLE_ENTITY,
        Code::TargetInvalid => StatusCode::NOT_FOUND,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::DrainTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::SidecarUnavailable | Code::ReplacementUnhealthy | Code::HookFailed => StatusCode::SERVICE_UNAVAILABLE,
        Code::BackupFailed | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(Refusal { success: false, code: self.code, message: self.message });
        let mut response = (self.status, body).into_response();
        let extra = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        };
        response.headers_mut().extend(extra);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16) -> ApiError {
        let status = kube::core::Status::failure("no", "Because").with_code(code);
        ApiError::from_kube("create RestartRequest shop/web", &kube::Error::Api(status.boxed()))
    }

    #[test]
    fn what_the_api_server_refuses_is_refused_with_its_sentence() {
        let refused = answered(403);
        assert_eq!((refused.status, refused.code), (StatusCode::FORBIDDEN, Code::Forbidden));
        assert_eq!(refused.message, "create RestartRequest shop/web: no");
        assert_eq!(answered(401).status, StatusCode::UNAUTHORIZED);
        assert_eq!(answered(422).code, Code::InvalidSpec);
        assert_eq!(answered(500).status, StatusCode::BAD_GATEWAY);
    }

    #[test]
    fn a_restart_under_way_is_a_conflict_and_a_missing_workload_is_not_found() {
        assert_eq!(ApiError::new(Code::AlreadyRestarting, "").status, StatusCode::CONFLICT);
        assert_eq!(ApiError::new(Code::CancelRejected, "").status, StatusCode::CONFLICT);
        assert_eq!(ApiError::new(Code::TargetInvalid, "").status, StatusCode::NOT_FOUND);
        assert_eq!(ApiError::new(Code::ValidationFailed, "").status, StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn a_caller_without_a_name_is_told_how_to_give_one() {
        let response = ApiError::unknown_caller("who?").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
