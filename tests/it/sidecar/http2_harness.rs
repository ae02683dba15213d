//! Both ends of HTTP/2 around a sidecar: an app that hands its requests to the test, a client, and frames by hand.

use super::harness::{Peer, World, soon};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A request as the app got it, and the way to answer.
pub struct Asked {
    pub head: http::request::Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
}

impl Asked {
    /// A whole answer.
    pub fn answer(&mut self, body: &'static str) {
        let mut stream = self.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
    }

    /// An answer that has begun.
    pub fn begin(&mut self) -> SendStream<Bytes> {
        self.respond.send_response(Response::new(()), false).unwrap()
    }
}

/// An app that speaks HTTP/2 on every connection that the sidecar opens.
pub struct App {
    asked: mpsc::UnboundedReceiver<Asked>,
    connections: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl App {
    pub fn start(world: &Arc<World>) -> Self {
        let (tell, asked) = mpsc::unbounded_channel();
        let (connections, ended) = (Arc::default(), Arc::default());
        let serving = tokio::spawn(serve(Arc::clone(world), tell, Arc::clone(&connections), Arc::clone(&ended)));
        Self { asked, connections, ended, serving }
    }

    pub async fn next(&mut self) -> Asked {
        soon("a request reaches the app", self.asked.recv()).await.unwrap()
    }

    /// Connections that there have been.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Waits until so many of them have ended.
    pub async fn has_ended(&self, count: u64) {
        soon("a connection of the app ends", async {
            while self.ended.load(Ordering::Relaxed) < count {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    world: Arc<World>,
    tell: mpsc::UnboundedSender<Asked>,
    connections: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
) {
    loop {
        let stream = world.app_forever().await.stream;
        connections.fetch_add(1, Ordering::Relaxed);
        let (tell, ended) = (tell.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (head, body) = request.into_parts();
                let last = head.uri.path() == "/goaway";
                let _ = tell.send(Asked { head, body, respond });
                if last {
                    connection.graceful_shutdown();
                }
            }
            ended.fetch_add(1, Ordering::Relaxed);
        });
    }
}

/// A client connection.
pub struct Client {
    pub send: SendRequest<Bytes>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub async fn connect(world: &World) -> Self {
        Self::over(TcpStream::connect(world.sidecar.listen).await.unwrap()).await
    }

    pub async fn over(stream: TcpStream) -> Self {
        let (send, connection) = soon("the handshake", h2::client::handshake(stream)).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    /// Begins a request; `whole`: without a body.
    pub fn ask(&mut self, path: &str, whole: bool) -> (ResponseFuture, SendStream<Bytes>) {
        self.send.send_request(request(path), whole).unwrap()
    }

    /// The connection ends, in order.
    pub async fn ends(self) {
        drop(self.send);
        soon("the connection ends", self.connection).await.unwrap().unwrap();
    }
}

pub fn request(path: &str) -> Request<()> {
    Request::get(format!("http://shop.example{path}")).body(()).unwrap()
}

/// The head of an answer.
pub async fn head(answer: ResponseFuture) -> Response<RecvStream> {
    soon("an answer", answer).await.unwrap()
}

/// All of a body, taken at once, and its trailers.
pub async fn whole(mut body: RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(data) = soon("a piece of a body", body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    (bytes, soon("trailers", body.trailers()).await.unwrap())
}

pub async fn text(answer: ResponseFuture) -> (u16, String) {
    let answer = head(answer).await;
    let status = answer.status().as_u16();
    (status, String::from_utf8(whole(answer.into_body()).await.0).unwrap())
}

/// Passes all of `bytes` on, as fast as the receiver takes them.
pub async fn pour(stream: &mut SendStream<Bytes>, mut bytes: Bytes, end: bool) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = soon("room", std::future::poll_fn(|context| stream.poll_capacity(context))).await.unwrap().unwrap();
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.send_data(piece, end && bytes.is_empty()).unwrap();
    }
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// `GET / http a` from the static table and literals.
pub const GET_BLOCK: &[u8] = &[0x82, 0x84, 0x86, 0x41, 0x01, b'a'];

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A frame that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A client that writes its frames by hand.
pub struct Raw {
    pub peer: Peer,
}

impl Raw {
    /// Says the preface and these settings.
    pub async fn connect(world: &World, settings: &[u8]) -> Self {
        let mut peer = world.client().await;
        peer.send_bytes(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await;
        Self { peer }
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.peer.send_bytes(&frame(kind, flags, stream, payload)).await;
    }

    pub async fn get(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, GET_BLOCK).await;
    }

    /// The next frame; none when the connection has ended.
    pub async fn read(&mut self) -> Option<Frame> {
        soon("a frame", async {
            let mut header = [0; 9];
            self.peer.stream.read_exact(&mut header).await.ok()?;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; length as usize];
            self.peer.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            Some(Frame { kind: header[3], flags: header[4], stream, payload })
        })
        .await
    }

    /// The next frame of this kind; others are passed over.
    pub async fn read_kind(&mut self, kind: u8) -> Frame {
        loop {
            match self.read().await {
                Some(frame) if frame.kind == kind => return frame,
                Some(_) => {}
                None => panic!("the connection ended before a frame of kind {kind}"),
            }
        }
    }

    /// The code of the GOAWAY that ends the connection, if there is one before the end.
    pub async fn ends(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.read().await {
            if frame.kind == GOAWAY {
                code = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        code
    }
}
