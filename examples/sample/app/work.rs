//! One slow request.
//!
//! **Invariant:** the `end` line is in the kernel before the last byte of the answer is handed to the connection, so a
//! request answered in full is always in the ledger.

use super::App;
use crate::http::{Body, full, query, text};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode, Uri};
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const LONGEST_DELAY_MILLIS: u32 = 600_000;
const MOST_CHUNKS: u32 = 100;

/// What a request asks for.
struct Work {
    id: String,
    delay: Duration,
    chunks: u32,
}

/// Takes the body as it comes, waits, and answers with the request's id.
pub async fn answer(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let work = match Work::parse(request.uri(), app.config.delay_millis) {
        Ok(work) => work,
        Err(message) => return text(StatusCode::BAD_REQUEST, &message),
    };
    app.ledger.write("begin", &work.id).await;
    let received = match count(request.into_body()).await {
        Ok(received) => received,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("the request's body broke off: {error}")),
    };
    let content = json!({"id": work.id, "greeting": app.config.greeting, "received": received}).to_string();
    if work.chunks > 1 {
        return Response::new(in_pieces(app, work, &content));
    }
    sleep(work.delay).await;
    app.ledger.write("end", &work.id).await;
    Response::new(full(content))
}

impl Work {
    fn parse(uri: &Uri, default_delay_millis: u32) -> Result<Self, String> {
        let id = query(uri, "id").unwrap_or_default();
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if id.is_empty() || id.len() > 100 || !plain {
            return Err("id must be 1 to 100 letters, digits, dots, dashes or underscores".into());
        }
        let millis = number(uri, "millis", default_delay_millis, LONGEST_DELAY_MILLIS)?;
        let chunks = number(uri, "chunks", 1, MOST_CHUNKS)?;
        Ok(Self { id: id.into(), delay: Duration::from_millis(millis.into()), chunks })
    }
}

fn number(uri: &Uri, key: &str, default: u32, most: u32) -> Result<u32, String> {
    let Some(value) = query(uri, key) else { return Ok(default) };
    let number = value.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("{key} must be a number of at most {most}, not {value}"))
}

async fn count(mut body: Incoming) -> Result<usize, hyper::Error> {
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(received)
}

/// A chunked answer that takes the whole delay; the `end` line goes before the last piece.
fn in_pieces(app: Arc<App>, work: Work, content: &str) -> Body {
    let size = content.len().div_ceil(work.chunks as usize);
    let pieces: VecDeque<Bytes> = content.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
    let pause = work.delay / work.chunks;
    let stream = stream::unfold(pieces, move |mut pieces| {
        let (app, id) = (Arc::clone(&app), work.id.clone());
        async move {
            let piece = pieces.pop_front()?;
            sleep(pause).await;
            if pieces.is_empty() {
                app.ledger.write("end", &id).await;
            }
            Some((Ok::<_, Infallible>(Frame::data(piece)), pieces))
        }
    });
    BodyExt::boxed(StreamBody::new(stream))
}
