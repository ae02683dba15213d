//! What the admin port is told. (The socket on which a termination is announced reads nothing: to connect is the message.)

use crate::fuzz;
use restart_controller::sidecar::drain::Drain;
use restart_controller::sidecar::state::Shared;
use restart_controller::wire::{DrainCommand, Mode};

const WORDS: [&[u8]; 8] = [b"{", b"}", b"\"", b"null", b"-1", b"99999999999999999999", b"[[[[[[", b"\\ud800"];

#[test]
fn drain_commands() {
    let seed = r#"{"podUid":"pod","boot":"b","challenge":"c","action":"Drain","ttlSeconds":30,"newRequests":"Serve","keyId":"k","signature":"AAAA"}"#;
    let seeds = [seed.as_bytes().to_vec(), seed.replace("AAAA", &"A".repeat(86)).into_bytes()];
    assert!(serde_json::from_str::<DrainCommand>(seed).is_ok(), "a seed that is refused leads nowhere");
    fuzz("drain commands", &seeds, &WORDS, |bytes, _| {
        if let Ok(command) = serde_json::from_slice::<DrainCommand>(bytes) {
            let shared = Shared::new(Mode::Http, Drain::new("pod".into(), std::iter::empty().collect()));
            assert!(shared.obey(&command).is_err(), "obeyed without a key");
        }
    });
}
