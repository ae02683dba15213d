//! slowhttptest: clients that send heads and bodies, or take answers, as slowly as they can. Others are served meanwhile.

use crate::support::{App, Sidecar, run, soon};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

/// Slow connections at a time.
const SLOW: &str = "200";
/// Fewer are no attack.
const ATTACK: u64 = 100;
/// When all of them must have ended: a second to come, the limit of three twice, and time for a busy machine.
const END: Duration = Duration::from_secs(18);
/// Limits of the sidecar in these tests, in seconds.
const LIMITS: [&str; 4] = ["--head-timeout-seconds", "3", "--stall-timeout-seconds", "3"];
/// Longest time for somebody else's answer meanwhile; the machine may be busy.
const PROMPT: Duration = Duration::from_secs(2);

/// One attack of 20 s. It is over within the sidecar's own limits, though the attacker would go on.
async fn attack(arguments: &[&str], path: &str) {
    let app = App::start().await;
    let sidecar = Sidecar::start(app.address, &LIMITS).await;
    let mut command = Command::new("slowhttptest");
    command.args(["-c", SLOW, "-r", "200", "-l", "20", "-p", "3", "-u", &sidecar.url(path)]).args(arguments);
    let began = Instant::now();
    let (mut slowest, mut most, mut over) = (Duration::ZERO, 0, None);
    let others = async {
        loop {
            slowest = slowest.max(one_request(&sidecar).await);
            let busy = sidecar.metric("in_flight").await;
            most = most.max(busy);
            // The attacker's own probe may be among those that are left.
            if most > ATTACK && busy <= 1 {
                over.get_or_insert_with(|| began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let output = tokio::select! {
        (_, output) = run(&mut command) => output,
        never = others => never,
    };
    assert!(most > ATTACK, "{arguments:?}: only {most} came at a time: no attack\n{output}");
    assert!(slowest < PROMPT, "{arguments:?}: others waited {slowest:?}");
    // It ends when it has no connection left; one that only looks at them now and then may not notice.
    let over = over.or_else(|| output.contains("No open connections left").then(|| began.elapsed()));
    assert!(over.is_some_and(|over| over < END), "{arguments:?}: not ended by the sidecar: {over:?}\n{output}");
    let unavailable = output.lines().any(|line| line.contains("service available") && line.contains("NO"));
    assert!(!unavailable, "{arguments:?}: unavailable meanwhile\n{output}");
    sidecar.is_idle().await;
    sidecar.is_empty().await;
    println!("slowhttptest {arguments:?}: up to {most} at a time, others at most {slowest:?}, over after {over:?}");
}

async fn one_request(sidecar: &Sidecar) -> Duration {
    let began = Instant::now();
    let mut client = TcpStream::connect(sidecar.traffic).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("somebody else's answer", client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_end_in_time_and_others_are_served() {
    attack(&["-H", "-i", "1"], "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_stand_still_end_in_time_and_others_are_served() {
    attack(&["-B", "-i", "10", "-s", "8192"], "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_end_in_time_and_others_are_served() {
    attack(&["-X", "-w", "512", "-y", "1024", "-n", "10", "-z", "1"], "/bytes/8000000").await;
}
