//! WebSocket frames (RFC 6455 section 5.2) in a stream of bytes: where a message ends, and whether a close frame has passed.
//!
//! **Invariant:** no payload is looked at and nothing is judged; whoever breaks the rules is the other end's matter.

/// Longest frame header: two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;
const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTROL: u8 = 0x08;
const CLOSE: u8 = 0x08;
const MASKED: u8 = 0x80;

/// "Going away" (RFC 6455 section 7.4.1), as a server sends it,
pub const CLOSE_1001: [u8; 4] = [FINAL | CLOSE, 2, 0x03, 0xe9];
/// and as a client does. The mask hides nothing here, so it is zero.
pub const MASKED_CLOSE_1001: [u8; 8] = [FINAL | CLOSE, MASKED | 2, 0, 0, 0, 0, 0x03, 0xe9];

/// Follows one direction, in whatever pieces it comes.
#[derive(Default)]
pub struct Messages {
    header: [u8; LONGEST_HEADER],
    header_has: usize,
    payload_left: u64,
    /// Between the first and the last frame of a message.
    in_message: bool,
    closed: bool,
}

impl Messages {
    /// Whether no message is under way.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.header_has == 0 && !self.in_message
    }

    /// Whether a whole close frame has passed.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        self.closed
    }

    /// Goes on with `bytes` and answers how many it took: all, or those up to the end of a message when `to_boundary`.
    pub fn advance(&mut self, bytes: &[u8], to_boundary: bool) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && !(to_boundary && self.at_boundary()) {
            taken += self.step(&bytes[taken..]);
        }
        taken
    }

    /// Takes one byte of a header, or payload.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let taken = if self.header_has == 0 || self.header_has < self.header_length() {
            self.header[self.header_has] = bytes[0];
            self.header_has += 1;
            if self.header_has == self.header_length() {
                self.payload_left = self.payload_length();
            }
            1
        } else {
            let taken = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
            self.payload_left -= taken as u64;
            taken
        };
        if self.header_has == self.header_length() && self.payload_left == 0 {
            self.frame_ends();
        }
        taken
    }

    /// Bytes of the header that has begun, as far as it can tell.
    fn header_length(&self) -> usize {
        if self.header_has < 2 {
            return 2;
        }
        let extended = match self.header[1] & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if self.header[1] & MASKED == 0 { 0 } else { 4 }
    }

    fn payload_length(&self) -> u64 {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        match self.header[1] & !MASKED {
            126 => number(&self.header[2..4]),
            127 => number(&self.header[2..10]),
            length => length.into(),
        }
    }

    fn frame_ends(&mut self) {
        let opcode = self.header[0] & OPCODE;
        if opcode & CONTROL == 0 {
            self.in_message = self.header[0] & FINAL == 0;
        } else if opcode == CLOSE {
            self.closed = true;
        }
        self.header_has = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, masked: bool, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        let mask = if masked { MASKED } else { 0 };
        match length {
            0..126 => bytes.push(mask | u8::try_from(length).unwrap()),
            126..65_536 => {
                bytes.push(mask | 0x7e);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 0x7f);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(if masked { &[1, 2, 3, 4][..] } else { &[] });
        bytes.resize(bytes.len() + length, 0x88);
        bytes
    }

    #[test]
    fn the_end_of_a_message_is_found_however_it_is_cut() {
        for masked in [false, true] {
            for length in [0, 1, 125, 126, 65_535, 65_536] {
                // A message of two frames with a PING between them, then another message.
                let parts = [frame(0x01, masked, length), frame(0x89, masked, 3), frame(0x80, masked, length)];
                let (message, next) = (parts.concat(), frame(0x82, masked, 5));
                let all = [message.clone(), next].concat();
                for size in [1, 3, 7, 100, usize::MAX] {
                    let mut messages = Messages::default();
                    let first = messages.advance(&all[..1], false);
                    let mut taken = first;
                    while !messages.at_boundary() {
                        let end = taken.saturating_add(size).min(all.len());
                        taken += messages.advance(&all[taken..end], true);
                    }
                    assert_eq!(taken, message.len(), "{length} bytes in pieces of {size}");
                    assert_eq!(messages.advance(&all[taken..], true), 0);
                    assert!(!messages.has_closed());
                }
            }
        }
    }

    #[test]
    fn a_close_frame_is_seen_when_it_is_whole_and_ours_are_close_frames() {
        for close in [&CLOSE_1001[..], &MASKED_CLOSE_1001, &[0x88, 0]] {
            let mut messages = Messages::default();
            messages.advance(&frame(0x81, true, 200), false);
            messages.advance(&close[..close.len() - 1], false);
            assert!(!messages.has_closed() && !messages.at_boundary());
            messages.advance(&close[close.len() - 1..], false);
            assert!(messages.has_closed() && messages.at_boundary());
        }
    }
}
