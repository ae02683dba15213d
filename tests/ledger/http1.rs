//! Clients of HTTP/1.1.

use super::app::body;
use super::kind::Kind;
use super::truth::{Truth, soon};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most requests sent at once on one connection.
const PIPELINE: usize = 4;

pub struct Client<'a> {
    pub sidecar: SocketAddr,
    pub truth: &'a Truth,
    pub kept: Option<TcpStream>,
    pub read: Vec<u8>,
}

impl Client<'_> {
    /// Makes requests until there are no more to make.
    pub async fn run(mut self) {
        while let Some(id) = self.truth.next() {
            let mut next = Some(id);
            // Plain ones that follow one another are sent at once; what comes after them is sent by itself.
            let mut pipelined = Vec::new();
            while let Some(plain) = next.take_if(|id| Kind::of(*id) == Kind::Plain) {
                pipelined.push(plain);
                if pipelined.len() < PIPELINE && plain % 3 > 0 {
                    next = self.truth.next();
                }
            }
            if !pipelined.is_empty() {
                self.pipeline(&pipelined).await;
            }
            if let Some(id) = next {
                soon(&format!("{:?} {id}", Kind::of(id)), self.one(id)).await;
                self.truth.done();
            }
        }
    }

    async fn connection(&mut self) -> TcpStream {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        self.read.clear();
        let stream = TcpStream::connect(self.sidecar).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends all at once; those that a drain leaves without an answer, after one that says "close", are sent again.
    async fn pipeline(&mut self, ids: &[u64]) {
        let mut stream = self.connection().await;
        let requests: String = ids.iter().map(|id| get(*id)).collect();
        stream.write_all(requests.as_bytes()).await.unwrap();
        for (answered, id) in ids.iter().enumerate() {
            let keep = soon(&format!("plain {id}"), self.whole_answer(&mut stream, *id)).await;
            self.truth.done();
            let last = answered + 1 == ids.len();
            if !keep && !last {
                // A sidecar closes only when it has answered all that it has read: the others have reached nobody.
                self.read.clear();
                return Box::pin(self.pipeline(&ids[answered + 1..])).await;
            }
            if keep && last {
                self.kept = Some(stream);
                return;
            }
        }
    }

    async fn one(&mut self, id: u64) {
        let kind = Kind::of(id);
        let mut stream = self.connection().await;
        let beginning = (kind == Kind::ClientResets).then(|| self.truth.beginning(id));
        stream.write_all(&request(kind, id)).await.unwrap();
        match kind {
            Kind::ClientResets => {
                beginning.expect("asked for").await;
                self.truth.end(id);
                reset(stream);
            }
            Kind::ClientResetsInMidAnswer => {
                self.head(&mut stream).await;
                self.until(&mut stream, b"some").await;
                self.truth.end(id);
                reset(stream);
            }
            Kind::AppResets => {
                let head = self.head(&mut stream).await;
                self.must(head.starts_with("HTTP/1.1 502 "), id, &head);
            }
            Kind::AppResetsInMidAnswer => {
                let mut rest = Vec::new();
                // Cut short it must look: a reset, which may overtake what came before.
                let ended = stream.read_to_end(&mut rest).await;
                self.must(ended.is_err(), id, "an answer that looks whole");
            }
            Kind::UntilClose => {
                self.head(&mut stream).await;
                let mut rest = std::mem::take(&mut self.read);
                stream.read_to_end(&mut rest).await.unwrap();
                self.must(rest == body(id).as_bytes(), id, "another body");
            }
            Kind::HalfClose => {
                stream.shutdown().await.unwrap();
                self.whole_answer(&mut stream, id).await;
            }
            Kind::Upgrade => {
                self.head(&mut stream).await;
                self.until(&mut stream, b"pong").await;
                self.truth.end(id);
                stream.shutdown().await.unwrap();
                self.must(stream.read_u8().await.is_err(), id, "bytes after the end");
            }
            _ => {
                if self.whole_answer(&mut stream, id).await {
                    self.kept = Some(stream);
                }
            }
        }
    }

    /// Reads the answer that echoes `id`; whether the connection goes on.
    async fn whole_answer(&mut self, stream: &mut TcpStream, id: u64) -> bool {
        let head = self.head(stream).await;
        let end: &[u8] = if head.contains("chunked") { b"\r\n0\r\nX: end\r\n\r\n" } else { b"" };
        self.until(stream, &[body(id).as_bytes(), end].concat()).await;
        self.must(head.starts_with("HTTP/1.1 200 "), id, &head);
        !head.contains("Connection: close")
    }

    async fn head(&mut self, stream: &mut TcpStream) -> String {
        String::from_utf8(self.until(stream, b"\r\n\r\n").await).unwrap()
    }

    async fn until(&mut self, stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            let read = stream.read_buf(&mut self.read).await;
            assert!(matches!(read, Ok(1..)), "{read:?} after {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    fn must(&self, is: bool, id: u64, what: &str) {
        if !is {
            self.truth.is_wrong(format!("{:?} {id}: {what}", Kind::of(id)));
        }
    }
}

fn get(id: u64) -> String {
    format!("GET /{id:x} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn request(kind: Kind, id: u64) -> Vec<u8> {
    if kind == Kind::AppResets {
        // Not idempotent: nobody may send it to the app a second time.
        return format!("POST /{id:x} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").into();
    }
    let Some(size) = kind.upload(id) else {
        let upgrade = "Connection: upgrade\r\nUpgrade: echo\r\n\r\nping";
        return if kind == Kind::Upgrade { get(id).replace("\r\n\r\n", &format!("\r\n{upgrade}")) } else { get(id) }
            .into();
    };
    let body = "b".repeat(size);
    let post = format!("POST /{id:x} HTTP/1.1\r\nHost: a\r\n");
    if kind == Kind::Chunked {
        format!("{post}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\nX: end\r\n\r\n").into()
    } else {
        format!("{post}Content-Length: {size}\r\n\r\n{body}").into()
    }
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}
