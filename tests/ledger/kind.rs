//! What becomes of each request. Its number alone decides, so that both ends know it.

/// How a request goes; those of HTTP/1.1 and of HTTP/2 have the same names where they mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of several that are sent at once; in HTTP/2 they always are.
    Plain,
    /// A body up.
    Upload,
    /// Bodies of unknown length both ways, with trailers.
    Chunked,
    /// The app takes some milliseconds.
    Slow,
    /// The client resets when the app has begun.
    ClientResets,
    /// The client resets when it has some of the answer.
    ClientResetsInMidAnswer,
    /// The app ends it without an answer.
    AppResets,
    /// The app ends it in the midst of its answer.
    AppResetsInMidAnswer,
    /// The client closes its side after the request (HTTP/1.1).
    HalfClose,
    /// The answer ends with the connection (HTTP/1.1).
    UntilClose,
    /// It becomes a tunnel (HTTP/1.1).
    Upgrade,
}

/// Every kind comes after every other, as the order is that of a multiplicative hash.
const MIX: [(Kind, u64); 11] = [
    (Kind::Plain, 36),
    (Kind::Upload, 6),
    (Kind::Chunked, 5),
    (Kind::Slow, 4),
    (Kind::ClientResets, 3),
    (Kind::ClientResetsInMidAnswer, 2),
    (Kind::AppResets, 2),
    (Kind::AppResetsInMidAnswer, 2),
    (Kind::HalfClose, 1),
    (Kind::UntilClose, 1),
    (Kind::Upgrade, 2),
];

impl Kind {
    pub fn of(id: u64) -> Self {
        let mut place = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 64;
        for (kind, share) in MIX {
            if place < share {
                return kind;
            }
            place -= share;
        }
        unreachable!("the shares make 64")
    }

    /// Bytes of body that the client sends, if any.
    pub fn upload(self, id: u64) -> Option<usize> {
        let size = usize::try_from(id % 3_000).unwrap_or(0) + 1;
        matches!(self, Self::Upload | Self::Chunked).then_some(size)
    }
}
