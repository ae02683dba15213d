//! Answers of the sidecar itself: what it refuses, and what the app did not answer.
//!
//! **Invariant:** each closes the connection and says that it comes from restart-sidecar, so nobody blames the app.

use super::Malformed;

/// An answer without the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request is malformed or ambiguous.
    BadRequest(&'static str),
    /// Its head did not arrive in time.
    Timeout,
    /// Its head is too large.
    TooLarge,
    /// The app does not listen, or ended the connection without an answer.
    BadGateway(&'static str),
    /// The pod is draining and refuses late requests.
    Draining,
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
            Self::Draining => 503,
        }
    }

    /// Its bytes; `to_head`: without the body, as the answer to a HEAD request must be.
    #[must_use]
    pub fn bytes(self, to_head: bool) -> Vec<u8> {
        let (reason, extra, why) = match self {
            Self::BadRequest(why) => ("Bad Request", "", why),
            Self::Timeout => ("Request Timeout", "", "the head of the request took too long to arrive"),
            Self::TooLarge => ("Request Header Fields Too Large", "", "the head of the request is too large"),
            Self::BadGateway(why) => ("Bad Gateway", "", why),
            Self::Draining => ("Service Unavailable", "Retry-After: 1\r\n", "this pod is being restarted"),
        };
        let body = format!("restart-sidecar: {why}\n");
        let (status, length) = (self.status(), body.len());
        let shown = if to_head { "" } else { &body };
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{extra}Connection: close\r\n\r\n{shown}"
        )
        .into_bytes()
    }
}
