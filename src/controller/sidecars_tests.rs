//! Real sockets on this machine; what answers is written byte by byte, as a tenant's pod may.

use super::*;
use crate::wire::{DrainAction, NewRequests};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves `answer` once; returns the port and what the client sent.
async fn answering(answer: impl Into<Vec<u8>>) -> (u16, oneshot::Receiver<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let _ = sender.send(String::from_utf8_lossy(&head[..length]).into_owned());
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    });
    (port, asked)
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn report(pod_uid: &str, version: u32) -> String {
    let report = InFlightReport {
        version,
        pod_uid: pod_uid.to_owned(),
        boot: "b".repeat(32),
        challenge: "c".repeat(32),
        trusted_keys: vec!["k1".to_owned()],
        mode: crate::wire::Mode::Http,
        in_flight: 3,
        last_arrival_ago_millis: Some(10),
        mean_gap_millis: None,
        lease: None,
        terminating: false,
        last_probe: None,
    };
    serde_json::to_string(&report).unwrap()
}

fn command() -> DrainCommand {
    DrainCommand {
        pod_uid: "uid".into(),
        boot: "b".into(),
        challenge: "c".into(),
        action: DrainAction::Drain,
        ttl_seconds: 30,
        new_requests: NewRequests::Serve,
        key_id: "k1".into(),
        signature: "s".into(),
    }
}

async fn asked(answer: impl Into<Vec<u8>>) -> Result<InFlightReport, SidecarError> {
    let (port, _) = answering(answer).await;
    Sidecars::on_loopback().report("shop", "127.0.0.1", port, "uid").await
}

#[tokio::test]
async fn a_report_is_read() {
    let (port, asked) = answering(http("200 OK", &report("uid", 1))).await;
    let report = Sidecars::on_loopback().report("shop", "127.0.0.1", port, "uid").await.unwrap();
    assert_eq!(report.in_flight, 3);
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("GET /v1/in-flight HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{asked}");
}

