//! HTTP/1.1: what is accepted is the same however it is cut, and says the same to every reader that might stand behind.

use crate::cases::{ANSWERS, REQUESTS};
use crate::fuzz;
use crate::mutate::Source;
use crate::reader::{Kind, READERS};
use restart_controller::sidecar::http::ahead::requests_begun;
use restart_controller::sidecar::http::body::Body;
use restart_controller::sidecar::http::close_header::with_close;
use restart_controller::sidecar::http::h2c_header::without_h2c;
use restart_controller::sidecar::http::head::{self, Framing, RequestHead};

const WORDS: [&[u8]; 22] = [
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b", ",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Upgrade: websocket, h2c\r\n",
    b"HTTP2-Settings: a\r\n",
    b"Host: b\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n",
    b"ffffffffffffffff\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
];

/// Where the head ends when the bytes come in these pieces; none for a refusal, too.
fn end_of_head(pieces: &[&[u8]]) -> Option<usize> {
    let (mut bytes, mut scanned) = (Vec::new(), 0);
    for piece in pieces {
        bytes.extend(*piece);
        match head::find_end(&bytes, &mut scanned) {
            Ok(None) => {}
            Ok(end) => return end,
            Err(_) => return None,
        }
    }
    None
}

/// How long the body is when it comes in these pieces: none for a refusal, false for one that has not ended.
fn body_in(pieces: &[&[u8]], framing: Framing) -> Option<(usize, bool)> {
    let (mut body, mut length) = (Body::new(framing), 0);
    for piece in pieces {
        let taken = body.advance(piece).ok()?;
        assert!(taken <= piece.len() && (taken == piece.len() || body.is_done()), "past the end, or short of it");
        length += taken;
        if body.is_done() {
            break;
        }
    }
    Some((length, body.is_done()))
}

/// All readers find exactly this message in the bytes.
fn read_alike(kind: Kind<'_>, bytes: &[u8]) {
    let first = READERS[0].read(kind, bytes);
    assert!(first.len() == 1 && first[0].whole, "not one message: {first:?}");
    for reader in READERS {
        assert_eq!(reader.read(kind, bytes), first, "{reader:?}");
    }
}

fn request(bytes: &[u8], source: &mut Source) {
    assert!(requests_begun(bytes) <= bytes.len() as u64);
    let Some(end) = end_of_head(&[bytes]) else { return };
    let Ok(request) = head::parse_request(&bytes[..end]) else { return };
    assert_eq!(request.length, end);
    assert_eq!(end_of_head(&source.pieces(bytes)), Some(end), "cut otherwise, another end of the head");
    edited(&bytes[..end], &request);
    let body = body_in(&[&bytes[end..]], request.framing);
    let cut = body_in(&source.pieces(&bytes[end..]), request.framing);
    assert_eq!(body, cut, "cut otherwise, another body");
    if let Some((length, true)) = body {
        read_alike(Kind::Requests, &bytes[..end + length]);
    }
}

/// A head without the offer of h2c is a head, with the same framing.
fn edited(bytes: &[u8], request: &RequestHead) {
    if request.offers_h2c {
        let without = without_h2c(bytes);
        let edited = head::parse_request(&without).expect("still well-formed");
        assert!(!edited.offers_h2c && without.len() <= bytes.len());
        assert_eq!(edited.framing, request.framing);
    }
}

fn answer(bytes: &[u8], source: &mut Source) {
    let Some(end) = end_of_head(&[bytes]) else { return };
    let Ok(answer) = head::parse_response(&bytes[..end]) else { return };
    assert_eq!(end_of_head(&source.pieces(bytes)), Some(end), "cut otherwise, another end of the head");
    let closing = with_close(&bytes[..end]);
    let edited = head::parse_response(&closing).expect("still well-formed");
    assert!(!edited.keep_alive && edited.framing == answer.framing);
    let body = body_in(&[&bytes[end..]], answer.framing);
    assert_eq!(body, body_in(&source.pieces(&bytes[end..]), answer.framing), "cut otherwise, another body");
    if let (Some((length, true)), 200..) = (body, answer.status) {
        read_alike(Kind::Answers(&["GET"], false), &bytes[..end + length]);
    }
}

#[test]
fn requests() {
    let seeds: Vec<_> = REQUESTS.iter().map(|case| case.bytes.as_bytes().to_vec()).collect();
    fuzz("requests", &seeds, &WORDS, request);
}

#[test]
fn answers() {
    let seeds: Vec<_> = ANSWERS.iter().map(|case| case.bytes.as_bytes().to_vec()).collect();
    fuzz("answers", &seeds, &WORDS, answer);
}

#[test]
fn chunks() {
    let seeds: Vec<_> = REQUESTS.iter().filter_map(|case| case.bytes.split_once("chunked\r\n\r\n")).collect();
    let seeds: Vec<_> = seeds.into_iter().map(|(_, body)| body.as_bytes().to_vec()).collect();
    fuzz("chunks", &seeds, &WORDS, |bytes, source| {
        let pieces = source.pieces(bytes);
        assert_eq!(body_in(&[bytes], Framing::Chunked), body_in(&pieces, Framing::Chunked));
    });
}
