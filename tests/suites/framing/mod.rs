//! The same bytes through the sidecar, haproxy, nginx and a proxy made of hyper alone: who forwards them, and what the app (or the client) then sees.
//!
//! docs/sidecar-framing.md is what this test found, with a verdict wherever the four disagree; any difference from it
//! fails. `UPDATE=1 tests/suites/run framing` writes it anew; verdicts stand beside the cases.

mod cases;
mod exchanges;
mod hyper;
mod proxies;
mod reader;
mod recorder;
mod table;

use cases::{ANSWERS, AnswerCase, REQUESTS, RequestCase};
use proxies::{Proxy, Side};
use reader::{Kind, Message, agreed};
use std::time::Duration;
use table::{Found, Row};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection on which nothing has come for so long is taken to wait. All cases run at once, so it costs little.
const QUIET: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread")]
async fn every_disagreement_with_nginx_haproxy_and_hyper_has_a_verdict() {
    let proxies = [proxies::ours().await, proxies::haproxy().await, proxies::nginx().await, proxies::hyper().await];
    let requests =
        futures::future::join_all(REQUESTS.iter().enumerate().map(|(n, case)| request_row(&proxies, n, case)));
    let answers = futures::future::join_all(ANSWERS.iter().enumerate().map(|(n, case)| answer_row(&proxies, n, case)));
    let (requests, answers) = tokio::join!(requests, answers);
    let unclear: Vec<_> = requests.iter().chain(&answers).filter(|row| !row.found[0].is_clear).collect();
    assert!(unclear.is_empty(), "readers understand differently what we forward: {unclear:#?}");
    table::check(&requests, &answers);
}

async fn request_row(proxies: &[Proxy; 4], number: usize, case: &'static RequestCase) -> Row {
    let path = format!("/c{number}-");
    let bytes = case.bytes.replace("/@", &path);
    let through = proxies.iter().map(|proxy| request_through(&proxy.requests, &path, bytes.as_bytes()));
    let found = futures::future::join_all(through).await;
    Row { name: case.name, sent: case.bytes, found: found.try_into().unwrap(), verdict: case.verdict }
}

/// What the app saw of `bytes`, and what the client was told.
async fn request_through(side: &Side, path: &str, bytes: &[u8]) -> Found {
    let (answer, ended) = exchange(side, bytes).await;
    let mut seen = Vec::new();
    let mut is_clear = true;
    for carried in side.app.about(path) {
        let (messages, all) = agreed(Kind::Requests, &carried);
        is_clear &= all;
        seen.extend(messages.iter().map(|message| shown(message, path)));
    }
    let statuses = statuses(&answer);
    let told = match (statuses.is_empty(), ended) {
        (true, true) => "closed".to_owned(),
        (true, false) => "waits".to_owned(),
        (false, _) => statuses.join(" "),
    };
    let served: Vec<_> = seen.iter().filter(|(whole, _)| *whole).map(|(_, text)| text.clone()).collect();
    // How much of a request a proxy passes on before it refuses the rest depends on the moment (hyper's client writes in
    // a task of its own), so a part is shown only where the proxy still waits for the rest.
    let waits = statuses.is_empty() && !ended;
    let parts = seen.into_iter().filter(|(whole, _)| !whole && waits).map(|(_, text)| text);
    let extra = parts.map(|text| format!("a part of {text}")).collect();
    Found { told, essence: served, extra, is_clear }
}

/// A request as the table shows it: method, what of the path is not the case's own, body.
fn shown(message: &Message, path: &str) -> (bool, String) {
    let line = message.line.replace(path, "/");
    let line = line.rsplit_once(" HTTP/").map_or(line.as_str(), |(line, _)| line);
    let body = String::from_utf8_lossy(&message.body).replace(path, "/");
    let text = if body.is_empty() { line.to_owned() } else { format!("{line} {body:?}") };
    (message.whole, text)
}

async fn answer_row(proxies: &[Proxy; 4], number: usize, case: &'static AnswerCase) -> Row {
    let found =
        futures::future::join_all(proxies.iter().map(|proxy| answer_through(&proxy.answers, number, case))).await;
    Row { name: case.name, sent: case.bytes, found: found.try_into().unwrap(), verdict: case.verdict }
}

/// What a client gets that asks twice on one connection.
async fn answer_through(side: &Side, number: usize, case: &AnswerCase) -> Found {
    let method = case.method;
    let bytes =
        format!("{method} /r{number} HTTP/1.1\r\nHost: a\r\n\r\nGET /r{number}-second HTTP/1.1\r\nHost: a\r\n\r\n");
    let (answer, ended) = exchange(side, bytes.as_bytes()).await;
    let methods = [method, "GET"];
    let (messages, is_clear) = agreed(Kind::Answers(&methods, ended), &answer);
    let mut essence: Vec<_> = messages.iter().map(told).collect();
    // A proxy that refuses the first answer may or may not go on: only another answer than that would be a finding.
    let second = essence.pop_if(|last| last == "200 \"second\"");
    if let Some(end) = essence.iter().position(|text| text == NOT_HTTP) {
        essence.truncate(end + 1);
    }
    Found { told: String::new(), essence, extra: second.into_iter().collect(), is_clear }
}

const NOT_HTTP: &str = "what is not HTTP";

/// An answer as the table shows it.
fn told(message: &Message) -> String {
    let status = message.line.split(' ').nth(1).unwrap_or_default();
    if !message.line.starts_with("HTTP/1.") || status.len() != 3 {
        return NOT_HTTP.to_owned();
    }
    let cut = if message.whole { "" } else { ", cut" };
    // An answer of the proxy's own: what it says to people differs.
    if status.starts_with('5') || message.body.is_empty() {
        format!("{status}{cut}")
    } else {
        format!("{status} {:?}{cut}", String::from_utf8_lossy(&message.body))
    }
}

/// What comes back for `bytes` until the close or silence, and whether it was the close.
async fn exchange(side: &Side, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(side.address).await.unwrap();
    // A proxy may refuse before all is sent.
    let _ = stream.write_all(bytes).await;
    let (mut answer, mut piece) = (Vec::new(), vec![0; 16_384]);
    loop {
        match tokio::time::timeout(QUIET, stream.read(&mut piece)).await {
            Err(_) => return (answer, false),
            Ok(Ok(0) | Err(_)) => return (answer, true),
            Ok(Ok(count)) => answer.extend(&piece[..count]),
        }
    }
}

/// The status of each answer, interim ones included.
fn statuses(answer: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answer);
    let starts = text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12));
    starts.filter(|status| status.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned).collect()
}
