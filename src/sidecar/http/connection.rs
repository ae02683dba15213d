//! One client connection: its requests in order, from the first byte to the close.
//!
//! **Invariant:** an idle connection is closed only after a look into the kernel's receive buffer has found nothing, and
//! never before [`super::super::state::Shared::close`]: a drain alone closes nothing (DESIGN 6).

use super::Malformed;
use super::ahead::skip_empty_lines;
use super::answer::Answer;
use super::buffer::Buffer;
use super::exchange;
use super::h2c_header::without_h2c;
use super::head::{self, Method, RequestHead};
use super::pool::{self, Pool};
use super::socket::{self, Peek};
use super::tunnel;
use crate::sidecar::count::Share;
use crate::sidecar::descriptors::Room;
use crate::sidecar::due::at;
use crate::sidecar::forwarded::{self, Forwarding};
use crate::sidecar::http2::{self, ledger::PREFACE};
use crate::sidecar::idle::{Seat, Why};
use crate::sidecar::ignored::Ignored;
use crate::sidecar::seldom::Seldom;
use crate::sidecar::state::Shared;
use crate::sidecar::tls;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How long a connection that has not sent a request yet is left open when the others are closed: its first request may
/// be under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most bytes of empty lines before a request (RFC 9112 2.2 asks for one line to be passed over).
const MOST_EMPTY: usize = 64;

static TLS: Seldom = Seldom::new();

/// What every connection of the `http` mode needs.
pub struct Relay {
    /// Counts and drain.
    pub shared: Arc<Shared>,
    /// Connections to the app.
    pub pool: Pool,
    /// What the app is told of the client.
    pub forwarding: Forwarding,
    /// Requests that do not count.
    pub ignored: Ignored,
    /// Requests that may become tunnels: fewer than there may be connections, so that others still find a place.
    pub tunnels: Room,
    /// Longest time for a head to arrive once its first byte has.
    pub head_timeout: Duration,
    /// How long a client may stand still in the midst of a message: take nothing of an answer, or send nothing of a body.
    pub stall: Duration,
    /// Limits of the connections that speak HTTP/2.
    pub http2: http2::Limits,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client has left.
    Gone,
    /// All was said: close so that it arrives.
    Answered,
    /// The last answer is incomplete and must look so.
    CutShort,
    /// It was told why it is not served.
    Refused,
    /// It speaks HTTP/2: what was read is its preface.
    Http2,
}

/// What comes after a request.
pub enum Next {
    /// The next one.
    Request,
    /// An answer of our own, and the end.
    Answer(Answer),
    /// The end.
    End(End),
}

/// Serves `client` until one of both closes.
pub async fn serve(client: TcpStream, relay: &Arc<Relay>) {
    let seat = relay.shared.idle.sit();
    socket::prepare(&client);
    socket::limit_unsent(&client);
    let mut connection = Connection::new(&client, relay, &seat);
    let end = connection.run().await;
    // Of the others nothing more is wanted, while they wait for the client to close.
    let read = if end == End::Http2 { Bytes::copy_from_slice(connection.inbound.bytes()) } else { Bytes::new() };
    drop(connection);
    match end {
        End::Gone => drop(client),
        End::Answered => socket::close_after_answer(client).await,
        End::CutShort => socket::reset(client),
        End::Refused => socket::close_soon(client).await,
        // Apart, so that a connection of HTTP/1.1 holds no room for it.
        End::Http2 => Box::pin(http2::connection::serve(client, read, seat, relay)).await,
    }
}

