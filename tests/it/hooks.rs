//! HTTP hooks against real sockets: what is sent, what counts as success, and what of an answer is ever shown.
//!
//! **Invariant:** the receivers listen on the API server's address, in the network that `make it` makes for itself: a
//! hook may not call loopback, and there is no switch that would let it.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

use restart_controller::api::HttpMethod;
use restart_controller::controller::hooks::http::{Call, send};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const CAP: usize = 64 * 1024;

/// An address of this network that is not loopback.
async fn here() -> IpAddr {
    let config = kube::Config::infer().await.expect("no API server: run these by `make it`");
    config.cluster_url.host().unwrap().parse().expect("the API server of `make it` has a numeric address")
}

fn call(url: String) -> Call {
    Call {
        url,
        method: HttpMethod::Post,
        namespace: "shop".into(),
        idempotency_key: "u-1-3-pre-check".into(),
        body: br#"{"hook":"check"}"#.to_vec(),
        limit: Duration::from_secs(10),
    }
}

/// Answers one request with `answer`; what was sent is the task's result, and the URL is given.
async fn receiver(answer: impl AsRef<[u8]> + Send + 'static) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind((here().await, 0)).await.unwrap();
    let url = format!("http://{}/hooks/check?token=secret", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let sent = request(&mut stream).await;
        // The caller may stop reading where its cap is.
        let _ = stream.write_all(answer.as_ref()).await;
        sent
    });
    (url, task)
}

/// A request with its body, as it came.
async fn request(stream: &mut TcpStream) -> String {
    let (mut sent, mut piece) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).await.unwrap();
        sent += std::str::from_utf8(&piece[..read]).unwrap();
        let Some((head, body)) = sent.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        if body.len() >= length {
            return sent;
        }
    }
}

async fn answered(answer: impl AsRef<[u8]> + Send + 'static) -> Result<(), String> {
    let (url, task) = receiver(answer).await;
    let result = send(call(url)).await;
    task.await.unwrap();
    result
}

#[tokio::test]
async fn a_hook_carries_its_body_and_key_and_any_2xx_is_success() {
    let (url, task) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    send(call(url)).await.unwrap();
    let sent = task.await.unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hooks/check?token=secret HTTP/1.1\r\nhost: "), "{head}");
    assert!(head.contains("\r\nidempotency-key: u-1-3-pre-check\r\n"), "{head}");
    assert!(head.contains(concat!("\r\nuser-agent: restart-controller/", env!("CARGO_PKG_VERSION"))), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
    assert_eq!(body, r#"{"hook":"check"}"#);
}

#[tokio::test]
async fn a_get_has_no_body() {
    let (url, task) = receiver("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    send(Call { method: HttpMethod::Get, ..call(url) }).await.unwrap();
    let sent = task.await.unwrap();
    assert!(sent.starts_with("GET /hooks/check") && sent.ends_with("\r\n\r\n"), "{sent}");
    assert!(!sent.contains("content-"), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_nobody_learns_where_it_leads() {
    let answer = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://elsewhere/secret\r\ncontent-length: 0\r\n\r\n";
    let said = answered(answer).await.unwrap_err();
    assert!(
        said.ends_with("answered 307 Temporary Redirect, a redirect, which is not followed; name the last URL"),
        "{said}"
    );
}

#[tokio::test]
async fn of_a_failure_nothing_is_shown_but_what_the_server_means_for_us() {
    let secret = "only for those who may read it here";
    let head = |more: &str| {
        format!(
            "HTTP/1.1 500 Internal Server Error\r\nset-cookie: session={secret}\r\n{more}content-length: {}\r\n\r\n{secret}",
            secret.len()
        )
    };
    let said = answered(head("")).await.unwrap_err();
    assert!(
        said.starts_with("POST http://") && said.ends_with("/hooks/check: answered 500 Internal Server Error"),
        "{said}"
    );
    let message = format!("Restart-Controller-Message: the  queue\tis full: {}\r\n", "é".repeat(400));
    let said = answered(head(&message)).await.unwrap_err();
    let (_, shown) = said.split_once(" answered 500 Internal Server Error: ").unwrap();
    assert_eq!((shown.chars().count(), shown.starts_with("the  queue is full: é")), (256, true), "{shown}");
    assert!(!said.contains(secret), "{said}");
}

#[tokio::test]
async fn an_answer_without_end_is_read_up_to_its_cap() {
    let endless = format!("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 1000000000\r\n\r\n{}", "x".repeat(2 * CAP));
    let began = Instant::now();
    let said = answered(endless).await.unwrap_err();
    assert!(said.ends_with("answered 502 Bad Gateway") && began.elapsed() < Duration::from_secs(5), "{said}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_success() {
    let said = answered("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap_err();
    assert!(said.contains("the answer broke off"), "{said}");
    let said = answered("").await.unwrap_err();
    assert!(said.contains("the connection broke"), "{said}");
    let said = answered("no HTTP at all\r\n\r\n").await.unwrap_err();
    assert!(said.contains("the connection broke"), "{said}");
}

#[tokio::test]
async fn everything_together_has_one_limit_however_slowly_the_answer_drips() {
    let listener = TcpListener::bind((here().await, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let dripping = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let said = send(Call { limit: Duration::from_secs(1), ..call(url) }).await.unwrap_err();
    assert!(said.starts_with("not over within 1 s (POST http://"), "{said}");
    dripping.await.unwrap();
}

#[tokio::test]
async fn loopback_is_never_called_though_somebody_listens_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "127.1"] {
        let said = send(call(format!("http://{host}:{port}/"))).await.unwrap_err();
        assert!(said.contains("which hooks may not call"), "{host}: {said}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(nobody.is_err(), "somebody called");
}

#[tokio::test]
async fn a_host_that_speaks_no_tls_or_is_not_there_fails_in_a_sentence() {
    let plain = TcpListener::bind((here().await, 0)).await.unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let said = send(call(url)).await.unwrap_err();
    answering.await.unwrap();
    assert!(said.contains("TLS: "), "{said}");
    let nobody = TcpListener::bind((here().await, 0)).await.unwrap().local_addr().unwrap();
    let said = send(call(format!("http://{nobody}/"))).await.unwrap_err();
    assert!(said.contains(&format!("no connection to {nobody}: ")), "{said}");
}

#[tokio::test]
async fn https_is_spoken_to_who_a_trusted_authority_vouches_for() {
    assert!(
        std::env::var_os("SSL_CERT_FILE").is_some(),
        "the cluster's authority is not trusted: run these by `make it`"
    );
    let server = kube::Config::infer().await.unwrap().cluster_url;
    send(Call { method: HttpMethod::Get, ..call(format!("{server}livez")) }).await.unwrap();
    let said = send(Call { method: HttpMethod::Get, ..call(format!("{server}api")) }).await.unwrap_err();
    assert!(said.contains("/api: answered 40"), "{said}");
}
