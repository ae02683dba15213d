//! One request of HTTP/2 and its answer, both directions at once.
//!
//! **Invariant:** a reset keeps its code on the way through, in either direction; an answer that was cut short is reset and
//! never ended; a request is sent to the app once.

use super::Limits;
use super::app::App;
use super::pump::{self, Patience, Stop};
use crate::sidecar::count::One;
use crate::sidecar::http::answer::Answer;
use crate::sidecar::quota::Charge;
use crate::sidecar::state::Shared;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{Method, Request, Response, Version};
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

/// What is needed to relay a request.
pub struct Stream {
    /// Counts and drain.
    pub shared: Arc<Shared>,
    /// The app.
    pub app: Arc<App>,
    /// Limits of the connection.
    pub limits: Limits,
    /// The way back to the client.
    pub respond: SendResponse<Bytes>,
    /// This stream's part of the count, unless the client has taken it back already.
    pub counted: Option<Arc<One>>,
    /// The memory that is set apart for it.
    pub charge: Option<Arc<Charge>>,
}

/// How an exchange did not end well.
enum Broken {
    /// The app gave nothing that could be passed on.
    NoAnswer(Answer),
    /// The app has reset the stream, or its answer broke off.
    ByApp(Reason),
    /// The client has reset the stream, or left.
    ByClient(Reason),
    /// The client has taken nothing of the answer for too long.
    Stalled,
    /// The memory of what waits for either side is needed more urgently.
    NoRoom,
}

impl Stream {
    /// Relays the request.
    pub async fn run(mut self, request: Request<RecvStream>) {
        let (head, mut body) = request.into_parts();
        let to_head = head.method == Method::HEAD;
        if let Err(broken) = self.relay(head, &mut body).await {
            match broken {
                Broken::NoAnswer(answer) => self.answer(answer, to_head),
                Broken::ByApp(reason) => self.respond.send_reset(reason),
                Broken::Stalled => self.respond.send_reset(Reason::CANCEL),
                Broken::NoRoom => self.respond.send_reset(Reason::ENHANCE_YOUR_CALM),
                Broken::ByClient(_) => {}
            }
        }
        // Only now: what is still to be written counts by the ledger.
        drop(self.counted.take());
    }

    async fn relay(&mut self, mut head: Parts, body: &mut RecvStream) -> Result<(), Broken> {
        if self.shared.rejects() {
            return Err(Broken::NoAnswer(Answer::Draining));
        }
        if head.uri.authority().is_none() {
            // The host stands in a header field only: the engine passes that on for what it takes for HTTP/1.1.
            head.version = Version::HTTP_11;
        }
        let app = Arc::clone(&self.app);
        let mut turn = self.unless_client_leaves(app.ready()).await?.map_err(Broken::NoAnswer)?;
        let no_answer = |_| Broken::NoAnswer(Answer::BadGateway("the request could not be sent to the app"));
        let (response, mut to_app) =
            turn.send.send_request(Request::from_parts(head, ()), body.is_end_stream()).map_err(no_answer)?;
        let ended = self.both_ways(body, response, &mut to_app).await;
        match ended {
            Err(Broken::ByClient(reason)) => to_app.send_reset(reason),
            Err(Broken::Stalled | Broken::NoRoom) => to_app.send_reset(Reason::CANCEL),
            _ => {}
        }
        ended
    }

