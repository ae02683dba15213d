//! Answers of the sidecar itself: what it refuses, and what the app did not answer.
//!
//! **Invariant:** each closes the connection (in HTTP/1.1) and says that it comes from restart-sidecar, so nobody blames the app.

use super::Malformed;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

/// An answer without the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request is malformed or ambiguous.
    BadRequest(&'static str),
    /// Its head did not arrive in time, or its body stopped coming.
    Timeout,
    /// Its head is too large.
    TooLarge,
    /// The app does not listen, or ended the connection without an answer.
    BadGateway(&'static str),
    /// The pod is draining and refuses late requests.
    Draining,
    /// There is no memory for it, or too many tunnels are open.
    Overloaded,
}

impl From<Malformed> for Answer {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Bad(why) => Self::BadRequest(why),
            Malformed::TooLarge => Self::TooLarge,
        }
    }
}

impl Answer {
    /// Its status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Timeout => 408,
            Self::TooLarge => 431,
            Self::BadGateway(_) => 502,
            Self::Draining | Self::Overloaded => 503,
        }
    }

    fn why(self) -> &'static str {
        match self {
            Self::BadRequest(why) | Self::BadGateway(why) => why,
            Self::Timeout => "the request took too long to arrive",
            Self::TooLarge => "the head of the request is too large",
            Self::Draining => "this pod is being restarted",
            Self::Overloaded => "too much is under way for the memory of this pod's sidecar",
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(self) -> String {
        format!("restart-sidecar: {}\n", self.why())
    }

    /// Its head in HTTP/2.
    #[must_use]
    pub fn response(self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if matches!(self, Self::Draining | Self::Overloaded) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// Its bytes in HTTP/1.1; `to_head`: without the body, as the answer to a HEAD request must be.
    #[must_use]
    pub fn bytes(self, to_head: bool) -> Vec<u8> {
        let (reason, extra) = match self {
            Self::BadRequest(_) => ("Bad Request", ""),
            Self::Timeout => ("Request Timeout", ""),
            Self::TooLarge => ("Request Header Fields Too Large", ""),
            Self::BadGateway(_) => ("Bad Gateway", ""),
            Self::Draining | Self::Overloaded => ("Service Unavailable", "Retry-After: 1\r\n"),
        };
        let body = self.body();
        let (status, length) = (self.status(), body.len());
        let shown = if to_head { "" } else { &body };
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{extra}Connection: close\r\n\r\n{shown}"
        )
        .into_bytes()
    }
}
