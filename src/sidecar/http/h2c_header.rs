//! The offer of HTTP/2 taken out of a request of HTTP/1.1 (`Upgrade: h2c`, which RFC 9113 has removed).
//!
//! It is an offer to the next hop, and that is us: passed on it would let the app switch to a protocol that nobody counts,
//! in a tunnel that does not end.
//!
//! **Invariant:** every other line keeps its bytes and its place, and the result is shorter than what went in.

use super::lines::{field, lines};

/// The head of a request without that offer. `head` is whole and well-formed.
#[must_use]
pub fn without_h2c(head: &[u8]) -> Vec<u8> {
    let upgrades_remain = lines(head).any(|line| match field(line) {
        Some((name, value)) if name.eq_ignore_ascii_case(b"upgrade") => {
            tokens(value).any(|token| !token.eq_ignore_ascii_case(b"h2c"))
        }
        _ => false,
    });
    let mut edited = Vec::with_capacity(head.len());
    for line in lines(head) {
        match field(line) {
            Some((name, _)) if name.eq_ignore_ascii_case(b"http2-settings") => {}
            Some((name, value)) if name.eq_ignore_ascii_case(b"upgrade") => {
                list(&mut edited, name, tokens(value).filter(|token| !token.eq_ignore_ascii_case(b"h2c")));
            }
            Some((name, value)) if name.eq_ignore_ascii_case(b"connection") => {
                let stays = |token: &&[u8]| {
                    !token.eq_ignore_ascii_case(b"http2-settings")
                        && (upgrades_remain || !token.eq_ignore_ascii_case(b"upgrade"))
                };
                list(&mut edited, name, tokens(value).filter(stays));
            }
            _ => edited.extend_from_slice(line),
        }
    }
    edited
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Writes a field with these tokens, or nothing for none; no longer than the line they come from.
fn list<'a>(edited: &mut Vec<u8>, name: &[u8], tokens: impl Iterator<Item = &'a [u8]>) {
    let mut before = [name, b":"].concat();
    for token in tokens {
        edited.extend_from_slice(&before);
        edited.extend_from_slice(token);
        before = b",".to_vec();
    }
    if before == b"," {
        edited.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::without_h2c;

    fn edited(head: &str) -> String {
        let edited = String::from_utf8(without_h2c(head.as_bytes())).unwrap();
        assert!(edited.len() <= head.len());
        edited
    }

    #[test]
    fn the_offer_goes_and_everything_else_stays() {
        assert_eq!(
            edited(
                "GET http://a:1/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nX:  y\r\n\r\n"
            ),
            "GET http://a:1/ HTTP/1.1\r\nHost: a\r\nX:  y\r\n\r\n"
        );
        assert_eq!(
            edited("GET / HTTP/1.1\r\nconnection:close , upgrade\r\nUPGRADE: H2C\r\n\r\n"),
            "GET / HTTP/1.1\r\nconnection:close\r\n\r\n"
        );
    }

    #[test]
    fn other_offers_beside_it_stay() {
        assert_eq!(
            edited("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c, websocket\r\nUpgrade: h2c\r\n\r\n"),
            "GET / HTTP/1.1\r\nConnection:upgrade\r\nUpgrade:websocket\r\n\r\n"
        );
    }
}
