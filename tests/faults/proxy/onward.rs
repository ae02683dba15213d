//! The way of a call to the API server or to a sidecar.
//!
//! **Invariant:** what no fault is about goes on as it came, with its caller's own credentials.

use super::answer::{Cut, Reply, failure, garbage, whole};
use super::disturb::write;
use super::state::Answer;
use super::{Call, Proxy, watch};
use crate::fault::{ReadFault, Window};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use kube::client::Body;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

/// What comes of a call.
pub type Answered = Result<Response<Reply>, Cut>;

/// A call to the API server.
pub async fn api_server(proxy: Arc<Proxy>, from: usize, request: Request<Incoming>) -> Answered {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let call = Call::to_api_server(&parts.method, &parts.uri, &body);
    // Lists of whole objects and of their metadata have one address.
    let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let line = format!("{} {accepted}", parts.uri);
    // Without credentials of its own, so that the caller's reach the API server.
    let mut onward = Request::new(Body::from(body.to_vec()));
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = parts.uri;
    *onward.headers_mut() = parts.headers;
    for name in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        onward.headers_mut().remove(name);
    }
    let hole = proxy.state().until(Window::BlackHole);
    if let Some(end) = hole {
        return lost_until(end).await;
    }
    if call.watch {
        let response = proxy.upstream.0.send(onward).await.map_err(|_| Cut)?;
        return Ok(watch::disturbed(&proxy, response));
    }
    if call.write.is_none() {
        return read(&proxy, &call, &line, onward).await;
    }
    write(proxy, from, call, sent(onward)).await
}

/// Sent when it is polled.
type Sent = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;
/// A call that has not been sent yet.
pub type Onward = Box<dyn FnOnce(Arc<Proxy>) -> Sent + Send>;

fn sent(request: Request<Body>) -> Onward {
    Box::new(|proxy| Box::pin(async move { collected(proxy.upstream.0.send(request).await.ok()?).await }))
}

async fn collected(response: Response<Body>) -> Option<Answer> {
    let status = response.status().as_u16();
    Some((status, response.into_body().collect().await.ok()?.to_bytes()))
}

async fn lost_until(end: Instant) -> Answered {
    tokio::time::sleep_until(end.into()).await;
    Err(Cut)
}

async fn read(proxy: &Arc<Proxy>, call: &Call, line: &str, request: Request<Body>) -> Answered {
    proxy.state().enter(0, call);
    let fault = proxy.state().read_fault();
    match fault {
        Some(ReadFault::Status(status)) => return Ok(failure(status)),
        Some(ReadFault::Reset) => return Err(Cut),
        Some(ReadFault::Garbage) => return Ok(garbage()),
        Some(ReadFault::Stale) => {
            let old = proxy.state().stale(line);
            if let Some((status, body)) = old {
                return Ok(whole(status, body));
            }
        }
        None => {}
    }
    let response = proxy.upstream.0.send(request).await.map_err(|_| Cut)?;
    let (status, body) = collected(response).await.ok_or(Cut)?;
    proxy.state().keep(line, (status, body.clone()));
    Ok(whole(status, body))
}

/// A call to a sidecar; `ahead` is where it goes.
pub async fn sidecar(proxy: Arc<Proxy>, ahead: SocketAddr, request: Request<Incoming>) -> Answered {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let call = Call::to_sidecar(&parts.method, &parts.uri, &body);
    let open = |window| proxy.state().until(window);
    if let Some(end) = open(Window::SidecarsHole) {
        return lost_until(end).await;
    }
    if open(Window::SidecarsReset).is_some() {
        return Err(Cut);
    }
    if open(Window::SidecarsStatus).is_some() {
        return Ok(failure(500));
    }
    if open(Window::SidecarsGarbage).is_some() {
        return Ok(garbage());
    }
    let onward = Request::from_parts(parts, Full::new(body));
    let send: Onward = Box::new(move |_| Box::pin(super::serve::asked(ahead, onward)));
    if call.write.is_some() {
        let from = proxy.processes().last_key_value().map_or(0, |(door, _)| *door);
        return write(proxy, from, call, send).await;
    }
    let (status, body) = send(proxy).await.ok_or(Cut)?;
    Ok(whole(status, body))
}