    /// Runs both directions until the answer has ended and the request has been passed on, or cannot be.
    async fn both_ways(
        &mut self,
        body: &mut RecvStream,
        response: ResponseFuture,
        to_app: &mut SendStream<Bytes>,
    ) -> Result<(), Broken> {
        // An app may take its time with a body: no limit.
        let charge = self.charge.clone();
        let patience = Patience { stall: None, charge: charge.as_deref() };
        let mut sending =
            pin!(async { if body.is_end_stream() { Ok(()) } else { pump::run(body, to_app, patience).await } });
        let mut answering = pin!(self.pass_answer(response));
        let (mut sent, mut answered) = (false, false);
        poll_fn(|context| {
            if !sent && let Poll::Ready(end) = sending.as_mut().poll(context) {
                sent = true;
                match end {
                    Err(Stop::Sender(code)) => {
                        return Poll::Ready(Err(Broken::ByClient(code.unwrap_or(Reason::CANCEL))));
                    }
                    // An app that wants no more of the body may have answered before: only its answer ends the exchange.
                    Err(Stop::NoRoom) => return Poll::Ready(Err(Broken::NoRoom)),
                    Ok(()) | Err(Stop::Receiver(_) | Stop::Stalled) => {}
                }
            }
            if !answered && let Poll::Ready(end) = answering.as_mut().poll(context) {
                end?;
                answered = true;
            }
            if sent && answered { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Passes on the interim answers, the answer, and its body.
    async fn pass_answer(&mut self, mut response: ResponseFuture) -> Result<(), Broken> {
        let answer = loop {
            match self.unless_client_leaves(next_head(&mut response)).await?? {
                Head::Interim(interim) => self.respond.send_informational(interim).map_err(|error| left(&error))?,
                Head::Final(answer) => break answer,
            }
        };
        let (head, mut body) = answer.into_parts();
        let ends = body.is_end_stream();
        let mut to_client =
            self.respond.send_response(Response::from_parts(head, ()), ends).map_err(|error| left(&error))?;
        if ends {
            return Ok(());
        }
        let patience = Patience { stall: Some(self.limits.stall), charge: self.charge.as_deref() };
        pump::run(&mut body, &mut to_client, patience).await.map_err(|stop| match stop {
            Stop::Sender(code) => Broken::ByApp(code.unwrap_or(Reason::INTERNAL_ERROR)),
            Stop::Receiver(code) => Broken::ByClient(code.unwrap_or(Reason::CANCEL)),
            Stop::Stalled => Broken::Stalled,
            Stop::NoRoom => Broken::NoRoom,
        })
    }

    /// What `future` gives, unless the client resets the stream before; only until the answer has begun.
    async fn unless_client_leaves<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Broken> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(given) => Poll::Ready(Ok(given)),
            Poll::Pending => {
                self.respond.poll_reset(context).map(|reset| Err(Broken::ByClient(reset.unwrap_or(Reason::CANCEL))))
            }
        })
        .await
    }

    /// Answers without the app.
    fn answer(&mut self, answer: Answer, to_head: bool) {
        self.shared.answered_itself(answer.status());
        let Ok(mut to_client) = self.respond.send_response(answer.response(), to_head) else { return };
        if !to_head {
            // Short enough for any window; a client that has left needs it no more.
            let _ = to_client.send_data(answer.body().into(), true);
        }
    }
}

/// A head that the app sends.
enum Head {
    Interim(Response<()>),
    Final(Response<RecvStream>),
}

async fn next_head(response: &mut ResponseFuture) -> Result<Head, Broken> {
    poll_fn(|context| poll_head(response, context)).await.map_err(|error| no_answer(&error))
}

fn poll_head(response: &mut ResponseFuture, context: &mut Context<'_>) -> Poll<Result<Head, h2::Error>> {
    match response.poll_informational(context) {
        Poll::Ready(Some(interim)) => Poll::Ready(interim.map(Head::Interim)),
        Poll::Ready(None) | Poll::Pending => Pin::new(response).poll(context).map_ok(Head::Final),
    }
}

/// What an app means that answers with an error instead of a head.
fn no_answer(error: &h2::Error) -> Broken {
    if let Some(code) = pump::reset_code(error) {
        return Broken::ByApp(code);
    }
    if error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR) {
        // It ended the connection in order and has not looked at this request.
        return Broken::ByApp(Reason::REFUSED_STREAM);
    }
    Broken::NoAnswer(Answer::BadGateway("the app gave no answer that could be passed on"))
}

fn left(error: &h2::Error) -> Broken {
    Broken::ByClient(pump::reset_code(error).unwrap_or(Reason::CANCEL))
}
