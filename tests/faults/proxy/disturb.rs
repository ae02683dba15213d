//! What becomes of a call.
//!
//! **Invariant:** a call that has been let through reaches the API server even if its caller has gone away meanwhile.

use super::answer::{Cut, Reply, failure, garbage, whole};
use super::state::Answer;
use super::{Call, Order, Proxy, watch};
use crate::fault::{Fault, When, Window};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::{Request, Response, header};
use kube::client::Body;
use rustix::process::{Pid, Signal, kill_process};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for another process to lead and to write.
const OTHER_LEADS: Duration = Duration::from_secs(20);

/// What comes of a call.
pub type Answered = Result<Response<Reply>, Cut>;

/// A call to the API server.
pub async fn api_server(proxy: Arc<Proxy>, from: usize, request: Request<hyper::body::Incoming>) -> Answered {
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
type Sent = std::pin::Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;
type Send_ = Box<dyn FnOnce(Arc<Proxy>) -> Sent + Send>;

fn sent(request: Request<Body>) -> Send_ {
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
    let window = proxy.state().reads_window();
    match window {
        Some(Window::Reads(status)) => return Ok(failure(status)),
        Some(Window::ReadsReset) => return Err(Cut),
        Some(Window::ReadsGarbage) => return Ok(garbage()),
        Some(Window::Stale) => {
            let old = proxy.state().stale(line);
            if let Some((status, body)) = old {
                return Ok(whole(status, body));
            }
        }
        Some(
            Window::BlackHole
            | Window::WatchLate
            | Window::WatchDrop
            | Window::WatchTwice
            | Window::WatchGone
            | Window::WatchCut
            | Window::WatchGarbage
            | Window::SidecarsHole
            | Window::SidecarsReset
            | Window::SidecarsStatus
            | Window::SidecarsGarbage,
        )
        | None => {}
    }
    let response = proxy.upstream.0.send(request).await.map_err(|_| Cut)?;
    let (status, body) = collected(response).await.ok_or(Cut)?;
    proxy.state().keep(line, (status, body.clone()));
    Ok(whole(status, body))
}

/// On a task of its own: a caller that gives up does not take the call back.
async fn write(proxy: Arc<Proxy>, from: usize, call: Call, send: Send_) -> Answered {
    tokio::spawn(async move {
        let Some((index, fault)) = proxy.state().enter(from, &call) else { return Err(Cut) };
        let sending = Sending { proxy: proxy.clone(), index, send };
        match fault {
            None => sending.now().await,
            Some(fault) => disturbed(&proxy, from, fault, sending).await,
        }
    })
    .await
    .unwrap_or(Err(Cut))
}

struct Sending {
    proxy: Arc<Proxy>,
    index: usize,
    send: Send_,
}

impl Sending {
    async fn now(self) -> Answered {
        let (status, body): (u16, Bytes) = (self.send)(self.proxy.clone()).await.ok_or(Cut)?;
        if let Some(seen) = self.proxy.state().seen.get_mut(self.index) {
            seen.answer = Some(status);
        }
        Ok(whole(status, body))
    }
}

async fn disturbed(proxy: &Arc<Proxy>, from: usize, fault: Fault, sending: Sending) -> Answered {
    match fault {
        Fault::Kill(When::Before) => {
            signal(proxy, from, Signal::KILL);
            Err(Cut)
        }
        Fault::Kill(When::After) => {
            let answer = sending.now().await;
            signal(proxy, from, Signal::KILL);
            answer.and(Err(Cut))
        }
        Fault::Reset(When::Before) => Err(Cut),
        Fault::Reset(When::After) => sending.now().await.and(Err(Cut)),
        Fault::Status(status, When::Before) => Ok(failure(status)),
        Fault::Status(status, When::After) => sending.now().await.map(|_| failure(status)),
        Fault::Garbage => sending.now().await.map(|_| garbage()),
        Fault::Latency(seconds, When::Before) => {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            sending.now().await
        }
        Fault::Latency(seconds, When::After) => {
            let answer = sending.now().await;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            answer
        }
        Fault::Stop(When::Before) => {
            stopped(proxy, from).await;
            let answer = sending.now().await;
            signal(proxy, from, Signal::CONT);
            answer
        }
        Fault::Stop(When::After) => {
            let answer = sending.now().await;
            stopped(proxy, from).await;
            signal(proxy, from, Signal::CONT);
            answer
        }
        Fault::Window(window) => {
            let answer = sending.now().await;
            proxy.state().open(window);
            // Without a watch there is nothing to tell.
            let _ = proxy.told.send(window);
            answer
        }
    }
}

/// The process stands still until another one leads and has written something.
async fn stopped(proxy: &Arc<Proxy>, from: usize) {
    signal(proxy, from, Signal::STOP);
    let begun = Instant::now();
    // An error means that the plan is over.
    let _ = proxy.orders.send(Order::Another);
    let acts = |proxy: &Proxy| {
        proxy.state().seen.iter().any(|seen| seen.from != from && seen.at > begun && seen.kind.is_of_a_run())
    };
    while !acts(proxy) && begun.elapsed() < OTHER_LEADS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn signal(proxy: &Proxy, door: usize, signal: Signal) {
    let pid = proxy.processes().get(&door).and_then(|pid| Pid::from_raw(*pid));
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

/// A call to a sidecar; `ahead` is where it goes.
pub async fn sidecar(
    proxy: Arc<Proxy>,
    ahead: std::net::SocketAddr,
    request: Request<hyper::body::Incoming>,
) -> Answered {
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
    let onward = Request::from_parts(parts, http_body_util::Full::new(body));
    let send: Send_ = Box::new(move |_| Box::pin(super::serve::asked(ahead, onward)));
    if call.write.is_some() {
        let from = proxy.processes().last_key_value().map_or(0, |(door, _)| *door);
        return write(proxy, from, call, send).await;
    }
    let (status, body) = send(proxy).await.ok_or(Cut)?;
    Ok(whole(status, body))
}
