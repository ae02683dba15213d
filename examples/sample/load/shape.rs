//! What each request of a run looks like: chosen by its number, so the same run always has the same requests.
//!
//! **Invariant:** no randomness: a request can be found again by its number.

use super::spec::Spec;
use crate::http::{Body, full};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Method, Request, header};
use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

/// The pieces of a slow body and the pause before each but the first: 300 ms in all.
const SLOW_PIECES: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
const PIECE: &[u8] = &[b'x'; 512];

/// One request's choices.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Brings its own connection and asks for its close.
    pub new_connection: bool,
    /// Pieces of the request's body: none in a GET, one at once, or several slowly.
    pieces: usize,
    slow_answer: bool,
}

impl Shape {
    /// The shape of a run's request.
    pub fn of(spec: &Spec, index: u64) -> Self {
        let slow = share(index, 1) < spec.slow_bodies;
        let which = share(index, 2);
        let slow_request = slow && which < 2.0 / 3.0;
        let post = share(index, 4) < spec.post;
        Self {
            new_connection: share(index, 3) < spec.new_connections,
            pieces: if slow_request { SLOW_PIECES } else { usize::from(post) },
            slow_answer: slow && which >= 1.0 / 3.0,
        }
    }

    /// The bytes of the request's body.
    pub fn body_size(self) -> usize {
        self.pieces * PIECE.len()
    }

    /// The request itself.
    pub fn request(self, host: &str, id: &str, work_millis: Option<u32>) -> Result<Request<Body>, String> {
        let mut path = format!("/work?id={id}");
        if let Some(millis) = work_millis {
            let _ = write!(path, "&millis={millis}");
        }
        if self.slow_answer {
            path.push_str("&chunks=5");
        }
        let mut request = Request::builder().uri(path).header(header::HOST, host);
        if self.pieces > 0 {
            request = request.method(Method::POST);
        }
        if self.new_connection {
            request = request.header(header::CONNECTION, "close");
        }
        request.body(self.body()).map_err(|error| error.to_string())
    }

    fn body(self) -> Body {
        if self.pieces < SLOW_PIECES {
            return full(&PIECE[..self.body_size()]);
        }
        let pieces = stream::unfold(0, |sent| async move {
            if sent == SLOW_PIECES {
                return None;
            }
            if sent > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(PIECE))), sent + 1))
        });
        BodyExt::boxed(StreamBody::new(pieces))
    }
}

/// A number from 0 to 1 for a request and a question about it, spread evenly (splitmix64).
#[allow(clippy::cast_precision_loss)]
fn share(index: u64, question: u64) -> f64 {
    let mut bits = (index * 8 + question).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_as_asked_for() {
        let spec = Spec { post: 0.3, new_connections: 0.5, slow_bodies: 0.06, ..Spec::default() };
        let shapes: Vec<Shape> = (0..10_000).map(|index| Shape::of(&spec, index)).collect();
        let count = |of: fn(&Shape) -> bool| shapes.iter().filter(|shape| of(shape)).count();
        assert!((4_800..5_200).contains(&count(|shape| shape.new_connection)));
        assert!((350..450).contains(&count(|shape| shape.pieces == SLOW_PIECES)));
        assert!((350..450).contains(&count(|shape| shape.slow_answer)));
        assert!((3_100..3_500).contains(&count(|shape| shape.pieces > 0)));
    }
}
