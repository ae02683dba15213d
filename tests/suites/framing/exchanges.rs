//! Ordinary exchanges, drawn by chance: through the sidecar's own data path and through hyper alone they come out the same.

use super::proxies::{self, Side};
use super::reader::{Kind, Message, TOLERANT};
use std::fmt::Write as _;

const SEQUENCES: u64 = 100;

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What the app answers to `/s<sequence>-<place>-<kind>`, if that is the path.
pub fn answer(path: &str, to_head: bool) -> Option<(Vec<u8>, bool)> {
    let kind = path.strip_prefix("/s")?.rsplit('-').next()?;
    let (head, body, closes) = match kind {
        "0" => ("200 OK\r\nContent-Length: 5\r\nX: y", "hello".to_owned(), false),
        "1" => ("200 OK\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n".to_owned(), false),
        "2" => {
            ("201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: T", "1\r\na\r\n0\r\nT: x\r\n\r\n".to_owned(), false)
        }
        "3" => ("204 No Content", String::new(), false),
        "4" => ("304 Not Modified\r\nETag: \"a\"", String::new(), false),
        "5" => ("404 Not Found\r\nContent-Length: 0", String::new(), false),
        "6" => ("200 OK\r\nContent-Length: 40000", "z".repeat(40_000), false),
        "7" => ("200 OK\r\nConnection: close\r\nContent-Length: 2", "ok".to_owned(), true),
        _ => return None,
    };
    let body = if to_head { "" } else { &body };
    Some((format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes(), closes))
}

/// Requests on one connection, and their methods; the last says that it is.
fn sequence(number: u64) -> (String, Vec<&'static str>) {
    let mut chance = Chance(number + 1);
    let (mut bytes, mut methods) = (String::new(), vec![]);
    let count = 1 + chance.below(4);
    for place in 0..count {
        let last = place + 1 == count;
        // Only the last answer may end the connection.
        let path = format!("/s{number}-{place}-{}", chance.below(if last { 8 } else { 7 }));
        let method = ["GET", "GET", "HEAD", "POST", "PUT", "DELETE"][usize::try_from(chance.below(6)).unwrap()];
        methods.push(method);
        let close = if last { "Connection: close\r\n" } else { "" };
        let _ = write!(bytes, "{method} {path} HTTP/1.1\r\nHost: a\r\nX-Any: {place}\r\n{close}");
        let body = "b".repeat(usize::try_from(chance.below(2_000)).unwrap());
        match (matches!(method, "POST" | "PUT"), chance.below(2)) {
            (false, _) => bytes += "\r\n",
            (true, 0) => write!(bytes, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap(),
            (true, _) => {
                bytes += "Transfer-Encoding: chunked\r\n\r\n";
                for chunk in body.as_bytes().chunks(1 + usize::try_from(chance.below(900)).unwrap()) {
                    write!(bytes, "{:x}\r\n{}\r\n", chunk.len(), "b".repeat(chunk.len())).unwrap();
                }
                bytes += "0\r\n\r\n";
            }
        }
    }
    (bytes, methods)
}

/// A message in short: words of its first line, length of its body, whether it is whole.
fn short(message: &Message, words: std::ops::Range<usize>) -> String {
    let line: Vec<_> = message.line.split(' ').collect();
    format!("{} {} {}", line.get(words).unwrap_or_default().join(" "), message.body.len(), message.whole)
}

/// What the client got.
async fn got(side: &Side, number: u64) -> Vec<String> {
    let (bytes, methods) = sequence(number);
    let (answer, ended) = super::exchange(side, bytes.as_bytes()).await;
    assert!(ended, "sequence {number}: the connection stays open: {bytes:?}");
    TOLERANT.read(Kind::Answers(&methods, ended), &answer).iter().map(|message| short(message, 1..2)).collect()
}

/// What the app saw.
fn seen(side: &Side) -> Vec<String> {
    let carried = side.app.about("/s");
    let messages = carried.iter().flat_map(|carried| TOLERANT.read(Kind::Requests, carried));
    let mut seen: Vec<_> = messages.map(|message| short(&message, 0..2)).collect();
    seen.sort();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_exchanges_come_out_as_they_do_of_hyper() {
    // With kept connections to the app on both sides, as they are by default.
    let (ours, hyper) = (proxies::ours().await, proxies::hyper().await);
    let all = (0..SEQUENCES).map(|number| {
        let sides = (&ours.answers, &hyper.answers);
        async move { tokio::join!(got(sides.0, number), got(sides.1, number)) }
    });
    for (number, (ours, hyper)) in (0..).zip(futures::future::join_all(all).await) {
        let (bytes, methods) = sequence(number);
        assert_eq!(ours, hyper, "sequence {number}: {bytes:?}");
        assert_eq!(ours.len(), methods.len(), "sequence {number}: {ours:?}");
    }
    assert_eq!(seen(&ours.answers), seen(&hyper.answers));
    println!("{SEQUENCES} connections with {} requests: as through hyper", seen(&ours.answers).len());
}
