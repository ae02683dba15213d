//! The app: both protocols, byte by byte as each request's kind wants it.

use super::kind::Kind;
use super::truth::{Truth, parse};
use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub async fn serve(listener: TcpListener, truth: Arc<Truth>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let truth = Arc::clone(&truth);
        tokio::spawn(async move {
            stream.set_nodelay(true).unwrap();
            let mut first = [0; 3];
            while let Ok(1..3) = stream.peek(&mut first).await {
                tokio::task::yield_now().await;
            }
            if &first == b"PRI" { http2(stream, truth).await } else { Http1::new(stream, &truth).run().await }
        });
    }
}

/// What is answered to a plain request; its client knows its number again.
pub fn body(id: u64) -> String {
    format!("{id:016x}")
}

struct Http1<'a> {
    stream: TcpStream,
    read: Vec<u8>,
    truth: &'a Truth,
}

impl<'a> Http1<'a> {
    fn new(stream: TcpStream, truth: &'a Truth) -> Self {
        Self { stream, read: Vec::with_capacity(8 * 1024), truth }
    }

    async fn run(mut self) {
        while let Some(head) = self.until(b"\r\n\r\n").await {
            let head = String::from_utf8(head).unwrap();
            let Some((id, kind)) = head.split(' ').nth(1).and_then(parse) else {
                return self.truth.is_wrong(format!("the app got {head:?}"));
            };
            self.truth.begin(id);
            if self.body(kind, id).await.is_none() || !self.answer(kind, id).await {
                return;
            }
        }
    }

    /// The bytes up to and including `end`.
    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return Some(self.read.drain(..at + end.len()).collect());
            }
            if self.stream.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn body(&mut self, kind: Kind, id: u64) -> Option<()> {
        if kind == Kind::Chunked {
            return self.until(b"0\r\nX: end\r\n\r\n").await.map(drop);
        }
        let length = kind.upload(id).unwrap_or(0);
        while self.read.len() < length {
            if self.stream.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
        }
        self.read.drain(..length);
        Some(())
    }

    /// Whether the connection goes on.
    async fn answer(&mut self, kind: Kind, id: u64) -> bool {
        let body = body(id);
        match kind {
            Kind::ClientResets => return self.ends().await,
            Kind::ClientResetsInMidAnswer => {
                return self.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsome").await && self.ends().await;
            }
            Kind::AppResetsInMidAnswer => {
                // Some of it must have arrived before the rest does not.
                self.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsome").await;
                self.truth.end(id);
                return false;
            }
            Kind::Upgrade => {
                self.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
                return self.until(b"ping").await.is_some() && self.send("pong").await && self.ends().await;
            }
            Kind::Slow => tokio::time::sleep(Duration::from_millis(1 + id % 30)).await,
            _ => {}
        }
        self.truth.end(id);
        match kind {
            Kind::AppResets => false,
            Kind::UntilClose => {
                self.send(&format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}")).await;
                false
            }
            Kind::Chunked => {
                let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                self.send(&format!("{answer}10\r\n{body}\r\n0\r\nX: end\r\n\r\n")).await
            }
            _ => self.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{body}")).await,
        }
    }

    async fn send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// The other side closes; nothing comes before.
    async fn ends(&mut self) -> bool {
        if matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {
            self.truth.is_wrong("the app got bytes after a request that had not ended".into());
        }
        false
    }
}

async fn http2(stream: TcpStream, truth: Arc<Truth>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let truth = Arc::clone(&truth);
        tokio::spawn(async move { http2_stream(request, respond, &truth).await });
    }
}

async fn http2_stream(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, truth: &Truth) -> Option<()> {
    let (id, kind) = parse(request.uri().path())?;
    truth.begin(id);
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).ok()?;
    }
    match kind {
        Kind::ClientResets => return poll_fn(|context| respond.poll_reset(context)).await.ok().map(drop),
        Kind::AppResets => {
            truth.end(id);
            respond.send_reset(Reason::INTERNAL_ERROR);
            return None;
        }
        Kind::Slow => tokio::time::sleep(Duration::from_millis(1 + id % 30)).await,
        _ => {}
    }
    let mut stream = respond.send_response(Response::new(()), false).ok()?;
    if kind == Kind::ClientResetsInMidAnswer {
        stream.send_data("some".into(), false).ok()?;
        return poll_fn(|context| stream.poll_reset(context)).await.ok().map(drop);
    }
    truth.end(id);
    match kind {
        Kind::AppResetsInMidAnswer => {
            stream.send_data("some".into(), false).ok()?;
            stream.send_reset(Reason::CANCEL);
        }
        Kind::Chunked => {
            stream.send_data(self::body(id).into(), false).ok()?;
            stream.send_trailers(HeaderMap::new()).ok()?;
        }
        _ => stream.send_data(self::body(id).into(), true).ok()?,
    }
    Some(())
}
