//! `Connection: close` put into the head of an answer: how a draining sidecar asks a client to go elsewhere.
//!
//! **Invariant:** every other line keeps its bytes and its place; connection options other than keep-alive and close stay.

use super::lines::{field, lines};

/// The head of an answer with `Connection: close` in it, and without `Keep-Alive`. `head` is whole and well-formed.
#[must_use]
pub fn with_close(head: &[u8]) -> Vec<u8> {
    let mut edited = Vec::with_capacity(head.len() + 24);
    let mut options = Vec::new();
    for line in lines(head) {
        match field(line) {
            Some((name, value)) if name.eq_ignore_ascii_case(b"connection") => keep_options(value, &mut options),
            Some((name, _)) if name.eq_ignore_ascii_case(b"keep-alive") => {}
            _ if line == b"\r\n" => {
                edited.extend_from_slice(b"Connection: ");
                edited.extend_from_slice(&options);
                edited.extend_from_slice(b"close\r\n\r\n");
            }
            _ => edited.extend_from_slice(line),
        }
    }
    edited
}

fn keep_options(value: &[u8], options: &mut Vec<u8>) {
    for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let about_persistence = option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive");
        if !option.is_empty() && !about_persistence {
            options.extend_from_slice(option);
            options.extend_from_slice(b", ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::with_close;

    fn edited(head: &str) -> String {
        String::from_utf8(with_close(head.as_bytes())).unwrap()
    }

    #[test]
    fn close_is_added_where_nothing_was_said() {
        assert_eq!(
            edited("HTTP/1.1 200 OK: fine\r\nX:  a\r\n\r\n"),
            "HTTP/1.1 200 OK: fine\r\nX:  a\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn close_replaces_keep_alive_and_its_parameters() {
        assert_eq!(
            edited("HTTP/1.1 200 OK\r\nconnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nA: b\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn other_connection_options_stay_and_close_is_said_once() {
        assert_eq!(
            edited("HTTP/1.1 200 OK\r\nConnection: x-hop, close\r\nConnection: keep-alive, other\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nConnection: x-hop, other, close\r\n\r\n"
        );
    }
}
