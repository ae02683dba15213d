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
    /// Segments with data that went out.
    pub segments_sent: u32,
    /// Since the app last sent data.
    pub sent_ago: Duration,
    /// Since data last came in.
    pub received_ago: Duration,
}

/// Whether a request may be under way on it.
///
/// It is not when the last bytes were the app's, and both directions have been still for `quiet`. Equal times decide
/// nothing, as the kernel's clock ticks in up to four milliseconds: then a client that has sent more segments than it got
/// waits for an answer. One that has sent nothing waits for none.
#[must_use]
pub fn is_busy(connection: &Connection, quiet: Duration) -> bool {
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
    let (sent, received) = (connection.sent_ago, connection.received_ago);
    let answered = sent < received || sent == received && connection.segments_received <= connection.segments_sent;
    !answered || sent.min(received) < quiet
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(2);
    const STILL: Connection = Connection {
        cookie: [0; 8],
        closed_by_app: false,
        unread: 0,
        unconfirmed: 0,
        segments_received: 1,
        segments_sent: 1,
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
            (false, Connection { received_ago: ago(9_000), ..STILL }),
            (true, Connection { received_ago: ago(9_000), segments_received: 2, ..STILL }),
            (false, Connection { segments_received: 0, sent_ago: ago(1), received_ago: ago(1), ..STILL }),
            (false, Connection { closed_by_app: true, unconfirmed: 1, received_ago: ago(1), ..STILL }),
            (true, Connection { closed_by_app: true, unconfirmed: 2, ..STILL }),
        ] {
            assert_eq!(is_busy(&connection, QUIET), busy, "{connection:?}");
        }
    }
}
