//! Whether a connection of the app is at work, by what the kernel says of it.
//!
//! **Invariant:** pure; what can be read in two ways is work.

use std::time::Duration;

/// What the kernel says of one of the app's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The kernel's name for it, unique while the machine runs.
    pub cookie: [u8; 8],
    /// The app has closed it; what it wrote before may still be on its way.
    pub closed_by_app: bool,
    /// Bytes that the app has not read.
    pub unread: u32,
    /// Bytes that the client has not confirmed.
    pub unconfirmed: u32,
    /// Segments with data that came in.
    pub segments_received: u32,
    /// Bytes of the app that the client has confirmed.
    pub bytes_confirmed: u64,
    /// Since the app last sent data.
    pub sent_ago: Duration,
    /// Since data last came in.
    pub received_ago: Duration,
}

/// When a connection is idle.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// How long it must have been still.
    pub quiet: Duration,
    /// The app's port never speaks TLS.
    pub plaintext: bool,
}

/// So much an app sends in no handshake of TLS: chains of certificates and session tickets are a few KiB.
const HANDSHAKE: u64 = 16 * 1024;

/// Whether a request may be under way on it.
///
/// It is not when the app has sent something after the last bytes that came in, and both directions have been still since.
/// Equal times decide nothing, as the kernel's clock ticks in up to four milliseconds: a request may have come right after
/// an answer. Nor does what the app sends by itself while a request waits: in TLS 1.3 those are the session tickets, so a
/// connection of more than one message from the client is busy until the app has sent more than any handshake.
/// One on which the client has sent nothing waits for no answer.
#[must_use]
pub fn is_busy(connection: &Connection, rule: Rule) -> bool {
    if connection.closed_by_app {
        // The FIN counts as a byte.
        return connection.unconfirmed > 1;
    }
    if connection.unread > 0 || connection.unconfirmed > 0 {
        return true;
    }
    if connection.segments_received == 0 {
        return false;
    }
    let is_answered = connection.sent_ago < connection.received_ago;
    !is_answered || connection.sent_ago < rule.quiet || may_be_handshake(connection, rule)
}

/// Before the second message of the client no request can have come in TLS 1.3 (early data apart).
fn may_be_handshake(connection: &Connection, rule: Rule) -> bool {
    !rule.plaintext && connection.segments_received > 1 && connection.bytes_confirmed < HANDSHAKE
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const QUIET: Rule = Rule { quiet: Duration::from_secs(2), plaintext: false };
    /// One that has been answered and is idle.
    pub(in crate::sidecar::observe) const STILL: Connection = Connection {
        cookie: [0; 8],
        closed_by_app: false,
        unread: 0,
        unconfirmed: 0,
        segments_received: 1,
        bytes_confirmed: 100,
        sent_ago: Duration::from_secs(9),
        received_ago: Duration::from_millis(9_010),
    };

    #[test]
    fn only_a_connection_whose_last_bytes_were_an_answer_is_idle() {
        let ago = Duration::from_millis;
        for (busy, connection) in [
            (false, STILL),
            (true, Connection { received_ago: ago(8_999), ..STILL }),
            (true, Connection { sent_ago: ago(1_999), ..STILL }),
            (true, Connection { unread: 1, ..STILL }),
            (true, Connection { unconfirmed: 1, ..STILL }),
            (true, Connection { received_ago: ago(9_000), ..STILL }),
            (false, Connection { segments_received: 0, sent_ago: ago(1), received_ago: ago(1), ..STILL }),
            (false, Connection { closed_by_app: true, unconfirmed: 1, received_ago: ago(1), ..STILL }),
            (true, Connection { closed_by_app: true, unconfirmed: 2, ..STILL }),
        ] {
            assert_eq!(is_busy(&connection, QUIET), busy, "{connection:?}");
        }
    }

    #[test]
    fn session_tickets_of_tls_are_no_answer() {
        let plaintext = Rule { plaintext: true, ..QUIET };
        for (busy, plainly, connection) in [
            (true, false, Connection { segments_received: 2, bytes_confirmed: 4_000, ..STILL }),
            (true, false, Connection { segments_received: 3, bytes_confirmed: HANDSHAKE - 1, ..STILL }),
            (false, false, Connection { segments_received: 3, bytes_confirmed: HANDSHAKE, ..STILL }),
        ] {
            assert_eq!(is_busy(&connection, QUIET), busy, "{connection:?}");
            assert_eq!(is_busy(&connection, plaintext), plainly, "{connection:?}");
        }
    }
}
