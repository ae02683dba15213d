//! The bytes, and why the sidecar does as it does wherever the others do differently.

/// What a client sends; `/@` is a path of the case's own.
pub struct RequestCase {
    pub name: &'static str,
    pub bytes: &'static str,
    pub verdict: &'static str,
}

/// What an app answers to the first of two requests.
pub struct AnswerCase {
    pub name: &'static str,
    pub method: &'static str,
    pub bytes: &'static str,
    /// The app closes the connection after it.
    pub closes: bool,
    pub verdict: &'static str,
}

const fn request(name: &'static str, bytes: &'static str, verdict: &'static str) -> RequestCase {
    RequestCase { name, bytes, verdict }
}

const fn answer(name: &'static str, bytes: &'static str, closes: bool, verdict: &'static str) -> AnswerCase {
    AnswerCase { name, method: "GET", bytes, closes, verdict }
}

/// What clients send.
pub const REQUESTS: [RequestCase; 126] = [
    request("plain", "GET /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "pipelined, three",
        "GET /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\nGET /@third HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "Content-Length",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunked",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunked, trailers",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunked, trailer Content-Length",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL then TE",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: haproxy repairs it, which only helps who repairs it alike (RFC 9112 6.1 allows both)",
    ),
    request(
        "TE then CL",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: as above",
    ),
    request(
        "TE and CL: 0",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: as above",
    ),
    request(
        "two equal CL",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: equal ones say one thing (RFC 9112 6.3 allows both)",
    ),
    request(
        "two different CL",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\nabcGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL list, equal",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: not every app reads a list",
    ),
    request(
        "CL list, different",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 0\r\n\r\nabcGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL with sign",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL negative",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL hexadecimal",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL with leading zeros",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL empty",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request("CL over 64 bits", "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\nabc", ""),
    request(
        "CL: 2^64 + 3",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabcGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: a number that overflows in some readers; haproxy 2.6 lets it pass",
    ),
    request(
        "CL with a space inside",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CL before tab",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length:\t3\t\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: a tab is white space like any (RFC 9110 5.6.3)",
    ),
    request(
        "CL, space before colon",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabcGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE, space before colon",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE, tab before colon",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE in upper case",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE: xchunked",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE: chunkedx and CL",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedx\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE: identity",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE: identity and CL",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE: chunked, identity",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE: identity, chunked",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter than hyper, like the others: only chunked is taken (RFC 9112 6.1)",
    ),
    request(
        "TE: gzip, chunked",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "as above",
    ),
    request(
        "TE: chunked, chunked",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused, like the others: chunked is applied once (RFC 9112 6.1), and hyper reads one layer where another may read two",
    ),
    request(
        "TE twice, chunked",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "as above",
    ),
    request(
        "TE twice, chunked then identity",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE with vertical tab",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE in quotes",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE with comma first",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter than hyper, like the others: some take an empty coding for an error, some for none",
    ),
    request(
        "TE, semicolon parameter",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE empty and CL",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "TE in HTTP/1.0",
        "POST /@ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: who ignores TE in 1.0 sees another request in the body",
    ),
    request(
        "TE and CL in HTTP/1.0",
        "POST /@ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: as above",
    ),
    request(
        "obs-fold",
        "GET /@ HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: a folded line is another field to some (RFC 9112 5.2 allows both)",
    ),
    request(
        "obs-fold hides TE",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: as above",
    ),
    request(
        "first field folded",
        "GET /@ HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "bare LF everywhere",
        "GET /@ HTTP/1.1\nHost: a\n\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "bare LF in the head",
        "POST /@ HTTP/1.1\r\nHost: a\r\nX: a\nContent-Length: 3\r\n\r\nabcGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "bare LF ends the head",
        "GET /@ HTTP/1.1\r\nHost: a\n\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "bare CR in a value",
        "POST /@ HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 3\r\n\r\nabcGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request("bare CR ends a line", "GET /@ HTTP/1.1\rHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "NUL in a value",
        "GET /@ HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: some end the value there",
    ),
    request("NUL in a name", "GET /@ HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "control byte in a value",
        "GET /@ HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: no field may hold it (RFC 9110 5.5)",
    ),
    request(
        "byte over 127 in a value",
        "GET /@ HTTP/1.1\r\nHost: a\r\nX: é\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "field without colon",
        "GET /@ HTTP/1.1\r\nHost: a\r\nContent-Length\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "field without name",
        "GET /@ HTTP/1.1\r\nHost: a\r\n: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "name with a space",
        "GET /@ HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "name with brackets",
        "GET /@ HTTP/1.1\r\nHost: a\r\nX[1]: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: no token (RFC 9110 5.6.2)",
    ),
    request(
        "underscore in a name",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size 0x3",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size +3",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size -1",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size, space after",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: some stop at the space, some fail",
    ),
    request(
        "chunk size, space before",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size empty",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size with leading zeros",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n000003\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size over 64 bits",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size of 16 digits",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size, many zeros",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000000000000000000000000000000000000000000000000003\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: over 15 digits some readers overflow",
    ),
    request(
        "chunk extension",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0;c\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk extension in quotes",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b;c\"\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk extension with bare LF",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "chunk extension with bare CR",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk size ends with LF",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "chunk data ends with LF",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "chunk data too long",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "chunk data too short",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "last chunk ends with LF",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "trailer folded",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: x\r\n y\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: as in heads",
    ),
    request(
        "trailer without colon",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: no field",
    ),
    request(
        "trailer with bare LF",
        "POST /@ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: x\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request("body cut", "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", ""),
    request(
        "absolute form",
        "GET http://a/@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on unchanged, as haproxy does; nginx writes the origin form",
    ),
    request(
        "absolute form, other Host",
        "GET http://b/@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: the target wins in every server (RFC 9112 3.2.2), and we route nothing",
    ),
    request(
        "two equal Host",
        "GET /@ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: one is allowed (RFC 9112 3.2)",
    ),
    request(
        "two different Host",
        "GET /@ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused, like the others (RFC 9112 3.2): hyper leaves it to the app which one counts",
    ),
    request(
        "no Host",
        "GET /@ HTTP/1.1\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "empty Host",
        "GET /@ HTTP/1.1\r\nHost:\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "Host with a space",
        "GET /@ HTTP/1.1\r\nHost: a b\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "Host with a path",
        "GET /@ HTTP/1.1\r\nHost: a/b\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request("no Host in HTTP/1.0", "GET /@ HTTP/1.0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request("HTTP/1.0", "GET /@ HTTP/1.0\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "HTTP/1.0 with keep-alive",
        "GET /@ HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request("HTTP/0.9", "GET /@\r\n\r\n", "refused: no app of today means it"),
    request(
        "HTTP/1.2",
        "GET /@ HTTP/1.2\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: there is none; as HTTP/1.1 it would be a guess",
    ),
    request(
        "HTTP/2.0",
        "GET /@ HTTP/2.0\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: HTTP/2 begins with its preface",
    ),
    request(
        "HTTP/1.01",
        "GET /@ HTTP/1.01\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "refused: one digit each (RFC 9112 2.3)",
    ),
    request("version in lower case", "GET /@ http/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "method in lower case",
        "get /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "unknown method",
        "MOVE /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "two spaces in the first line",
        "GET  /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: one space (RFC 9112 3)",
    ),
    request(
        "tab in the first line",
        "GET\t/@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: one space (RFC 9112 3)",
    ),
    request(
        "space at the end of the first line",
        "GET /@ HTTP/1.1 \r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: as above",
    ),
    request("space in the target", "GET /@ b HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "fragment in the target",
        "GET /@#b HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "byte over 127 in the target",
        "GET /@é HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "empty lines first",
        "\r\n\r\nGET /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "empty line with LF first",
        "\nGET /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "stricter: a bare LF ends a line for some and not for others",
    ),
    request(
        "empty line after the body",
        "POST /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request("space first", " GET /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "GET with a body",
        "GET /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request("HEAD", "HEAD /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    request(
        "HEAD with a body",
        "HEAD /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "CONNECT",
        "CONNECT /@ HTTP/1.1\r\nHost: a\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: an app may be a proxy; what follows is read as requests only after it has declined",
    ),
    request(
        "TRACE with a body",
        "TRACE /@ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "OPTIONS *",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nX: /@\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "Expect",
        "POST /@ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "Expect something else",
        "POST /@ HTTP/1.1\r\nHost: a\r\nExpect: a\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "Expect without a body",
        "GET /@ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "Connection: close, then more",
        "GET /@ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /@smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "Connection names Content-Length",
        "POST /@ HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "Connection names Transfer-Encoding",
        "POST /@ HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "upgrade declined",
        "GET /@ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "passed on: framing is not in doubt, and the app judges as it would without us",
    ),
    request(
        "upgrade with a body",
        "POST /@ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabcGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
    request(
        "upgrade to h2c",
        "GET /@ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nGET /@next HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
    ),
];

/// What apps answer.
pub const ANSWERS: [AnswerCase; 48] = [
    answer("plain", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, ""),
    answer("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false, ""),
    answer(
        "chunked, trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n",
        false,
        "",
    ),
    answer("until the close", "HTTP/1.1 200 OK\r\n\r\nabc", true, ""),
    answer("HTTP/1.0, until the close", "HTTP/1.0 200 OK\r\n\r\nabc", true, ""),
    answer(
        "Connection: close, and not",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "",
    ),
    answer(
        "CL and TE",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        false,
        "refused: the answer could be read in two ways, and the next client would pay for it",
    ),
    answer("two equal CL", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", false, ""),
    answer(
        "two different CL",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\nabc",
        false,
        "refused: the answer could be read in two ways, and the next client would pay for it",
    ),
    answer(
        "CL list",
        "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
        false,
        "refused: the answer could be read in two ways, and the next client would pay for it",
    ),
    answer(
        "CL negative",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
        true,
        "refused: the answer could be read in two ways, and the next client would pay for it",
    ),
    answer("CL too large, then the close", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true, ""),
    answer(
        "CL too small: a second answer",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        false,
        "",
    ),
    answer("204 with CL and a body", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", false, ""),
    answer("204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, ""),
    answer("304 with CL and no body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", false, ""),
    answer("304 with a body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nabc", false, ""),
    AnswerCase {
        name: "HEAD with CL",
        method: "HEAD",
        bytes: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        closes: false,
        verdict: "",
    },
    AnswerCase {
        name: "HEAD with a body",
        method: "HEAD",
        bytes: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        closes: false,
        verdict: "",
    },
    AnswerCase {
        name: "HEAD, chunked",
        method: "HEAD",
        bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        closes: false,
        verdict: "",
    },
    answer(
        "100, then 200",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "passed on; nginx 1.22 drops the answer, hyper the interim one",
    ),
    answer(
        "103, then 200",
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "passed on; nginx 1.22 drops the answer, hyper the interim one",
    ),
    answer(
        "five 103, then 200",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "passed on; nginx 1.22 drops the answer, hyper the interim one",
    ),
    answer(
        "103 with CL",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "passed on: an interim answer has no body whatever it says; nginx 1.22 loses the final one",
    ),
    answer(
        "101 unasked",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        false,
        "refused, as haproxy does; nginx closes without an answer",
    ),
    answer(
        "TE: xchunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        true,
        "refused: the answer could be read in two ways, and the next client would pay for it",
    ),
    answer(
        "TE: gzip, chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        false,
        "passed on: the last coding frames it (RFC 9112 6.3)",
    ),
    answer(
        "TE: identity",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
        true,
        "passed on up to the close, after which nothing follows (RFC 9112 6.3)",
    ),
    answer(
        "TE twice",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        false,
        "refused: the answer could be read in two ways, and the next client would pay for it",
    ),
    answer(
        "TE in HTTP/1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        true,
        "refused: as in requests",
    ),
    answer(
        "chunk size is no number",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
        false,
        "refused, as haproxy does; nginx closes without an answer",
    ),
    answer(
        "bad chunk after a good one",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n",
        false,
        "refused, as haproxy does, where nothing of it has been passed on yet; nginx closes without an answer",
    ),
    answer("chunks cut by the close", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, ""),
    answer(
        "chunk extension",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
        false,
        "",
    ),
    answer(
        "chunk size ends with LF",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        false,
        "stricter: a bare LF ends a line for some and not for others",
    ),
    answer(
        "bare LF in the head",
        "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 3\r\n\r\nabc",
        false,
        "stricter: a bare LF ends a line for some and not for others",
    ),
    answer(
        "bare LF everywhere",
        "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        false,
        "stricter: a bare LF ends a line for some and not for others",
    ),
    answer(
        "obs-fold",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "refused: as in requests",
    ),
    answer(
        "NUL in a value",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "refused: as in requests",
    ),
    answer("space before colon", "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc", false, ""),
    answer("no reason phrase", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", false, ""),
    answer("status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc", false, "refused: no status"),
    answer("status 999", "HTTP/1.1 999 X\r\nContent-Length: 3\r\n\r\nabc", false, ""),
    answer("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, "refused: not what was asked"),
    answer("not HTTP", "SSH-2.0-x\r\n\r\n", true, "refused; nginx takes it for an answer of HTTP/0.9"),
    answer("closed without an answer", "", true, ""),
    answer("head cut by the close", "HTTP/1.1 200 OK\r\nContent-Le", true, ""),
    answer(
        "empty line first",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        false,
        "refused: to some it is an answer of HTTP/0.9; haproxy skips it",
    ),
];
