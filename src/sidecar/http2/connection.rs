//! One client connection of HTTP/2: its streams, GOAWAY, its end.
//!
//! **Invariant:** a connection is told to leave by GOAWAY in two steps (RFC 9113 section 6.8), so that every stream its
//! client has begun by then is served; one with streams in flight is never closed by us.

use super::app::App;
use super::ledger::Ledger;
use super::stream::Stream;
use super::watched::{Patience, Watched};
use crate::sidecar::due::at;
use crate::sidecar::forwarded;
use crate::sidecar::http::connection::Relay;
use crate::sidecar::http::socket;
use crate::sidecar::idle::{Seat, Why};
use crate::sidecar::quota::{HTTP2_CONNECTION, NoRoom};
use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;
use http::header::USER_AGENT;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long an idle connection that is to be closed may take to confirm that it has no more to say, and how often an
/// idle one is looked for after that.
const GOODBYE: Duration = Duration::from_secs(1);
/// The same where its place is needed.
const SHORT_GOODBYE: Duration = Duration::from_millis(200);
/// Resets that may be in hand of streams not taken yet.
const PENDING_RESETS: usize = 50;

/// Serves a client whose first bytes, `early`, are the preface, as soon as there is memory for it.
pub async fn serve(client: TcpStream, early: Bytes, seat: Seat, relay: &Arc<Relay>) {
    let quota = &relay.shared.quota;
    let bytes = HTTP2_CONNECTION + early.len() as u64;
    let charged = quota.charge_when_free(bytes, || {
        relay.shared.idle.make_place();
    });
    let Ok(_charge) = tokio::time::timeout(relay.head_timeout, charged).await else {
        quota.count_refused();
        return;
    };
    let client = Arc::new(client);
    let seat = Arc::new(seat);
    let costs = relay.http2.stream_costs();
    let ledger = Arc::new(Ledger::new(Arc::clone(&relay.shared)).with_seat(Arc::clone(&seat), costs));
    let patience = Patience { head: relay.head_timeout, stall: relay.http2.stall };
    let io = Watched::new(Arc::clone(&client), early, Arc::clone(&ledger), patience);
    let mut ended = Ended::Broken;
    let from = client.peer_addr().ok().map(|address| address.ip());
    if let Ok(Ok(engine)) = tokio::time::timeout(relay.head_timeout, builder(relay).handshake(io)).await {
        let app = Arc::new(App::new(relay.pool.app().on_behalf_of(&client), relay.http2));
        ended = run(engine, &app, &ledger, &seat, relay, from).await;
    }
    ledger.clear();
    if let Some(client) = Arc::into_inner(client) {
        match ended {
            Ended::NoPlace => socket::close_soon(client).await,
            Ended::InOrder if !ledger.is_flooded() => socket::close_after_answer(client).await,
            Ended::InOrder | Ended::Broken => socket::close_broken(client).await,
        }
    }
}

fn builder(relay: &Relay) -> Builder {
    let limits = relay.http2;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        .initial_window_size(limits.window)
        .initial_connection_window_size(limits.connection_window())
        .max_send_buffer_size(limits.send_buffer() as usize)
        .max_header_list_size(super::MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(PENDING_RESETS);
    builder
}

/// How a connection ended.
enum Ended {
    /// All was said.
    InOrder,
    /// The client broke the protocol: what else it sends says nothing.
    Broken,
    /// Another needed its place, and it was idle.
    NoPlace,
}

/// Runs the connection to its end.
async fn run(
    mut engine: Connection<Watched, Bytes>,
    app: &Arc<App>,
    ledger: &Arc<Ledger>,
    seat: &Seat,
    relay: &Arc<Relay>,
    from: Option<IpAddr>,
) -> Ended {
    let (mut drains, mut closing) = (relay.shared.drains(), relay.shared.closing());
    let (mut goodbye, mut is_seated, mut leaves, mut has_said_all) = (None, false, None, false);
    if *closing.borrow_and_update() {
        engine.graceful_shutdown();
        goodbye = Some(Instant::now() + GOODBYE);
    }
    loop {
        tokio::select! {
            biased;
            () = ledger.flooded() => {
                relay.shared.floods.fetch_add(1, Ordering::Relaxed);
                engine.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            _ = drains.changed() => engine.graceful_shutdown(),
            _ = closing.changed() => {
                engine.graceful_shutdown();
                goodbye = Some(Instant::now() + GOODBYE);
            }
            () = at(goodbye) => {
                if has_said_all {
                    return ended(leaves);
                }
                let next = if engine.has_streams() {
                    GOODBYE
                } else {
                    // Names the last stream that is served, so that the client may send again what it has begun since.
                    engine.abrupt_shutdown(Reason::NO_ERROR);
                    has_said_all = true;
                    SHORT_GOODBYE
                };
                goodbye = Some(Instant::now() + next);
            }
            why = seat.is_told(&mut is_seated), if leaves.is_none() => {
                leaves = Some(why);
                engine.graceful_shutdown();
                goodbye = Some(Instant::now() + if why == Why::PlaceNeeded { SHORT_GOODBYE } else { GOODBYE });
            }
            accepted = engine.accept() => match accepted {
                Some(Ok((mut request, respond))) => {
                    if let Some(from) = from.filter(|_| relay.forwarding.is_on()) {
                        forwarded::edit(&relay.forwarding, &mut request, from);
                    }
                    start(request, respond, app, ledger, relay);
                    // A client that comes late gets its first answer before it is sent away.
                    if relay.shared.is_draining() {
                        engine.graceful_shutdown();
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "an HTTP/2 connection broke");
                    return Ended::Broken;
                }
                None => return ended(leaves),
            },
        }
    }
}

fn ended(leaves: Option<Why>) -> Ended {
    match leaves {
        Some(Why::PlaceNeeded) => Ended::NoPlace,
        Some(_) | None => Ended::InOrder,
    }
}

fn start(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    app: &Arc<App>,
    ledger: &Ledger,
    relay: &Arc<Relay>,
) {
    let (counted, charge) = ledger.stream(respond.stream_id().as_u32()).unzip();
    if is_ignored(&request, relay) {
        relay.shared.ignored.fetch_add(1, Ordering::Relaxed);
        if let Some(counted) = &counted {
            counted.set_aside();
        }
    } else {
        relay.shared.arrived(1);
    }
    if let Some(Err(NoRoom)) = charge {
        return respond.send_reset(Reason::REFUSED_STREAM);
    }
    let charge = charge.and_then(Result::ok);
    let (shared, app, limits) = (Arc::clone(&relay.shared), Arc::clone(app), relay.http2);
    tokio::spawn(Stream { shared, app, limits, respond, counted, charge }.run(request));
}

fn is_ignored<T>(request: &Request<T>, relay: &Relay) -> bool {
    let agent = request.headers().get(USER_AGENT).map_or(&[][..], |agent| agent.as_bytes());
    relay.ignored.has_request(request.uri().path().as_bytes(), agent)
}
