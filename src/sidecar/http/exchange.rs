//! One request and its answer, both directions at once.
//!
//! **Invariant:** the request counts until its answer is written to the last byte *and* its own body has been passed on (or
//! the app no longer wants it); a connection to the app is reused only if nothing about its state is in doubt.

use super::ahead::requests_begun;
use super::answer::Answer;
use super::body::Body;
use super::buffer::Buffer;
use super::connection::{Connection, End, Next, Relay, count};
use super::head::RequestHead;
use super::response::{self, Ending};
use super::splice::{self, WORTH_IT};
use super::{Malformed, socket, tunnel};
use crate::sidecar::count::Share;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// An app that closes a connection without an answer later than this has had the request, and may have acted on it.
const REPEATED_WITHIN: Duration = Duration::from_secs(1);

/// What each direction tells the other. Both run in one task, so the order of these flags is that of the code.
#[derive(Default)]
pub struct Progress {
    request_sent: AtomicBool,
    app_refuses_more: AtomicBool,
    client_half_closed: AtomicBool,
    /// Heads that the app has sent, interim and final.
    pub heads: AtomicU32,
    /// Bytes of the final answer may have been written to the client.
    pub answer_begun: AtomicBool,
    answer_ended: AtomicBool,
    /// How often the app has taken a part of the request's body.
    taken: AtomicU32,
    /// The app has asked for, or gone on with, an authentication of the connection.
    pub binds_connection: AtomicBool,
}

/// Why the request's direction ends the exchange.
enum Stop {
    ClientGone,
    /// It has sent nothing of the body for too long.
    Stalled,
    /// What it has sent ahead takes memory that is needed more urgently.
    NoRoom,
    Malformed(Malformed),
}

/// Longest request that is kept to be sent once more, in bytes.
const MOST_REPEATED: usize = 8 * 1024;

enum Outcome {
    Stopped(Stop),
    Ended(Ending),
}

/// How long the app may still stand still after its answer, and what it had taken by then.
struct Patience {
    rest: Pin<Box<Sleep>>,
    taken: u32,
}

/// What an exchange works on.
pub struct Exchange<'a> {
    /// The client's socket.
    pub client: &'a TcpStream,
    /// The app's socket.
    pub app: &'a TcpStream,
    /// What every connection needs.
    pub relay: &'a Relay,
    /// The connection's part of the count.
    pub share: &'a Share<'a>,
    /// The request.
    pub request: &'a RequestHead,
    /// What the directions tell each other.
    pub progress: Progress,
}

/// What came of sending a request.
struct Tried {
    next: Next,
    /// The connection to the app takes another request.
    is_reusable: bool,
    /// The app has closed it without a byte.
    is_unanswered: bool,
    /// The connection to the app is authenticated as this client, or about to be.
    is_bound: bool,
}

/// Passes the request whose head is at the start of what was read, and its answer.
pub async fn run(connection: &mut Connection<'_>, request: &RequestHead) -> Next {
    const NO_APP: Next = Next::Answer(Answer::BadGateway("the app does not accept connections"));
    let mut body = Body::new(request.framing);
    let bytes = connection.inbound.bytes();
    let first = match body.advance(&bytes[request.length..]) {
        Ok(taken) => request.length + taken,
        Err(malformed) => return Next::Answer(malformed.into()),
    };
    let (relay, tunnel) = (connection.relay, request.may_tunnel().then(|| connection.relay.tunnels.try_one()));
    if let Some(None) = tunnel {
        return Next::Answer(Answer::Overloaded);
    }
    let pool = &relay.pool;
    let may_repeat = request.may_repeat && first <= MOST_REPEATED;
    let own = connection.own.take();
    let was_bound = own.is_some() || pool.app().knows_its_client();
    let own = own.map(|own| *own);
    let Ok((mut upstream, taken)) =
        pool.send(connection.client, own, &bytes[..first], connection.now, may_repeat).await
    else {
        return NO_APP;
    };
    // Kept only where the app may just have closed the connection, and RFC 9110 9.2.2 lets a proxy send it again.
    let again = upstream.is_reused() && may_repeat && taken == first;
    let again = again.then(|| (bytes[..first].to_vec(), Instant::now()));
    connection.inbound.consume(taken);
    let mut tried = attempt(connection, request, &upstream.stream, body, first - taken).await;
    if let Some((again, _)) = again.filter(|(_, sent)| tried.is_unanswered && sent.elapsed() < REPEATED_WITHIN) {
        // Boxed: it is rare, and a connection should not own room for it.
        let Ok(fresh) = Box::pin(pool.send_anew(connection.client, &again)).await else { return NO_APP };
        upstream = fresh;
        tried = Box::pin(attempt(connection, request, &upstream.stream, body, 0)).await;
    }
    match tried.is_reusable {
        true if was_bound || tried.is_bound => connection.own = Some(Box::new(upstream.rested())),
        true => pool.put(upstream),
        false => {}
    }
    tried.next
}

