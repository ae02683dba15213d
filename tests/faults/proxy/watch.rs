//! A watch on its way: events pass unbuffered, or late, twice or not at all.
//!
//! **Invariant:** an event is a line, and lines keep their order.

use super::Proxy;
use super::answer::{Cut, Reply, gone_event};
use crate::fault::Window;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Response, header};
use kube::client::Body;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How late events come.
const LATE: Duration = Duration::from_secs(5);

type Line = Result<Bytes, Cut>;

/// The same answer, with its events disturbed.
pub fn disturbed(proxy: &Arc<Proxy>, response: Response<Body>) -> Response<Reply> {
    let (mut parts, body) = response.into_parts();
    // This connection has a framing of its own.
    parts.headers.remove(header::TRANSFER_ENCODING);
    let (sender, receiver) = mpsc::unbounded_channel::<(Instant, Line)>();
    tokio::spawn(read(proxy.clone(), body, sender));
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let (due, line) = receiver.recv().await?;
        tokio::time::sleep_until(due.into()).await;
        Some((line.map(Frame::data), receiver))
    });
    Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}

async fn read(proxy: Arc<Proxy>, mut body: Body, sender: mpsc::UnboundedSender<(Instant, Line)>) {
    let mut told = proxy.told.subscribe();
    let mut buffer = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = sender.closed() => return,
            window = told.recv() => {
                if window.is_ok_and(|window| ends(window, &sender)) {
                    return;
                }
                continue;
            }
        };
        let Some(Ok(frame)) = frame else { return };
        buffer.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = Bytes::from(buffer.drain(..=end).collect::<Vec<u8>>());
            pass(&proxy, &line, &sender);
        }
    }
}

fn pass(proxy: &Proxy, line: &Bytes, sender: &mpsc::UnboundedSender<(Instant, Line)>) {
    let open = |window| proxy.state().until(window).is_some();
    if open(Window::WatchDrop) {
        return;
    }
    let late = Instant::now() + if open(Window::WatchLate) { LATE } else { Duration::ZERO };
    // What is on its way in a black hole is sent again.
    let due = proxy.state().until(Window::BlackHole).map_or(late, |end| end.max(late));
    let times = if open(Window::WatchTwice) { 2 } else { 1 };
    for _ in 0..times {
        // The controller may have gone away.
        let _ = sender.send((due, Ok(line.clone())));
    }
}

/// What a window that has been opened does to a watch that is open; whether it ends it.
fn ends(window: Window, sender: &mpsc::UnboundedSender<(Instant, Line)>) -> bool {
    let line = match window {
        Window::WatchGone => Ok(gone_event()),
        Window::WatchCut => Err(Cut),
        Window::WatchGarbage => Ok(Bytes::from_static(b"\xff{]not an event\n")),
        Window::BlackHole
        | Window::Reads(_)
        | Window::ReadsReset
        | Window::ReadsGarbage
        | Window::Stale
        | Window::WatchLate
        | Window::WatchDrop
        | Window::WatchTwice
        | Window::SidecarsHole
        | Window::SidecarsReset
        | Window::SidecarsStatus
        | Window::SidecarsGarbage => return false,
    };
    // The controller may have gone away.
    let _ = sender.send((Instant::now(), line));
    true
}
