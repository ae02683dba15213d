//! A server that does wrong on request.
//!
//! **Invariant:** it speaks HTTP by hand, as no library would let it do these things.

use crate::load::ledger::Ledger;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Answer,
    /// After 300 ms.
    AnswerLate,
    AnswerAndClose,
    /// Answers, but the ledger never hears of it.
    AnswerWithoutEnd,
    AnswerEndedTwice,
    WrongId,
    NoJson,
    NoHttp,
    Status500,
    /// 503 with `Retry-After: 0`, and the ledger never hears of it.
    TurnAway,
    /// Reads the request and closes in good order.
    Close,
    /// Closes in the middle of the answer.
    Truncate,
    /// Reads the request and resets.
    Reset,
    /// Resets with the request unread.
    ResetUnread,
    /// Reports the beginning of the request, then resets.
    BeginAndReset,
    /// Resets 300 ms after the request came.
    ResetLate,
    /// Never answers.
    Silence,
}

/// Which request it is.
pub struct Seen {
    /// Among all, from 0.
    pub number: u64,
    /// On its connection, from 0.
    pub on_connection: u64,
}

/// Serves until the test ends.
pub async fn start(ledger: Arc<Ledger>, act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (act, number) = (Arc::new(act), Arc::new(AtomicU64::new(0)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (act, number, ledger) = (Arc::clone(&act), Arc::clone(&number), Arc::clone(&ledger));
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                for on_connection in 0.. {
                    // A request counts when its first byte is there; a connection closed without one has none.
                    if !matches!(stream.get_ref().peek(&mut [0]).await, Ok(1)) {
                        return;
                    }
                    let seen = Seen { number: number.fetch_add(1, Ordering::Relaxed), on_connection };
                    if one(&mut stream, act(&seen), &ledger).await.is_none() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// One request; none ends the connection.
async fn one(stream: &mut BufReader<TcpStream>, act: Act, ledger: &Ledger) -> Option<()> {
    if act == Act::ResetUnread {
        return reset(stream);
    }
    let (id, size) = read(stream).await?;
    match act {
        Act::Reset => return reset(stream),
        Act::Close => return None,
        Act::Silence => std::future::pending().await,
        Act::TurnAway => {
            let answer =
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.ok()?;
            return None;
        }
        _ => ledger.line(&format!("begin {id} test")),
    }
    match act {
        Act::BeginAndReset => return reset(stream),
        Act::AnswerLate | Act::ResetLate => tokio::time::sleep(Duration::from_millis(300)).await,
        _ => {}
    }
    let ends = match act {
        Act::ResetLate => return reset(stream),
        Act::AnswerWithoutEnd => 0,
        Act::AnswerEndedTwice => 2,
        _ => 1,
    };
    for _ in 0..ends {
        ledger.line(&format!("end {id} test"));
    }
    stream.write_all(answer(act, &id, size).as_bytes()).await.ok()?;
    (![Act::AnswerAndClose, Act::Truncate, Act::NoHttp].contains(&act)).then_some(())
}

fn answer(act: Act, id: &str, size: usize) -> String {
    let said = match act {
        Act::WrongId => r#"{"id":"another","received":0}"#.into(),
        Act::NoJson => "hello".into(),
        _ => format!(r#"{{"id":"{id}","received":{size}}}"#),
    };
    let status = if act == Act::Status500 { "500 Internal Server Error" } else { "200 OK" };
    let missing = usize::from(act == Act::Truncate);
    match act {
        Act::NoHttp => "hello\r\n\r\n".into(),
        _ => format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{said}", said.len() + missing),
    }
}

/// Without the wait for unsent data a close is a reset.
fn reset(stream: &BufReader<TcpStream>) -> Option<()> {
    stream.get_ref().set_zero_linger().unwrap();
    None
}

/// Reads a request to its end and returns its id and the size of its body.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, usize)> {
    let (mut id, mut size) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
        if let Some((_, rest)) = line.split_once("?id=") {
            id = rest.split(['&', ' ']).next()?.into();
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            size = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            stream.read_exact(&mut vec![0; size]).await.ok()?;
            return Some((id, size));
        }
    }
}
