//! TLS on a port that expects HTTP: recognised by its first byte, and the server's name that its client asks for.
//!
//! **Invariant:** nothing is decided by the name: it is for the log alone, and what cannot be read has none.

/// The type of the record that begins a connection (RFC 8446 5.1): a handshake. No method of HTTP begins with it.
const HANDSHAKE: u8 = 0x16;
/// The type of the handshake's first message (RFC 8446 4): the client's greeting.
const CLIENT_HELLO: u8 = 1;
/// The extension that names the server (RFC 6066 3), and the only type of name in it.
const SERVER_NAME: usize = 0;
const HOST_NAME: usize = 0;
/// Bytes before the first list of a greeting: the version and the random bytes.
const VERSION_AND_RANDOM: usize = 2 + 32;

/// Whether a connection that begins with these bytes speaks TLS.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    bytes.first() == Some(&HANDSHAKE)
}

/// The server that the client asks for, if its greeting is here in one record and names one.
#[must_use]
pub fn server_name(bytes: &[u8]) -> Option<&str> {
    let mut record = Reader(bytes);
    record.take(3).filter(|head| head[0] == HANDSHAKE)?;
    let mut handshake = Reader(record.list(2)?);
    handshake.take(1).filter(|kind| kind[0] == CLIENT_HELLO)?;
    let mut hello = Reader(handshake.list(3)?);
    hello.take(VERSION_AND_RANDOM)?;
    // The session, the cipher suites, the compression.
    for width in [1, 2, 1] {
        hello.list(width)?;
    }
    let mut extensions = Reader(hello.list(2)?);
    loop {
        let (kind, content) = (extensions.number(2)?, extensions.list(2)?);
        if kind == SERVER_NAME {
            return host_name(content);
        }
    }
}

fn host_name(extension: &[u8]) -> Option<&str> {
    let mut names = Reader(Reader(extension).list(2)?);
    let (kind, name) = (names.number(1)?, names.list(2)?);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let is_named = kind == HOST_NAME && !name.is_empty() && name.len() <= 255 && name.iter().all(is_name);
    std::str::from_utf8(name).ok().filter(|_| is_named)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `width` bytes.
    fn number(&mut self, width: usize) -> Option<usize> {
        Some(self.take(width)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Bytes whose length stands before them, in `width` bytes.
    fn list(&mut self, width: usize) -> Option<&'a [u8]> {
        let length = self.number(width)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(width: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - width..], content].concat()
    }

    /// A greeting with these extensions.
    fn hello(extensions: &[u8]) -> Vec<u8> {
        let body =
            [&[3; VERSION_AND_RANDOM][..], &list(1, &[7; 32]), &list(2, &[0, 1]), &list(1, &[0]), extensions].concat();
        let message = [&[CLIENT_HELLO][..], &list(3, &body)].concat();
        [&[HANDSHAKE, 3, 1][..], &list(2, &message)].concat()
    }

    fn naming(name: &[u8]) -> Vec<u8> {
        let extension =
            [&[0, u8::try_from(SERVER_NAME).unwrap()][..], &list(2, &list(2, &[&[0][..], &list(2, name)].concat()))]
                .concat();
        let other = [&[0, 10][..], &list(2, &[1, 2])].concat();
        hello(&list(2, &[other, extension].concat()))
    }

    #[test]
    fn the_server_is_named_by_its_extension_wherever_that_stands() {
        assert_eq!(server_name(&naming(b"shop.example")), Some("shop.example"));
        assert!(begins(&naming(b"a")) && begins(&[HANDSHAKE]));
        for bytes in
            [hello(&list(2, &[])), hello(&[]), naming(b""), naming(b"a\nb"), naming(&[b'a'; 256]), naming(b"\xff")]
        {
            assert_eq!(server_name(&bytes), None);
        }
    }

    #[test]
    fn what_is_not_whole_names_nobody_and_http_is_no_tls() {
        let whole = naming(b"shop.example");
        for end in 0..whole.len() {
            assert_eq!(server_name(&whole[..end]), None, "{end} bytes");
        }
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/2.0", b"\r\n", b""] {
            assert!(!begins(bytes) && server_name(bytes).is_none());
        }
    }
}
