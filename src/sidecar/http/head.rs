//! Heads of messages: where they end, how the body that follows is framed, and whether the connection persists.
//!
//! **Invariant:** what two parsers could read differently (RFC 9112 sections 6.3 and 11.2) is refused, never repaired.

use super::Malformed;
use httparse::Header;
use std::mem::MaybeUninit;

/// Longest head in bytes, and longest trailer section.
pub const MAX_HEAD: usize = 64 * 1024;
/// Most header lines in a head.
pub const MAX_HEADERS: usize = 128;

/// How the body after a head is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes; 0 is no body.
    Length(u64),
    /// Chunks and trailers.
    Chunked,
    /// Until the sender closes: answers only.
    UntilClose,
}

/// What matters of a request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The answer has no body whatever its head says.
    Head,
    /// A 2xx answer opens a tunnel.
    Connect,
    /// Any other.
    Other,
}

/// A part of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Where `part`, a slice of `bytes`, stands in it.
    fn new(bytes: &[u8], part: &[u8]) -> Self {
        let number = |count: usize| u32::try_from(count).unwrap_or(0);
        let start = (part.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
        Self { start: number(start), length: number(part.len()) }
    }

    /// The part, of the `bytes` that it was made of.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        bytes.get(start..start + self.length as usize).unwrap_or_default()
    }
}

/// What the relay needs of a request's head.
#[expect(clippy::struct_excessive_bools, reason = "each is said by one header field or not")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Bytes of the head, its last empty line included.
    pub length: usize,
    /// Its method.
    pub method: Method,
    /// Its body.
    pub framing: Framing,
    /// Whether the client means to keep the connection.
    pub keep_alive: bool,
    /// Whether it asks for another protocol.
    pub upgrade: bool,
    /// Whether that protocol is WebSocket and no other.
    pub websocket: bool,
    /// Whether HTTP/2 is among them.
    pub offers_h2c: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// Whether it is all of the request and its method idempotent: a proxy may send it twice (RFC 9110 9.2.2).
    pub may_repeat: bool,
    /// What it asks for: the path and the query.
    pub target: Span,
    /// Its User-Agent; empty when it has none.
    pub user_agent: Span,
    /// Whether it authenticates its connection instead of itself (NTLM, Negotiate): no other client may use that then.
    pub binds_connection: bool,
}

impl RequestHead {
    /// Whether another protocol may follow its answer.
    #[must_use]
    pub fn may_tunnel(&self) -> bool {
        self.upgrade || self.method == Method::Connect
    }
}

/// What the relay needs of an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Bytes of the head, its last empty line included.
    pub length: usize,
    /// Its status.
    pub status: u16,
    /// Its body, were it the answer to an ordinary request.
    pub framing: Framing,
    /// Whether the app means to keep the connection.
    pub keep_alive: bool,
    /// Whether the app asks for, or goes on with, the authentication of the connection (NTLM, Negotiate).
    pub binds_connection: bool,
}

/// Where the head in `bytes` ends, if it does; `scanned` remembers how far earlier calls have looked.
///
/// # Errors
/// A line that ends in a bare LF or has a bare CR in it, or more than [`MAX_HEAD`] bytes.
pub fn find_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Malformed> {
    while let Some(offset) = memchr::memchr(b'\n', &bytes[*scanned..]) {
        let end_of_line = *scanned + offset;
        if end_of_line == 0 || bytes[end_of_line - 1] != b'\r' {
            return Err(Malformed::Bad("a line ends without CR"));
        }
        *scanned = end_of_line + 1;
        if end_of_line >= 3 && bytes[end_of_line - 2] == b'\n' {
            return if *scanned > MAX_HEAD { Err(Malformed::TooLarge) } else { Ok(Some(*scanned)) };
        }
    }
    // What a CR alone would mean to others must not be waited for: the line may never end for us.
    if bare_cr(&bytes[scanned.saturating_sub(1)..]) {
        return Err(Malformed::Bad("a CR without LF"));
    }
    *scanned = bytes.len();
    if bytes.len() >= MAX_HEAD { Err(Malformed::TooLarge) } else { Ok(None) }
}

/// Whether a CR is followed by anything but LF.
fn bare_cr(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
}

