//! Clients of HTTP/2.

use super::app::body;
use super::kind::Kind;
use super::truth::{Truth, soon};
use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::Request;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Streams at a time on one connection, and how often before the connection is replaced.
const STREAMS: usize = 8;
const ROUNDS: usize = 200;

/// Makes requests until there are no more to make.
pub async fn run(sidecar: SocketAddr, truth: &Truth) {
    let mut again: Vec<u64> = Vec::new();
    let mut more = true;
    while more || !again.is_empty() {
        let send = connect(sidecar).await;
        for _ in 0..ROUNDS {
            let mut ids = std::mem::take(&mut again);
            while more && ids.len() < STREAMS {
                let next = truth.next();
                more = next.is_some();
                ids.extend(next);
            }
            let asked = ids.iter().map(|id| soon("a stream ends", ask(send.clone(), *id, truth)));
            let taken = futures::future::join_all(asked).await;
            // A connection that was told to leave takes no more: on a new one, as clients do.
            again = ids.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(id, _)| *id).collect();
            if !again.is_empty() || !more {
                break;
            }
        }
    }
}

async fn connect(sidecar: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(sidecar).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send
}

/// Whether the connection took the request. One that has sent GOAWAY meanwhile has not (RFC 9113 section 6.8), whatever
/// the client had sent of it: the ledger would see it if the app had got it all the same.
async fn ask(send: SendRequest<Bytes>, id: u64, truth: &Truth) -> bool {
    let kind = Kind::of(id);
    let Ok(mut send) = send.ready().await else { return false };
    let mut beginning = Box::pin(truth.beginning(id));
    let request = Request::get(format!("http://a/{id:x}")).body(()).unwrap();
    let upload = kind.upload(id);
    let Ok((mut answer, mut body)) = send.send_request(request, upload.is_none()) else { return false };
    drop(send);
    if let Some(size) = upload {
        body.send_data(vec![b'b'; size].into(), true).unwrap();
    }
    let got = if kind == Kind::ClientResets {
        tokio::select! {
            () = &mut beginning => {
                truth.end(id);
                body.send_reset(Reason::CANCEL);
                Ok(None)
            }
            early = &mut answer => Err(early.err().unwrap_or_else(|| Reason::INTERNAL_ERROR.into())),
        }
    } else {
        whole(answer, kind, id, truth, &mut body).await
    };
    if let Err(error) = &got
        && error.is_go_away()
        && error.reason() == Some(Reason::NO_ERROR)
    {
        truth.again();
        return false;
    }
    let right = match (kind, &got) {
        (Kind::AppResets | Kind::AppResetsInMidAnswer, Err(error)) => error.is_reset(),
        (Kind::ClientResets | Kind::ClientResetsInMidAnswer, Ok(None)) => true,
        (Kind::AppResets | Kind::AppResetsInMidAnswer | Kind::ClientResets | Kind::ClientResetsInMidAnswer, _) => false,
        (_, Ok(Some(got))) => got == self::body(id).as_bytes(),
        (_, _) => false,
    };
    if !right {
        truth.is_wrong(format!("{kind:?} {id} of HTTP/2 got {got:?}"));
    }
    truth.done();
    true
}

/// The whole body of the answer; nothing if the client has reset it.
async fn whole(
    answer: h2::client::ResponseFuture,
    kind: Kind,
    id: u64,
    truth: &Truth,
    request: &mut h2::SendStream<Bytes>,
) -> Result<Option<Vec<u8>>, h2::Error> {
    let mut answer = answer.await?.into_body();
    let mut got = Vec::new();
    while let Some(data) = answer.data().await {
        let data = data?;
        got.extend_from_slice(&data);
        answer.flow_control().release_capacity(data.len())?;
        if kind == Kind::ClientResetsInMidAnswer {
            truth.end(id);
            request.send_reset(Reason::CANCEL);
            return Ok(None);
        }
    }
    answer.trailers().await?;
    Ok(Some(got))
}