/// A client connection and what has been read from it.
pub struct Connection<'a> {
    /// The socket.
    pub client: &'a TcpStream,
    /// What every connection needs.
    pub relay: &'a Relay,
    /// What was read and not yet passed on.
    pub inbound: Buffer<'a>,
    /// The connection to the app that is authenticated as this client: no other client may use it.
    pub own: Option<Box<pool::Connection>>,
    /// Its part of the count.
    pub share: Share<'a>,
    /// When the present request began to arrive.
    pub now: Instant,
    /// 1 while its arrival is not recorded, since its head decides whether it counts; 0 when it was counted before.
    arrived: u64,
    /// Its place among the client connections.
    seat: &'a Seat,
    /// Whether this task will be woken when idle connections are to be closed.
    listens: bool,
    /// Whether it will be when this one is to leave.
    is_seated: bool,
    /// Until when the close waits for a first request.
    patient_until: Instant,
}

/// Ready once idle connections are to be closed. One for all the life of a connection, since to listen anew for each
/// request would cost more than to read it.
type Closing<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

impl<'a> Connection<'a> {
    fn new(client: &'a TcpStream, relay: &'a Relay, seat: &'a Seat) -> Self {
        let (share, inbound) = (Share::new(&relay.shared.in_flight), Buffer::new(&relay.shared.quota));
        let now = Instant::now();
        let patient_until = now + PATIENCE;
        let (own, arrived, listens, is_seated) = (None, 0, false, false);
        Self { client, relay, inbound, own, share, now, arrived, seat, listens, is_seated, patient_until }
    }

    async fn run(&mut self) -> End {
        let mut told = pin!(told_to_close(self.relay));
        match self.speaks_http2(told.as_mut()).await {
            // Boxed: it is rare, and a connection should not own room for it.
            Ok(false) if tls::begins(self.inbound.bytes()) => return Box::pin(self.pass_through()).await,
            Ok(false) => {}
            Ok(true) => return End::Http2,
            Err(end) => return end,
        }
        loop {
            if let Err(end) = self.await_request(told.as_mut()).await {
                return end;
            }
            match self.serve_one().await {
                Next::Request => self.patient_until = self.now,
                Next::Answer(answer) => return self.answer(answer, false).await,
                Next::End(end) => return end,
            }
        }
    }

    /// Whether the connection begins with the preface of HTTP/2. A first byte counts as a request until it does.
    async fn speaks_http2(&mut self, mut told: Closing<'_>) -> Result<bool, End> {
        let deadline = Instant::now() + self.relay.head_timeout;
        loop {
            if self.inbound.bytes().starts_with(PREFACE) {
                self.share.withdraw();
                return Ok(true);
            }
            if !PREFACE.starts_with(self.inbound.bytes()) || Instant::now() >= deadline {
                return Ok(false);
            }
            if self.inbound.is_empty() {
                self.await_request(told.as_mut()).await?;
            } else {
                // When the time is over it is a request whose head did not arrive: answered as such.
                let filled = tokio::time::timeout_at(deadline.into(), self.inbound.fill(self.client)).await;
                match filled {
                    Ok(Ok(0)) => return Err(End::Gone),
                    Ok(Err(error)) => return Err(self.lost(&error).await),
                    Ok(Ok(_)) | Err(_) => {}
                }
            }
        }
    }

    /// Relays a connection that speaks TLS, which counts as long as it is open: what it says cannot be read. One that is
    /// not served is cut off, since no answer could be understood.
    async fn pass_through(&mut self) -> End {
        let relay = self.relay;
        relay.shared.arrived_at(self.now, std::mem::take(&mut self.arrived));
        let Some(_tunnel) = relay.tunnels.try_one().filter(|_| !relay.shared.rejects()) else { return End::CutShort };
        let Ok(app) = relay.pool.app().on_behalf_of(self.client).connect().await else { return End::CutShort };
        socket::prepare(&app);
        relay.shared.tls.fetch_add(1, Ordering::Relaxed);
        if TLS.is_due() {
            let server_name = tls::server_name(self.inbound.bytes()).unwrap_or_default();
            tracing::info!(
                server_name,
                "a client speaks TLS: its connection is passed through, and in flight until it closes"
            );
        }
        let mut outbound = Buffer::new(&relay.shared.quota);
        let end = tunnel::run(self.client, &app, &mut self.inbound, &mut outbound, Some(relay.stall)).await;
        if end == End::CutShort {
            socket::reset(app);
        }
        end
    }