/// Passes what is left of a request of which the app has the rest, and its answer.
async fn attempt(
    connection: &mut Connection<'_>,
    request: &RequestHead,
    app: &TcpStream,
    body: Body,
    unsent: usize,
) -> Tried {
    let (client, relay, share) = (connection.client, connection.relay, &connection.share);
    let exchange = Exchange { client, app, relay, share, request, progress: Progress::default() };
    let mut outbound = Buffer::new(&relay.shared.quota);
    let outcome = exchange.both_ways(&mut connection.inbound, &mut outbound, body, unsent).await;
    let is_reusable = exchange.is_reusable(&outcome) && outbound.is_empty();
    let is_unanswered = exchange.is_unanswered(&outcome) && outbound.is_empty();
    let is_bound = request.binds_connection || exchange.is(&exchange.progress.binds_connection);
    let next = match outcome {
        Outcome::Ended(Ending::Tunnel) => {
            #[cfg(feature = "planted")]
            share.forget_if(crate::sidecar::planted::Fault::ForgetsTunnels);
            let inbound = &mut connection.inbound;
            // Boxed: most connections become no tunnel, and should not own room for one.
            Next::End(if request.websocket {
                let last_call = relay.shared.last_call();
                Box::pin(tunnel::run_websocket(client, app, inbound, &mut outbound, &last_call, relay.stall)).await
            } else {
                Box::pin(tunnel::run(client, app, inbound, &mut outbound, Some(relay.stall))).await
            })
        }
        outcome => exchange.next(&outcome),
    };
    Tried { next, is_reusable, is_unanswered, is_bound }
}

