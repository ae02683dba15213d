//! Requests that were read before their turn: a client that pipelines has them in flight.
//!
//! **Invariant:** only counts; whatever is wrong with them is found and answered when their turn comes.

use super::body::Body;
use super::head;

/// `bytes` without the empty lines that RFC 9112 2.2 lets a client send before a request.
#[must_use]
pub fn skip_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    if bytes == b"\r" { &[] } else { bytes }
}

/// How many requests have begun in `bytes`, which start where a request may start.
#[must_use]
pub fn requests_begun(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    loop {
        bytes = skip_empty_lines(bytes);
        if bytes.is_empty() {
            return count;
        }
        count += 1;
        match end_of_request(bytes) {
            Some(end) => bytes = &bytes[end..],
            None => return count,
        }
    }
}

/// Where the first request of `bytes` ends, unless it is cut, malformed, or may turn into a tunnel.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let end = head::find_end(bytes, &mut 0).ok()??;
    let request = head::parse_request(&bytes[..end]).ok().filter(|request| !request.may_tunnel())?;
    let mut body = Body::new(request.framing);
    let taken = body.advance(&bytes[end..]).ok()?;
    body.is_done().then_some(end + taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_that_has_begun_counts_once() {
        let get = "GET / HTTP/1.1\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n--";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n";
        for (text, expected) in [
            (String::new(), 0),
            ("\r\n\r\n\r".into(), 0),
            ("\r\nG".into(), 1),
            (format!("{get}\r\n{get}{get}G"), 4),
            (format!("{post}{chunked}{get}"), 3),
            (format!("{get}{}", &post[..50]), 2),
            (format!("{get}bad\n{get}"), 2),
        ] {
            assert_eq!(requests_begun(text.as_bytes()), expected, "{text:?}");
        }
    }
}
