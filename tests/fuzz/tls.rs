//! The greeting of a client that speaks TLS.

use crate::fuzz;
use restart_controller::sidecar::tls::server_name;

const WORDS: [&[u8]; 6] = [b"\x00\x00", b"\xff\xff", b"\x16\x03\x01", b"\x01", b"\x00\x10", b"shop"];

/// A greeting that asks for `a.b`, with one extension.
const HELLO: &[u8] = b"\x16\x03\x01\x00\x3b\x01\x00\x00\x37\x03\x03rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00\x00\x0c\x00\x00\x00\x08\x00\x06\x00\x00\x03a.b";

#[test]
fn greetings() {
    assert_eq!(server_name(HELLO), Some("a.b"), "the seed must contain a server name");
    fuzz("TLS greetings", &[HELLO.to_vec()], &WORDS, |bytes, _| {
        if let Some(name) = server_name(bytes) {
            assert!(name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
        }
    });
}