/// Reads the head of a request that [`find_end`] has found to be all of `bytes`.
///
/// # Errors
/// What makes it malformed or ambiguous.
pub fn parse_request(bytes: &[u8]) -> Result<RequestHead, Malformed> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let length = whole(request.parse_with_uninit_headers(bytes, &mut headers), bytes.len())?;
    let method = match request.method {
        Some("HEAD") => Method::Head,
        Some("CONNECT") => Method::Connect,
        _ => Method::Other,
    };
    let fields = Fields::read(request.headers)?;
    if fields.transfer_encoding && !fields.only_chunked {
        return Err(Malformed::Bad("only the transfer encoding chunked is taken"));
    }
    let framing = match fields.body()? {
        Framing::UntilClose => Framing::Length(0),
        framing => framing,
    };
    let version = request.version.unwrap_or(0);
    fields.fits(version)?;
    let keep_alive = fields.keep_alive(version);
    let (upgrade, expects_continue) = (fields.upgrade && fields.connection_upgrade, fields.expects_continue);
    let may_repeat = framing == Framing::Length(0) && request.method.is_some_and(is_idempotent);
    let (websocket, offers_h2c) = (fields.websocket && fields.upgrades == 1, fields.h2c);
    Ok(RequestHead {
        length,
        method,
        framing,
        keep_alive,
        upgrade,
        websocket,
        offers_h2c,
        expects_continue,
        may_repeat,
        target: Span::new(bytes, request.path.unwrap_or_default().as_bytes()),
        user_agent: fields.user_agent.map_or_else(Span::default, |agent| Span::new(bytes, agent)),
        binds_connection: fields.binds_connection,
    })
}

/// RFC 9110 9.2.2; methods that are not known are not.
fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Reads the head of an answer that [`find_end`] has found to be all of `bytes`.
///
/// # Errors
/// What makes it malformed or ambiguous.
pub fn parse_response(bytes: &[u8]) -> Result<ResponseHead, Malformed> {
    // The parser skips empty lines; to some clients an answer that begins with one is HTTP/0.9.
    if bytes.first() != Some(&b'H') {
        return Err(Malformed::Bad("an answer that does not begin with its version"));
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    let length = whole(parsed, bytes.len())?;
    let status = response.code.unwrap_or(0);
    let fields = Fields::read(response.headers)?;
    let bodiless = status < 200 || status == 204 || status == 304;
    let framing = if bodiless { Framing::Length(0) } else { fields.body()? };
    let version = response.version.unwrap_or(0);
    fields.fits(version)?;
    let (keep_alive, binds_connection) = (fields.keep_alive(version), fields.binds_connection);
    Ok(ResponseHead { length, status, framing, keep_alive, binds_connection })
}

fn whole(parsed: httparse::Result<usize>, length: usize) -> Result<usize, Malformed> {
    match parsed {
        Ok(httparse::Status::Complete(end)) if end == length => Ok(end),
        Ok(_) => Err(Malformed::Bad("the head does not end where its empty line is")),
        Err(httparse::Error::TooManyHeaders) => Err(Malformed::TooLarge),
        Err(httparse::Error::Version) => Err(Malformed::Bad("not HTTP/1.0 or HTTP/1.1")),
        Err(_) => Err(Malformed::Bad("a line of the head is malformed")),
    }
}

/// The header fields that decide framing and persistence.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one header field that is there or not")]
struct Fields<'a> {
    user_agent: Option<&'a [u8]>,
    length: Option<u64>,
    host: bool,
    transfer_encoding: bool,
    only_chunked: bool,
    ends_chunked: bool,
    close: bool,
    persist: bool,
    connection_upgrade: bool,
    upgrade: bool,
    /// Protocols that are asked for.
    upgrades: u32,
    websocket: bool,
    h2c: bool,
    expects_continue: bool,
    binds_connection: bool,
}

