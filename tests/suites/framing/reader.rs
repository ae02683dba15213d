//! Readers of HTTP/1.1 that differ where real ones do. What only some of them understand in one way is how a request is
//! smuggled: bytes that reach an app must say the same to all of them.

/// How a reader decides what the RFC leaves no doubt about and implementations differ in.
#[expect(clippy::struct_excessive_bools, reason = "each is one way in which readers differ")]
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// A line may end in a bare LF.
    bare_lf: bool,
    /// White space may stand between the name of a field and its colon.
    space_before_colon: bool,
    /// Content-Length wins over Transfer-Encoding.
    length_wins: bool,
    /// The first of several Content-Length counts, else the last.
    first_length: bool,
    /// Transfer-Encoding is chunked if the word is anywhere in it, else if it is the last.
    loose_chunked: bool,
    /// A number is read up to what is no digit, and may overflow.
    loose_size: bool,
}

const STRICT: Reader = Reader {
    bare_lf: false,
    space_before_colon: false,
    length_wins: false,
    first_length: false,
    loose_chunked: false,
    loose_size: false,
};

/// The one that answers in the app: it understands whatever can be understood.
pub const TOLERANT: Reader =
    Reader { bare_lf: true, space_before_colon: true, loose_chunked: true, loose_size: true, ..STRICT };

/// All of them.
pub const READERS: [Reader; 8] = [
    STRICT,
    TOLERANT,
    Reader { bare_lf: true, ..STRICT },
    Reader { space_before_colon: true, ..STRICT },
    Reader { length_wins: true, ..STRICT },
    Reader { first_length: true, ..STRICT },
    Reader { loose_chunked: true, ..STRICT },
    Reader { loose_size: true, ..STRICT },
];

/// A message as a reader understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its first line.
    pub line: String,
    /// Its body, chunks put together.
    pub body: Vec<u8>,
    /// Whether it has ended.
    pub whole: bool,
}

/// What tells that a body is absent or ends with the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A body is announced or there is none.
    Requests,
    /// The methods of the requests that were answered; whether the connection has ended.
    Answers(&'a [&'a str], bool),
}

impl Reader {
    /// The messages in `bytes`.
    pub fn read(self, kind: Kind<'_>, mut bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut finals = 0;
        while let Some((message, rest)) = self.one(kind, finals, bytes) {
            finals += usize::from(!message.line.contains(" 1"));
            let whole = message.whole;
            messages.push(message);
            bytes = rest;
            if !whole {
                break;
            }
        }
        messages
    }

