//! How many requests have arrived between two looks, and when the last one did, as the kernel's counters tell.
//!
//! **Invariant:** pure; what is not known is few, so that a quiet window is rather too long than too short.

use super::judge::Connection;
use std::collections::HashMap;
use std::time::Duration;

/// No more than one arrival on a connection in this time: a request may be many segments.
const APART: Duration = Duration::from_millis(100);
/// Older arrivals do not count: what the mean gap looks back over.
const WINDOW: Duration = Duration::from_secs(60);

/// Segments with data that each connection had received, by its cookie.
#[derive(Default)]
pub struct Received(HashMap<[u8; 8], u32>);

/// What has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Requests, an estimate.
    pub count: u64,
    /// How long ago the last one came.
    pub last_ago: Duration,
}

impl Received {
    /// What has arrived since the last look, which was `since` ago; nothing, if there was none of its kind.
    pub fn arrivals(&mut self, connections: &[Connection], since: Duration) -> Option<Arrived> {
        let before = std::mem::take(&mut self.0);
        let mut arrived: Option<Arrived> = None;
        for connection in connections {
            let known = before.get(&connection.cookie).copied();
            self.0.insert(connection.cookie, connection.segments_received);
            let count = count(connection, known, since);
            if count > 0 {
                let so_far = arrived.unwrap_or(Arrived { count: 0, last_ago: Duration::MAX });
                let last_ago = so_far.last_ago.min(connection.received_ago);
                arrived = Some(Arrived { count: so_far.count + count, last_ago });
            }
        }
        arrived
    }
}

/// Arrivals on one connection that had received `known` segments at the last look. Of a longer time than the window only
/// the window's part counts; of a connection not seen before one.
fn count(connection: &Connection, known: Option<u32>, since: Duration) -> u64 {
    let new = u64::from(connection.segments_received.wrapping_sub(known.unwrap_or(0)));
    if new == 0 || connection.received_ago > WINDOW {
        return 0;
    }
    if known.is_none() {
        return 1;
    }
    let most = u64::try_from(since.as_millis() / APART.as_millis()).unwrap_or(u64::MAX).max(1);
    let counted = new.min(most);
    if since <= WINDOW {
        return counted;
    }
    (counted * WINDOW.as_secs() / since.as_secs()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connection(cookie: u8, segments_received: u32, received_ago: Duration) -> Connection {
        let still = super::super::judge::tests::STILL;
        Connection { cookie: [cookie; 8], segments_received, received_ago, ..still }
    }

    #[test]
    fn what_came_between_two_looks_is_counted_by_its_segments() {
        let mut received = Received::default();
        assert_eq!(received.arrivals(&[connection(1, 0, SECOND)], SECOND), None);
        let first = received.arrivals(&[connection(1, 3, SECOND), connection(2, 900, SECOND * 2)], SECOND);
        assert_eq!(first, Some(Arrived { count: 4, last_ago: SECOND }), "of an unknown connection one");
        assert_eq!(received.arrivals(&[connection(1, 3, SECOND * 9)], SECOND), None, "nothing new");
        let many = received.arrivals(&[connection(1, 1_003, SECOND)], SECOND * 30);
        assert_eq!(many, Some(Arrived { count: 300, last_ago: SECOND }), "an upload is not a thousand requests");
        assert_eq!(received.arrivals(&[connection(1, 1_063, SECOND)], SECOND * 120).unwrap().count, 30);
        assert_eq!(received.arrivals(&[connection(1, 1_064, SECOND * 61)], SECOND * 120), None, "too old");
    }
}