impl Exchange<'_> {
    /// Runs both directions until the answer has ended and the request has been passed on, or cannot be.
    async fn both_ways(
        &self,
        inbound: &mut Buffer<'_>,
        outbound: &mut Buffer<'_>,
        body: Body,
        unsent: usize,
    ) -> Outcome {
        let mut sending = pin!(self.send(inbound, body, unsent));
        let mut answering = pin!(response::relay(self, outbound));
        let (mut ended, mut patience) = (None, None);
        poll_fn(|context| {
            // Once the request has been sent, the answer may end the exchange without another look at the client.
            let sent = self.has_sent_request();
            if !sent && let Poll::Ready(stop) = sending.as_mut().poll(context) {
                return Poll::Ready(Outcome::Stopped(stop));
            }
            if ended.is_none()
                && let Poll::Ready(ending) = answering.as_mut().poll(context)
            {
                ended = Some(ending);
                self.set(&self.progress.answer_ended);
            }
            if let Some(ending) = ended.filter(|ending| self.is_over(*ending)) {
                return Poll::Ready(Outcome::Ended(ending));
            }
            if sent && let Poll::Ready(stop) = sending.as_mut().poll(context) {
                return Poll::Ready(Outcome::Stopped(stop));
            }
            if ended.is_some() && self.app_stands_still(&mut patience, context) {
                return Poll::Ready(Outcome::Stopped(Stop::Stalled));
            }
            Poll::Pending
        })
        .await
    }

    /// Whether the app, which has answered already, has taken nothing of the request's body for too long.
    fn app_stands_still(&self, patience: &mut Option<Patience>, context: &mut Context<'_>) -> bool {
        let taken = self.progress.taken.load(Ordering::Relaxed);
        let rest = || Box::pin(tokio::time::sleep(self.relay.stall));
        let patience = patience.get_or_insert_with(|| Patience { rest: rest(), taken });
        while patience.rest.as_mut().poll(context).is_ready() {
            if patience.taken == taken {
                return true;
            }
            *patience = Patience { rest: rest(), taken };
        }
        false
    }

    /// Whether nothing is left to do after the answer has ended. An app that answers early and keeps the connection goes
    /// on reading the body; after a final answer to `Expect` nobody knows whether the client will send it.
    fn is_over(&self, ending: Ending) -> bool {
        let Ending::Whole { app_keeps, .. } = ending else { return true };
        self.is(&self.progress.request_sent)
            || self.is(&self.progress.app_refuses_more)
            || !app_keeps
            || self.request.expects_continue
    }

    /// Passes the body on, then watches the client.
    async fn send(&self, inbound: &mut Buffer<'_>, body: Body, unsent: usize) -> Stop {
        match self.send_body(inbound, body, unsent).await {
            Ok(true) => {
                self.set(&self.progress.request_sent);
                return self.watch_client(inbound).await;
            }
            // The app may have answered before it stopped reading; only its answer ends the exchange now.
            Ok(false) => {
                self.set(&self.progress.app_refuses_more);
                self.client_gone().await;
                Stop::ClientGone
            }
            Err(stop) => stop,
        }
    }

    /// Reads ahead of the request being served: later ones count at once, and the client's half-close is passed on.
    /// Returns when the client has gone, or what it has sent ahead cannot be held any longer.
    async fn watch_client(&self, inbound: &mut Buffer<'_>) -> Stop {
        if inbound.is_empty() {
            match inbound.fill(self.client).await {
                Ok(0) => {
                    self.set(&self.progress.client_half_closed);
                    socket::shut_write(self.app);
                }
                Ok(_) => {}
                Err(_) => return Stop::ClientGone,
            }
        }
        // What follows a request for a tunnel is a request only if the app declines; it counts then.
        if !self.request.may_tunnel() {
            count(self.relay, self.share, 1 + requests_begun(inbound.bytes()));
        }
        if inbound.is_empty() {
            self.client_gone().await;
            return Stop::ClientGone;
        }
        // Boxed: it is rare, and a connection should not own room for it.
        let held = Box::pin(self.relay.shared.quota.hold(inbound.size(), self.client_gone())).await;
        held.map_or(Stop::NoRoom, |()| Stop::ClientGone)
    }

    async fn client_gone(&self) {
        // An error of the socket, or of the wait for it: either way the client has gone.
        let _ = self.client.ready(Interest::ERROR).await;
    }

    /// Whether the app has taken all of it.
    async fn send_body(&self, inbound: &mut Buffer<'_>, mut body: Body, mut unsent: usize) -> Result<bool, Stop> {
        loop {
            if unsent > 0 {
                if inbound.pass_on(unsent, self.app).await.is_err() {
                    return Ok(false);
                }
                self.progress.taken.fetch_add(1, Ordering::Relaxed);
            }
            if inbound.may_have_more() && body.opaque() >= WORTH_IT {
                inbound.release();
                match self.carry(body.opaque()).await {
                    Ok(count) => body.pass(count),
                    Err(splice::Failed::Receiver(_)) => return Ok(false),
                    Err(splice::Failed::Sender) => return Err(Stop::ClientGone),
                }
            }
            if body.is_done() {
                return Ok(true);
            }
            match self.more_of_body(inbound).await? {
                Ok(0) | Err(_) => return Err(Stop::ClientGone),
                Ok(_) => unsent = body.advance(inbound.bytes()).map_err(Stop::Malformed)?,
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Passes on what the client has sent of the body so far, and answers how much.
    async fn carry(&self, most: u64) -> Result<u64, splice::Failed> {
        let told = || {
            self.progress.taken.fetch_add(1, Ordering::Relaxed);
        };
        // Boxed: it is rare, and a connection should not own room for it.
        Box::pin(splice::carry(self.client, self.app, most, None, told)).await
    }

    /// Waits for more of the body, as long as the client may be the one that waits: for `100 Continue`, or for an answer
    /// that is under way. Else its silence has a limit.
    async fn more_of_body(&self, inbound: &mut Buffer<'_>) -> Result<io::Result<usize>, Stop> {
        let mut heads = self.progress.heads.load(Ordering::Relaxed);
        loop {
            let filled = tokio::time::timeout(self.relay.stall, inbound.fill(self.client)).await;
            let before = std::mem::replace(&mut heads, self.progress.heads.load(Ordering::Relaxed));
            match filled {
                Ok(filled) => return Ok(filled),
                Err(_) if heads > before || self.client_may_wait(heads) => {}
                Err(_) => return Err(Stop::Stalled),
            }
        }
    }

    fn client_may_wait(&self, heads: u32) -> bool {
        let answering = self.is(&self.progress.answer_begun) && !self.is(&self.progress.answer_ended);
        answering || (self.request.expects_continue && heads == 0)
    }

    /// Whether the app has the whole request.
    pub fn has_sent_request(&self) -> bool {
        self.is(&self.progress.request_sent)
    }

    fn next(&self, outcome: &Outcome) -> Next {
        match outcome {
            Outcome::Ended(Ending::Whole { client_keeps, .. }) => {
                self.share.finish_one();
                let keep = *client_keeps && self.is(&self.progress.request_sent);
                if keep && !self.is(&self.progress.client_half_closed) {
                    Next::Request
                } else {
                    Next::End(End::Answered)
                }
            }
            Outcome::Ended(Ending::NoAnswer(why)) => Next::Answer(Answer::BadGateway(why)),
            Outcome::Stopped(Stop::Stalled) if !self.is(&self.progress.answer_begun) => Next::Answer(Answer::Timeout),
            Outcome::Stopped(Stop::NoRoom) if !self.is(&self.progress.answer_begun) => Next::Answer(Answer::Overloaded),
            // The answer is whole: the client may read it before it learns that nobody waits for the rest of its body.
            Outcome::Stopped(Stop::Stalled) if self.is(&self.progress.answer_ended) => Next::End(End::Answered),
            Outcome::Stopped(Stop::Malformed(malformed)) if !self.is(&self.progress.answer_begun) => {
                Next::Answer((*malformed).into())
            }
            Outcome::Ended(Ending::CutShort) | Outcome::Stopped(Stop::Malformed(_) | Stop::Stalled | Stop::NoRoom) => {
                Next::End(End::CutShort)
            }
            Outcome::Ended(Ending::ClientGone | Ending::Tunnel) | Outcome::Stopped(Stop::ClientGone) => {
                Next::End(End::Gone)
            }
        }
    }

    fn is_reusable(&self, outcome: &Outcome) -> bool {
        let kept = matches!(outcome, Outcome::Ended(Ending::Whole { app_keeps: true, .. }));
        kept && self.is(&self.progress.request_sent) && !self.is(&self.progress.client_half_closed)
    }

    /// Whether the app has ended it without a byte of an answer.
    fn is_unanswered(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Ended(Ending::NoAnswer(_))) && self.progress.heads.load(Ordering::Relaxed) == 0
    }

    #[expect(clippy::unused_self, reason = "reads as one word with its twin")]
    fn is(&self, flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    #[expect(clippy::unused_self, reason = "reads as one word with its twin")]
    fn set(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Relaxed);
    }
}