    fn one<'a>(self, kind: Kind<'_>, answered: usize, bytes: &'a [u8]) -> Option<(Message, &'a [u8])> {
        let mut rest = bytes;
        let mut line = self.line(&mut rest)?;
        while line.is_empty() {
            line = self.line(&mut rest)?;
        }
        let line = String::from_utf8_lossy(line).into_owned();
        let mut fields = Vec::new();
        loop {
            let field = self.line(&mut rest)?;
            if field.is_empty() {
                break;
            }
            fields.push(field);
        }
        let (body, whole, rest) = self.body(kind, answered, &line, &fields, rest);
        Some((Message { line, body, whole }, rest))
    }

    fn body<'a>(
        self,
        kind: Kind<'_>,
        answered: usize,
        line: &str,
        fields: &[&[u8]],
        rest: &'a [u8],
    ) -> (Vec<u8>, bool, &'a [u8]) {
        let lengths: Vec<u64> =
            self.values(fields, "content-length").filter_map(|value| self.number(&value, 10)).collect();
        let length = if self.first_length { lengths.first() } else { lengths.last() };
        let is_chunked = |value: String| {
            let last = value.rsplit(',').next().unwrap_or_default().trim();
            if self.loose_chunked { value.contains("chunked") } else { last == "chunked" }
        };
        let chunked = self.values(fields, "transfer-encoding").any(is_chunked);
        if let Kind::Answers(methods, _) = kind {
            let status = line.split(' ').nth(1).unwrap_or_default();
            let bodiless = status.starts_with('1') || matches!(status, "204" | "304");
            if bodiless || methods.get(answered) == Some(&"HEAD") {
                return (Vec::new(), true, rest);
            }
        }
        match (chunked, length, kind) {
            (true, length, _) if length.is_none() || !self.length_wins => self.chunks(rest),
            (_, Some(length), _) => {
                let taken = usize::try_from(*length).unwrap_or(usize::MAX).min(rest.len());
                (rest[..taken].to_vec(), taken as u64 == *length, &rest[taken..])
            }
            (_, None, Kind::Answers(_, ended)) => (rest.to_vec(), ended, &[]),
            (_, None, Kind::Requests) => (Vec::new(), true, rest),
        }
    }

    fn values(self, fields: &[&[u8]], wanted: &'static str) -> impl Iterator<Item = String> {
        fields
            .iter()
            .filter_map(move |field| {
                let text = String::from_utf8_lossy(field).to_lowercase();
                let (name, value) = text.split_once(':')?;
                let name = if self.space_before_colon { name.trim_end() } else { name };
                (name == wanted).then(|| value.trim().to_owned())
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn chunks(self, mut rest: &[u8]) -> (Vec<u8>, bool, &[u8]) {
        let mut body = Vec::new();
        loop {
            let before = rest;
            let Some(size) = self.line(&mut rest).and_then(|line| self.size(line)) else {
                return (body, false, before);
            };
            if size == 0 {
                while let Some(line) = self.line(&mut rest) {
                    if line.is_empty() {
                        return (body, true, rest);
                    }
                }
                return (body, false, rest);
            }
            let taken = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
            body.extend(&rest[..taken]);
            rest = &rest[taken..];
            if (taken as u64) < size || self.line(&mut rest).is_none_or(|line| !line.is_empty()) {
                return (body, false, rest);
            }
        }
    }

    fn size(self, line: &[u8]) -> Option<u64> {
        let text = String::from_utf8_lossy(line);
        let text = text.split(';').next()?;
        self.number(text, 16)
    }

    fn number(self, text: &str, radix: u32) -> Option<u64> {
        if !self.loose_size {
            return u64::from_str_radix(text, radix).ok();
        }
        let digits = text.chars().map_while(|letter| letter.to_digit(radix));
        Some(digits.fold(0, |number: u64, digit| number.wrapping_mul(radix.into()).wrapping_add(digit.into())))
    }

    /// The next line without its end.
    fn line<'a>(self, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let mut from = 0;
        loop {
            let end = from + bytes[from..].iter().position(|byte| *byte == b'\n')?;
            let line = &bytes[..end];
            let without_cr = line.strip_suffix(b"\r");
            if without_cr.is_none() && !self.bare_lf {
                from = end + 1;
                continue;
            }
            *bytes = &bytes[end + 1..];
            return Some(without_cr.unwrap_or(line));
        }
    }
}

/// What all readers understand, if it is the same; and what the tolerant one does.
pub fn agreed(kind: Kind<'_>, bytes: &[u8]) -> (Vec<Message>, bool) {
    let understood = TOLERANT.read(kind, bytes);
    let all = READERS.iter().all(|reader| reader.read(kind, bytes) == understood);
    (understood, all)
}

#[test]
fn readers_disagree_where_requests_are_smuggled() {
    for bytes in [
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 0\r\n\r\nx",
        "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\nGET",
        "GET / HTTP/1.1\r\nX: a\nContent-Length: 3\r\n\r\nGET",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    ] {
        assert!(!agreed(Kind::Requests, bytes.as_bytes()).1, "{bytes:?}");
    }
    let honest =
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let (messages, all) = agreed(Kind::Requests, honest.as_bytes());
    assert!(all && messages.len() == 2 && messages[0].body == b"abc" && messages.iter().all(|message| message.whole));
}