    /// Waits for the first byte of a request, and counts it.
    async fn await_request(&mut self, mut told: Closing<'_>) -> Result<(), End> {
        let (mut empty, mut due) = (0, None);
        loop {
            empty += self.skip_empty_lines();
            if empty > MOST_EMPTY {
                self.answer(Answer::BadRequest("too many empty lines before a request"), false).await;
                return Err(End::Refused);
            }
            if self.request_has_begun() {
                self.seat.become_busy();
                self.now = Instant::now();
                self.arrived += self.share.raise_to(1);
                return Ok(());
            }
            if due.is_none() {
                self.seat.become_idle();
                due = (empty > 0 || !self.inbound.is_empty()).then(|| Instant::now() + self.relay.head_timeout);
            }
            let closing = self.relay.shared.is_closing();
            tokio::select! {
                biased;
                read = self.inbound.fill(self.client) => match read {
                    Ok(0) | Err(_) => return Err(End::Gone),
                    Ok(_) => {}
                },
                // A client that sends an empty line and nothing else is left without an answer: it has asked for nothing.
                () = at(due.map(Into::into)), if due.is_some() => return Err(End::Answered),
                end = is_told_to_leave(self.seat, self.client, &mut self.is_seated) => return Err(end),
                () = hear(self.relay, told.as_mut(), &mut self.listens), if !closing => {}
                () = may_close(self.client, self.patient_until), if closing => return Err(End::Answered),
            }
        }
    }

    /// Drops the empty lines that stand before a request, and answers their bytes.
    fn skip_empty_lines(&mut self) -> usize {
        let all = self.inbound.bytes().len();
        let rest = skip_empty_lines(self.inbound.bytes()).len();
        // A CR alone stays until it is known what follows it.
        let empty = if rest == 0 { all & !1 } else { all - rest };
        self.inbound.consume(empty);
        empty
    }

    fn request_has_begun(&self) -> bool {
        !skip_empty_lines(self.inbound.bytes()).is_empty()
    }

    async fn serve_one(&mut self) -> Next {
        let parsed = self.read_request().await;
        let ignored = parsed.as_ref().is_ok_and(|head| self.relay.ignored.has(head, self.inbound.bytes()));
        if ignored {
            self.relay.shared.ignored.fetch_add(1, Ordering::Relaxed);
            self.share.set_aside();
        } else {
            self.relay.shared.arrived_at(self.now, std::mem::take(&mut self.arrived));
        }
        let parsed = parsed.and_then(|head| self.tell_who_asks(head));
        let head = match parsed {
            Ok(head) => head,
            Err(next) => return next,
        };
        self.seat.serve();
        let next =
            if self.relay.shared.rejects() { Next::Answer(Answer::Draining) } else { exchange::run(self, &head).await };
        match next {
            Next::Answer(answer) => Next::End(self.answer(answer, head.method == Method::Head).await),
            next => next,
        }
    }

    /// The same request with the fields that tell the app who sent it, if it is to be told.
    fn tell_who_asks(&mut self, head: RequestHead) -> Result<RequestHead, Next> {
        let forwarding = &self.relay.forwarding;
        if !forwarding.is_on() {
            return Ok(head);
        }
        let client = self.client.peer_addr().map_err(|_| Next::End(End::Gone))?;
        let edited = forwarded::edited(forwarding, &self.inbound.bytes()[..head.length], client.ip());
        self.inbound.replace(head.length, &edited);
        head::parse_request(&edited).map_err(|malformed| Next::Answer(malformed.into()))
    }