impl<'a> Fields<'a> {
    fn read(headers: &[Header<'a>]) -> Result<Self, Malformed> {
        let mut fields = Self::default();
        for header in headers {
            fields.read_one(header.name, header.value)?;
        }
        Ok(fields)
    }

    fn read_one(&mut self, name: &str, value: &'a [u8]) -> Result<(), Malformed> {
        // The length of the name and its first letter rule out nearly every header before any comparison.
        match (name.len(), name.as_bytes().first().map_or(0, u8::to_ascii_lowercase)) {
            (14, b'c') if name.eq_ignore_ascii_case("content-length") => self.content_length(value)?,
            (17, b't') if name.eq_ignore_ascii_case("transfer-encoding") => {
                if std::mem::replace(&mut self.transfer_encoding, true) {
                    return Err(Malformed::Bad("more than one Transfer-Encoding"));
                }
                self.only_chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                self.ends_chunked = last_token(value).eq_ignore_ascii_case(b"chunked");
                if !self.ends_chunked && value.to_ascii_lowercase().windows(7).any(|word| word == b"chunked") {
                    return Err(Malformed::Bad("a Transfer-Encoding that some take for chunked"));
                }
            }
            (10, b'c') if name.eq_ignore_ascii_case("connection") => self.connection(value),
            (7, b'u') if name.eq_ignore_ascii_case("upgrade") => self.upgrade(value),
            (6, b'e') if name.eq_ignore_ascii_case("expect") => self.expects_continue = true,
            (10, b'u') if name.eq_ignore_ascii_case("user-agent") => self.user_agent = Some(value.trim_ascii()),
            (4, b'h') if name.eq_ignore_ascii_case("host") => self.one_host()?,
            (13, b'a') if name.eq_ignore_ascii_case("authorization") => self.binds_connection |= binds(value),
            (16, b'w') if name.eq_ignore_ascii_case("www-authenticate") => self.binds_connection |= binds(value),
            (15, b'p') if name.eq_ignore_ascii_case("persistent-auth") => self.binds_connection = true,
            _ => {}
        }
        Ok(())
    }

    fn one_host(&mut self) -> Result<(), Malformed> {
        let another = std::mem::replace(&mut self.host, true);
        if another { Err(Malformed::Bad("more than one Host")) } else { Ok(()) }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let length = decimal(value).ok_or(Malformed::Bad("Content-Length is not a number"))?;
        match self.length.replace(length) {
            Some(earlier) if earlier != length => Err(Malformed::Bad("two different Content-Length")),
            _ => Ok(()),
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',') {
            match token.trim_ascii() {
                token if token.eq_ignore_ascii_case(b"close") => self.close = true,
                token if token.eq_ignore_ascii_case(b"keep-alive") => self.persist = true,
                token if token.eq_ignore_ascii_case(b"upgrade") => self.connection_upgrade = true,
                _ => {}
            }
        }
    }

    fn upgrade(&mut self, value: &[u8]) {
        self.upgrade = true;
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty()) {
            self.upgrades += 1;
            self.websocket |= token.eq_ignore_ascii_case(b"websocket");
            self.h2c |= token.eq_ignore_ascii_case(b"h2c");
        }
    }

    /// The body these fields announce; `UntilClose` when they announce none, or an encoding that does not end in chunked.
    fn body(&self) -> Result<Framing, Malformed> {
        match (self.transfer_encoding, self.length) {
            (true, Some(_)) => Err(Malformed::Bad("both Content-Length and Transfer-Encoding")),
            (true, None) if self.ends_chunked => Ok(Framing::Chunked),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (_, None) => Ok(Framing::UntilClose),
        }
    }

    fn fits(&self, version: u8) -> Result<(), Malformed> {
        if version == 0 && self.transfer_encoding {
            Err(Malformed::Bad("Transfer-Encoding in HTTP/1.0"))
        } else {
            Ok(())
        }
    }

    fn keep_alive(&self, version: u8) -> bool {
        !self.close && (version == 1 || self.persist)
    }
}

/// Whether this authentication scheme, or challenge, is one that holds for the connection (RFC 4559, MS-NTHT). A list of
/// challenges may name it anywhere.
fn binds(value: &[u8]) -> bool {
    let mut words = value.split(|byte| matches!(byte, b' ' | b',' | b'\t')).filter(|word| !word.is_empty());
    words.any(|word| word.eq_ignore_ascii_case(b"ntlm") || word.eq_ignore_ascii_case(b"negotiate"))
}

fn last_token(value: &[u8]) -> &[u8] {
    value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii()
}

/// Digits only: no sign, no list, no empty text.
fn decimal(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let next = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    if value.is_empty() { None } else { value.iter().try_fold(0, next) }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