#[tokio::test]
async fn a_command_is_posted_and_its_report_read() {
    let (port, asked) = answering(http("200 OK", &report("uid", 1))).await;
    assert!(Sidecars::on_loopback().command("shop", "127.0.0.1", port, &command()).await.is_ok());
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /v1/drain HTTP/1.1\r\n") && asked.contains("\"action\":\"Drain\""), "{asked}");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let (port, _) = answering(http("409 Conflict", r#"{"reason":"WrongChallenge","message":"read it\nagain"}"#)).await;
    let error = Sidecars::on_loopback().command("shop", "127.0.0.1", port, &command()).await.unwrap_err();
    let SidecarError::Refused { reason, message, .. } = error else { panic!("{error}") };
    assert_eq!((reason.as_str(), message.as_str()), ("WrongChallenge", "read it again"));
}

#[tokio::test]
async fn only_a_refusal_of_the_key_or_the_pod_is_final() {
    for (reason, is_final) in [
        ("WrongChallenge", false),
        ("Expired", false),
        ("TooMany", false),
        ("Conflict", false),
        ("UnknownKey", true),
        ("BadSignature", true),
    ] {
        let body = format!("{{\"reason\":\"{reason}\",\"message\":\"\"}}");
        let (port, _) = answering(http("409 Conflict", &body)).await;
        let error = Sidecars::on_loopback().command("shop", "127.0.0.1", port, &command()).await.unwrap_err();
        assert_eq!(error.is_final(), is_final, "{reason}");
    }
}

#[tokio::test]
async fn another_pod_at_the_address_is_not_believed() {
    let error = asked(http("200 OK", &report("another", 1))).await.unwrap_err();
    assert!(
        matches!(&error, SidecarError::WrongPod { expected, found, .. } if expected == "uid" && found == "another")
    );
}

#[tokio::test]
async fn a_newer_protocol_is_unknown_even_when_nothing_else_is_known_of_it() {
    let error = asked(http("200 OK", r#"{"version":2,"somethingNew":true}"#)).await.unwrap_err();
    assert!(matches!(error, SidecarError::Version { version: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_mode_that_nobody_knows_is_unknown_and_not_the_number_beside_it() {
    let answer = report("uid", 1).replace("\"Http\"", "\"Quic\"");
    let error = asked(http("200 OK", &answer)).await.unwrap_err();
    assert!(matches!(error, SidecarError::Mode(_)) && error.to_string().contains("upgrade the controller"), "{error}");
    for mode in ["Tcp", "Observe"] {
        let answer = report("uid", 1).replace("Http", mode);
        assert_eq!(asked(http("200 OK", &answer)).await.unwrap().in_flight, 3, "{mode}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let error = asked(elsewhere).await.unwrap_err();
    assert!(matches!(&error, SidecarError::Malformed { why, .. } if why.contains("302")), "{error}");
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused() {
    let error = asked(http("200 OK", &"x".repeat(MAX_BODY + 1))).await.unwrap_err();
    assert!(matches!(&error, SidecarError::Malformed { why, .. } if why.contains("length limit")), "{error}");
}

#[tokio::test]
async fn garbage_and_half_an_answer_are_errors_and_never_a_count() {
    for answer in [
        "\0\0\0\0",
        "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "",
    ] {
        assert!(asked(answer).await.is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = Sidecars::on_loopback().report("shop", "127.0.0.1", port, "uid").await.unwrap_err();
    assert!(matches!(error, SidecarError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn silence_is_given_up_after_two_seconds() {
    // Accepted by the kernel, answered by nobody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let begun = std::time::Instant::now();
    let error = Sidecars::on_loopback().report("shop", "127.0.0.1", port, "uid").await.unwrap_err();
    assert!(matches!(error, SidecarError::Timeout { .. }), "{error}");
    assert!(begun.elapsed() >= LIMIT && begun.elapsed() < LIMIT * 2);
}

#[tokio::test]
async fn addresses_that_no_pod_has_are_never_called() {
    let refused = [
        "127.0.0.1",
        "::1",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "100.100.100.200",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "",
        "web.shop.svc",
    ];
    for ip in refused {
        let error = Sidecars::new(Leader::always()).report("shop", ip, 8022, "uid").await.unwrap_err();
        assert_eq!(error, SidecarError::Address(ip.to_owned()));
    }
}

#[tokio::test]
async fn a_namespace_of_silent_sidecars_takes_no_time_from_another_one() {
    // Accepted by the kernel, answered by nobody.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dark = silent.local_addr().unwrap().port();
    let sidecars = Sidecars::on_loopback();
    let asked = (0..OF_ALL + 100).map(|_| {
        let sidecars = sidecars.clone();
        tokio::spawn(async move { sidecars.report("dark", "127.0.0.1", dark, "uid").await })
    });
    let asked: Vec<_> = asked.collect();
    tokio::task::yield_now().await;
    let begun = std::time::Instant::now();
    let (port, _) = answering(http("200 OK", &report("uid", 1))).await;
    assert!(sidecars.report("shop", "127.0.0.1", port, "uid").await.is_ok());
    let (port, _) = answering(http("200 OK", &report("uid", 1))).await;
    assert!(
        sidecars.command("dark", "127.0.0.1", port, &command()).await.is_ok(),
        "a command does not queue behind them"
    );
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
    let mut words = std::collections::BTreeMap::new();
    for asked in asked {
        *words.entry(asked.await.unwrap().unwrap_err().word()).or_insert(0) += 1;
    }
    // Each that was called had its two seconds; a pass ends after these and the wait for a place.
    let waves = usize::try_from(PLACE_LIMIT.as_secs() / LIMIT.as_secs()).unwrap();
    assert!(words["timeout"] >= OF_ONE_NAMESPACE * waves && words["no_place"] > OF_ONE_NAMESPACE, "{words:?}");
    assert!(begun.elapsed() < PLACE_LIMIT + LIMIT + LIMIT / 2, "{:?}", begun.elapsed());
}
