//! Frames of HTTP/2 (RFC 9113 section 4) in a stream of bytes: where each begins and ends, and what its header says.
//!
//! **Invariant:** no payload is read beyond its first four bytes, and nothing is judged: that is the protocol engine's task.

/// Bytes of a frame header.
const HEADER: usize = 9;

/// DATA.
pub const DATA: u8 = 0x0;
/// HEADERS.
pub const HEADERS: u8 = 0x1;
/// `RST_STREAM`.
pub const RST_STREAM: u8 = 0x3;
/// SETTINGS.
pub const SETTINGS: u8 = 0x4;
/// PING.
pub const PING: u8 = 0x6;
/// GOAWAY.
pub const GOAWAY: u8 = 0x7;
/// CONTINUATION.
pub const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of payload.
    pub length: u32,
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// The first four bytes of its payload as a number, complete when the frame has ended: of a GOAWAY the last stream.
    pub first: u32,
}

impl Frame {
    fn read(header: [u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = header;
        let (length, stream) = (u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]));
        Self { length, kind, flags, stream, first: 0 }
    }

    /// Whether its sender says no more on this stream.
    #[must_use]
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// Whether a block of header fields ends with it.
    #[must_use]
    pub fn ends_headers(&self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// Whether it only confirms one of ours.
    #[must_use]
    pub fn is_ack(&self) -> bool {
        matches!(self.kind, SETTINGS | PING) && self.flags & ACK != 0
    }
}

/// Which part of a frame has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its header.
    Begin,
    /// Its last byte.
    End,
}

/// Follows one direction of a connection, in whatever pieces it comes.
pub struct Scanner {
    /// Bytes before the first frame: the client's preface.
    skip: usize,
    header: [u8; HEADER],
    header_has: usize,
    frame: Frame,
    payload_left: u32,
}

impl Scanner {
    /// One whose first frame comes after `skip` other bytes.
    #[must_use]
    pub fn new(skip: usize) -> Self {
        Self { skip, header: [0; HEADER], header_has: 0, frame: Frame::default(), payload_left: 0 }
    }

    /// Goes on with `bytes` and tells `seen` what begins and ends in them.
    pub fn scan(&mut self, bytes: &[u8], mut seen: impl FnMut(Moment, &Frame)) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let mut bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            if self.header_has < HEADER {
                let taken = bytes.len().min(HEADER - self.header_has);
                self.header[self.header_has..self.header_has + taken].copy_from_slice(&bytes[..taken]);
                self.header_has += taken;
                bytes = &bytes[taken..];
                if self.header_has < HEADER {
                    return;
                }
                self.frame = Frame::read(self.header);
                self.payload_left = self.frame.length;
                seen(Moment::Begin, &self.frame);
            }
            bytes = self.payload(bytes);
            if self.payload_left == 0 {
                seen(Moment::End, &self.frame);
                self.header_has = 0;
            }
        }
    }

    fn payload<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let left = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
        let (payload, rest) = bytes.split_at(left.min(bytes.len()));
        let before = self.frame.length - self.payload_left;
        for byte in payload.iter().take(4usize.saturating_sub(before as usize)) {
            self.frame.first = self.frame.first << 8 | u32::from(*byte);
        }
        // No longer than `payload_left`, which is a u32.
        self.payload_left -= u32::try_from(payload.len()).unwrap_or(self.payload_left);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let mut bytes = b"preface".to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &[]));
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[9; 300]));
        bytes.extend(frame(GOAWAY, 0, 0, &[0, 0, 1, 5, 0, 0, 0, 0, 77]));
        bytes.extend(frame(DATA, END_STREAM, 0x8000_0003, &[1, 2]));
        for size in [1, 2, 8, 9, 10, 13, 500] {
            let (mut scanner, mut seen) = (Scanner::new(7), Vec::new());
            for piece in bytes.chunks(size) {
                scanner.scan(piece, |moment, frame| seen.push((moment, *frame)));
            }
            assert_eq!(seen.len(), 8);
            assert!(seen.chunks(2).all(|pair| (pair[0].0, pair[1].0) == (Moment::Begin, Moment::End)));
            let ends: Vec<_> =
                seen.iter().filter(|(moment, _)| *moment == Moment::End).map(|(_, frame)| *frame).collect();
            assert_eq!((ends[1].kind, ends[1].length, ends[1].stream), (HEADERS, 300, 1));
            assert!(ends[1].ends_stream() && ends[1].ends_headers());
            assert_eq!((ends[2].kind, ends[2].first), (GOAWAY, 0x105));
            assert_eq!((ends[3].stream, ends[3].first), (3, 0x102), "the reserved bit is no part of the number");
        }
    }
}
