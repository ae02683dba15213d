//! Frames of WebSocket and HTTP/2, and the ledger that counts by them.

use crate::fuzz;
use restart_controller::sidecar::drain::Drain;
use restart_controller::sidecar::http::websocket::Messages;
use restart_controller::sidecar::http2::frames::Scanner;
use restart_controller::sidecar::http2::ledger::{Ledger, PREFACE};
use restart_controller::sidecar::state::Shared;
use restart_controller::wire::Mode;
use std::sync::Arc;

/// Beginnings of frames, extended lengths, masks.
const WORDS: [&[u8]; 12] = [
    &[0x81, 5],
    &[0x01, 0xfe, 0, 200],
    &[0x88, 0x80, 1, 2, 3, 4],
    &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
    &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86, 0x41, 1, b'a'],
    &[0, 0, 6, 1, 5, 0, 0, 0, 3, 0x82, 0x84, 0x86, 0x41, 1, b'a'],
    &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8],
    &[0, 0, 2, 0, 1, 0, 0, 0, 1, b'o', b'k'],
    &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    &[0, 0, 1, 9, 4, 0, 0, 0, 1, 0],
];

fn seeds(first: usize) -> Vec<Vec<u8>> {
    (first..WORDS.len()).map(|from| WORDS[from..].concat()).collect()
}

#[test]
fn websocket() {
    fuzz("websocket", &seeds(0), &WORDS, |bytes, source| {
        let mut whole = Messages::default();
        assert_eq!(whole.advance(bytes, false), bytes.len());
        let mut cut = Messages::default();
        for mut piece in source.pieces(bytes) {
            // Stopping at the ends of messages leads to the same place.
            while !piece.is_empty() {
                if cut.at_boundary() {
                    assert_eq!(cut.advance(piece, true), 0);
                    piece = &piece[cut.advance(&piece[..1], false)..];
                } else {
                    piece = &piece[cut.advance(piece, true)..];
                }
            }
        }
        assert_eq!((whole.at_boundary(), whole.has_closed()), (cut.at_boundary(), cut.has_closed()));
    });
}

#[test]
fn http2_frames() {
    fuzz("http2 frames", &seeds(5), &WORDS, |bytes, source| {
        let seen = |pieces: &[&[u8]]| {
            let (mut scanner, mut seen) = (Scanner::new(3), Vec::new());
            for piece in pieces {
                scanner.scan(piece, |moment, frame| seen.push((moment, *frame)));
            }
            seen
        };
        assert_eq!(seen(&[bytes]), seen(&source.pieces(bytes)));
    });
}

#[test]
fn http2_ledger() {
    let shared = Arc::new(Shared::new(Mode::Http, Drain::new("pod".into(), std::iter::empty().collect())));
    fuzz("http2 ledger", &seeds(5), &WORDS, |bytes, source| {
        let ledger = Ledger::new(Arc::clone(&shared));
        ledger.received(PREFACE);
        for (number, piece) in source.pieces(bytes).into_iter().enumerate() {
            if number % 3 == 2 {
                ledger.written(piece);
            } else {
                ledger.received(piece);
            }
            assert!(shared.in_flight.now() <= bytes.len() as u64, "more in flight than there are bytes");
        }
        ledger.clear();
        assert_eq!(shared.in_flight.now(), 0, "something stayed behind");
    });
}
