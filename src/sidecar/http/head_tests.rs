//! Heads that must be read, and heads that must be refused.

use super::*;

fn request(text: &str) -> Result<RequestHead, Malformed> {
    let mut scanned = 0;
    let end = find_end(text.as_bytes(), &mut scanned)?.expect("a whole head");
    parse_request(&text.as_bytes()[..end])
}

fn response(text: &str) -> Result<ResponseHead, Malformed> {
    parse_response(text.as_bytes())
}

#[expect(clippy::needless_pass_by_value, reason = "reads best at the call")]
fn is_bad<T: std::fmt::Debug>(result: Result<T, Malformed>) -> bool {
    matches!(result, Err(Malformed::Bad(_)))
}

#[test]
fn the_end_of_a_head_is_found_however_it_arrives() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    for step in 1..text.len() {
        let (mut scanned, mut found) = (0, None);
        for end in (step..text.len()).step_by(step).chain([text.len()]) {
            found = find_end(&text[..end], &mut scanned).unwrap();
            if found.is_some() {
                break;
            }
        }
        assert_eq!(found, Some(text.len() - 4), "in steps of {step}");
    }
}

#[test]
fn a_request_without_length_has_no_body_and_one_with_both_is_refused() {
    assert_eq!(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().framing, Framing::Length(0));
    assert_eq!(request("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n").unwrap().framing, Framing::Length(5));
    assert_eq!(request("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n").unwrap().framing, Framing::Chunked);
    assert!(is_bad(request("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")));
}

#[test]
fn ambiguous_framing_is_refused() {
    let bad = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding : chunked",
        "X: a\r\n folded",
        "X: a\r\n\tfolded",
        ": empty name",
        "no colon",
        "X: a\rb",
        "X: a\0b",
    ];
    for fields in bad {
        assert!(is_bad(request(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"))), "{fields:?}");
    }
    assert!(request("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n").is_ok());
}

#[test]
fn a_bare_line_feed_is_refused_wherever_it_stands() {
    for text in
        ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n", "\n"]
    {
        assert!(is_bad(find_end(text.as_bytes(), &mut 0)), "{text:?}");
    }
}

#[test]
fn versions_other_than_1_0_and_1_1_are_refused() {
    assert!(is_bad(request("GET / HTTP/2.0\r\n\r\n")));
    assert!(is_bad(request("GET /\r\n\r\n")));
    assert!(is_bad(request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")));
}

#[test]
fn heads_over_the_limits_are_too_large() {
    let many = "X: a\r\n".repeat(MAX_HEADERS + 1);
    assert_eq!(request(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(Malformed::TooLarge));
    let long = "a".repeat(MAX_HEAD);
    assert_eq!(find_end(format!("GET /{long}").as_bytes(), &mut 0), Err(Malformed::TooLarge));
    assert_eq!(find_end(format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n").as_bytes(), &mut 0), Err(Malformed::TooLarge));
}

#[test]
fn persistence_follows_version_and_connection() {
    let keeps = |text: &str| request(text).unwrap().keep_alive;
    assert!(keeps("GET / HTTP/1.1\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

#[test]
fn an_upgrade_needs_both_of_its_headers() {
    let upgrades = |text: &str| request(text).unwrap().upgrade;
    assert!(upgrades("GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"));
    assert!(!upgrades("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"));
    assert!(!upgrades("GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n"));
}

#[test]
fn answers_are_framed_as_rfc_9112_says() {
    assert_eq!(response("HTTP/1.1 200 OK\r\n\r\n").unwrap().framing, Framing::UntilClose);
    assert_eq!(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").unwrap().framing, Framing::UntilClose);
    assert_eq!(
        response("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").unwrap().framing,
        Framing::Chunked
    );
    assert_eq!(response("HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n").unwrap().framing, Framing::Length(0));
    assert_eq!(response("HTTP/1.1 204 X\r\n\r\n").unwrap().framing, Framing::Length(0));
    assert_eq!(response("HTTP/1.1 100 Continue\r\n\r\n").unwrap().framing, Framing::Length(0));
    assert!(is_bad(response("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")));
    assert!(is_bad(response("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")));
}
