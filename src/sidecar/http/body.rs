//! Bodies: how many of the bytes at hand belong to the message.
//!
//! **Invariant:** no byte is copied or changed; a body ends exactly once, and what follows it is never touched.

use super::Malformed;
use super::head::{Framing, MAX_HEAD};

/// Longest line of a chunk's size with its extensions, in bytes.
const MAX_SIZE_LINE: usize = 4096;

/// How far into a body the relay is.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    state: State,
    /// Bytes of the present size line, or of the trailer section.
    line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes to come; then the end.
    Plain(u64),
    UntilClose,
    /// A chunk's size so far, and its number of digits.
    Size(u64, u8),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerLine,
    TrailerLf,
    LastLf,
    Done,
}

impl Body {
    /// The body after a head.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Plain(length),
            Framing::Chunked => State::Size(0, 0),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, line: 0 }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the close of the connection is its end.
    #[must_use]
    pub fn ends_with_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// How many bytes are to come before any that must be understood.
    #[must_use]
    pub fn opaque(&self) -> u64 {
        match self.state {
            State::Plain(left) | State::Data(left) => left,
            State::UntilClose => u64::MAX,
            State::Size(..)
            | State::Extension(_)
            | State::SizeLf(_)
            | State::DataCr
            | State::DataLf
            | State::Trailer
            | State::TrailerName
            | State::TrailerLine
            | State::TrailerLf
            | State::LastLf
            | State::Done => 0,
        }
    }

    /// So many of those have passed unseen.
    pub fn pass(&mut self, count: u64) {
        debug_assert!(count <= self.opaque());
        self.skip_opaque(usize::try_from(count).unwrap_or(usize::MAX));
    }

    /// How many of `bytes`, which follow what was given before, belong to this body: all, unless it ends among them.
    ///
    /// # Errors
    /// A chunk or trailer that two parsers could read differently.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            at += match self.skip_opaque(bytes.len() - at) {
                0 => {
                    self.step(bytes[at])?;
                    1
                }
                opaque => opaque,
            };
        }
        Ok(at)
    }

    /// Passes bytes that need not be understood, and answers how many of those that are `available`.
    fn skip_opaque(&mut self, available: usize) -> usize {
        match self.state {
            State::UntilClose => available,
            State::Plain(left) => self.skip(left, available, State::Plain, State::Done),
            State::Data(left) => self.skip(left, available, State::Data, State::DataCr),
            State::Size(..)
            | State::Extension(_)
            | State::SizeLf(_)
            | State::DataCr
            | State::DataLf
            | State::Trailer
            | State::TrailerName
            | State::TrailerLine
            | State::TrailerLf
            | State::LastLf
            | State::Done => 0,
        }
    }

    fn skip(&mut self, left: u64, available: usize, more: fn(u64) -> State, end: State) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        let left = left - taken as u64;
        self.state = if left == 0 { end } else { more(left) };
        taken
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.line += 1;
        self.state = match (self.state, byte) {
            (State::Size(_, 0), b'\r' | b';' | b' ' | b'\t') => return Err(Malformed::Bad("a chunk without size")),
            (State::Size(size, _) | State::Extension(size), b'\r') => State::SizeLf(size),
            (State::Size(size, _), b';') => State::Extension(size),
            (State::Size(size, digits), byte) => Self::digit(size, digits, byte)?,
            (State::Extension(size), byte) if byte == b'\t' || (byte >= b' ' && byte != 0x7f) => State::Extension(size),
            (State::SizeLf(0), b'\n') => self.next_line(State::Trailer),
            (State::SizeLf(size), b'\n') => self.next_line(State::Data(size)),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => self.next_line(State::Size(0, 0)),
            (State::Trailer, b'\r') => State::LastLf,
            (State::TrailerName, b':') => State::TrailerLine,
            (State::Trailer | State::TrailerName, byte) if is_token(byte) => State::TrailerName,
            (State::Trailer | State::TrailerName, _) => return Err(Malformed::Bad("a trailer that is no field")),
            (State::TrailerLine, b'\r') => State::TrailerLf,
            (State::TrailerLine, byte) if byte == b'\t' || (byte >= b' ' && byte != 0x7f) => State::TrailerLine,
            (State::TrailerLf, b'\n') => State::Trailer,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(Malformed::Bad("malformed chunk")),
        };
        self.within_limits()
    }

    fn digit(size: u64, digits: u8, byte: u8) -> Result<State, Malformed> {
        let value = char::from(byte).to_digit(16).ok_or(Malformed::Bad("a chunk's size is not hexadecimal"))?;
        if digits == 15 {
            return Err(Malformed::Bad("a chunk's size has more than 15 digits"));
        }
        Ok(State::Size(size << 4 | u64::from(value), digits + 1))
    }

    fn next_line(&mut self, state: State) -> State {
        self.line = 0;
        state
    }

    fn within_limits(&self) -> Result<(), Malformed> {
        let limit = match self.state {
            State::Trailer | State::TrailerName | State::TrailerLine | State::TrailerLf | State::LastLf => MAX_HEAD,
            _ => MAX_SIZE_LINE,
        };
        if self.line > limit { Err(Malformed::Bad("a chunk's size line or the trailers are too long")) } else { Ok(()) }
    }
}

/// What the name of a field consists of (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `step`; answers how many belong to the body if it ended.
    fn length(framing: Framing, bytes: &[u8], step: usize) -> Result<Option<usize>, Malformed> {
        let (mut body, mut total) = (Body::new(framing), 0);
        for piece in bytes.chunks(step) {
            total += body.advance(piece)?;
            if body.is_done() {
                return Ok(Some(total));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_body_ends_at_the_same_byte_however_it_is_cut() {
        let bodies: [(Framing, &str); 4] = [
            (Framing::Length(5), "hello"),
            (Framing::Chunked, "5\r\nhello\r\n0\r\n\r\n"),
            (Framing::Chunked, "1;name=\"v\"\r\nx\r\n00000A\r\n0123456789\r\n0\r\n\r\n"),
            (Framing::Chunked, "3\r\n\r\n0\r\n0\r\nTrailer: a\r\nOther: b\r\n\r\n"),
        ];
        for (framing, text) in bodies {
            let bytes = format!("{text}GET / HTTP/1.1\r\n");
            for step in 1..=bytes.len() {
                assert_eq!(length(framing, bytes.as_bytes(), step), Ok(Some(text.len())), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn malformed_chunks_are_refused_however_they_are_cut() {
        let bad = [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\nx\r\n",
            ";a\r\n",
            "5\nhello\r\n",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "1\r\nx\r0",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\nA\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\nA: \0\r\n\r\n",
            "1000000000000000\r\n",
            "1;\x01\r\n",
            "0\r\n\rX",
        ];
        for text in bad {
            for step in 1..=text.len() {
                assert!(length(Framing::Chunked, text.as_bytes(), step).is_err(), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn endless_extensions_and_trailers_are_refused() {
        let extension = format!("1;{}", "a".repeat(MAX_SIZE_LINE));
        assert!(length(Framing::Chunked, extension.as_bytes(), 100).is_err());
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(MAX_HEAD / 6 + 1));
        assert!(length(Framing::Chunked, trailers.as_bytes(), 100).is_err());
    }

    #[test]
    fn a_body_until_close_takes_everything_and_none_takes_nothing() {
        assert_eq!(length(Framing::UntilClose, b"anything", 3), Ok(None));
        assert_eq!(Body::new(Framing::Length(0)).advance(b"next"), Ok(0));
    }
}