    /// The head of the request that has begun to arrive.
    async fn read_request(&mut self) -> Result<RequestHead, Next> {
        match self.parse_head(&mut 0) {
            Ok(Some(head)) => Ok(head),
            // Only one that has not arrived whole needs a timer.
            Ok(None) => match tokio::time::timeout(self.relay.head_timeout, self.read_head()).await {
                Ok(read) => read,
                Err(_) => Err(Next::Answer(Answer::Timeout)),
            },
            Err(malformed) => Err(Next::Answer(malformed.into())),
        }
    }

    async fn read_head(&mut self) -> Result<RequestHead, Next> {
        let mut scanned = 0;
        loop {
            let parsed = self.parse_head(&mut scanned);
            if let Some(head) = parsed.map_err(|malformed| Next::Answer(malformed.into()))? {
                return Ok(head);
            }
            match self.inbound.fill(self.client).await {
                Ok(0) => return Err(Next::End(End::Gone)),
                Err(error) => return Err(Next::End(self.lost(&error).await)),
                Ok(_) => {}
            }
        }
    }

    /// What becomes of a client whose request could not be read.
    async fn lost(&self, error: &io::Error) -> End {
        match error.kind() {
            io::ErrorKind::OutOfMemory => self.answer(Answer::Overloaded, false).await,
            _ => End::Gone,
        }
    }

    /// The head of what was read, if it is whole.
    fn parse_head(&mut self, scanned: &mut usize) -> Result<Option<RequestHead>, Malformed> {
        let Some(end) = head::find_end(self.inbound.bytes(), scanned)? else { return Ok(None) };
        let parsed = head::parse_request(&self.inbound.bytes()[..end])?;
        if !parsed.offers_h2c {
            return Ok(Some(parsed));
        }
        let edited = without_h2c(&self.inbound.bytes()[..end]);
        self.inbound.replace(end, &edited);
        head::parse_request(&edited).map(Some)
    }

    async fn answer(&self, answer: Answer, to_head: bool) -> End {
        self.relay.shared.answered_itself(answer.status());
        match socket::write_all_within(self.client, &answer.bytes(to_head), self.relay.stall).await {
            Ok(()) if answer == Answer::Overloaded => End::Refused,
            Ok(()) => End::Answered,
            Err(_) => End::Gone,
        }
    }
}

/// Returns when an idle connection has been told to leave and nothing has arrived on it.
async fn is_told_to_leave(seat: &Seat, client: &TcpStream, is_seated: &mut bool) -> End {
    let why = seat.is_told(is_seated).await;
    if socket::peek(client) == Peek::Bytes {
        // The reader beside us takes them.
        std::future::pending::<()>().await;
    }
    match why {
        Why::TimedOut => End::Answered,
        // Its place is needed now: whatever it was answered has arrived long ago.
        Why::PlaceNeeded => End::Gone,
    }
}

/// At least `requests` of this connection have begun.
pub fn count(relay: &Relay, share: &Share<'_>, requests: u64) {
    let new = share.raise_to(requests);
    if new > 0 {
        relay.shared.arrived(new);
    }
}

async fn told_to_close(relay: &Relay) {
    // The sender lives as long as the process; without it there is nothing to wait for.
    if relay.shared.closing().wait_for(|closing| *closing).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Returns once [`told_to_close`] would. Polled once, that wakes its task whatever is polled then, so it is not asked again.
async fn hear(relay: &Relay, mut told: Closing<'_>, listens: &mut bool) {
    poll_fn(|context| {
        if relay.shared.is_closing() {
            Poll::Ready(())
        } else if std::mem::replace(listens, true) {
            Poll::Pending
        } else {
            told.as_mut().poll(context)
        }
    })
    .await;
}

/// Returns when an idle connection that is to be closed has nothing unread.
async fn may_close(client: &TcpStream, patient_until: Instant) {
    tokio::time::sleep_until(patient_until.into()).await;
    if socket::peek(client) == Peek::Bytes {
        // The reader beside us takes them.
        std::future::pending::<()>().await;
    }
}
