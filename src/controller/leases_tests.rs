//! A sidecar on a real socket of this machine that obeys and counts commands; no pass takes place meanwhile.

use super::*;
use crate::controller::leader::Leader;
use crate::wire::{LeaseReport, Mode, VERSION};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Just above the bound: the next renewal is due after the shortest pause.
const SHORT: u64 = 20_500;

#[derive(Default)]
struct Sidecar {
    /// What remains of its lease; none is in force at 0.
    remaining: AtomicUsize,
    looks: AtomicUsize,
    commands: AtomicUsize,
}

impl Sidecar {
    fn with(remaining: u64) -> Arc<Self> {
        let sidecar = Self::default();
        sidecar.remaining.store(usize::try_from(remaining).unwrap(), SeqCst);
        Arc::new(sidecar)
    }

    fn report(&self) -> String {
        let remaining = u64::try_from(self.remaining.load(SeqCst)).unwrap();
        let lease =
            LeaseReport { remaining_millis: remaining, draining_for_millis: 1, new_requests: NewRequests::Serve };
        let report = InFlightReport {
            version: VERSION,
            pod_uid: "pod".to_owned(),
            boot: "b".to_owned(),
            challenge: "c".to_owned(),
            trusted_keys: vec![],
            mode: Mode::Http,
            in_flight: 1,
            last_arrival_ago_millis: None,
            mean_gap_millis: None,
            lease: (remaining > 0).then_some(lease),
            terminating: false,
            last_probe: None,
        };
        serde_json::to_string(&report).unwrap()
    }

    /// Serves until the test ends; a command makes the lease long enough for the shortest pause.
    async fn serve(self: Arc<Self>) -> At {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                if head[..length].starts_with(b"POST") {
                    self.commands.fetch_add(1, SeqCst);
                } else {
                    self.looks.fetch_add(1, SeqCst);
                }
                let body = self.report();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        At { namespace: "shop".to_owned(), ip: "127.0.0.1".to_owned(), port }
    }
}

fn leases(sidecars: Sidecars) -> Leases {
    Leases::new(sidecars, Keys::from_seed(&[1; 32]), Metrics::default())
}

fn pods(at: &At) -> HashMap<String, At> {
    HashMap::from([("pod".to_owned(), at.clone())])
}

/// Waits until that many have come.
async fn come(count: &AtomicUsize, least: usize) {
    let come = async {
        while count.load(SeqCst) < least {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), come).await.unwrap();
}

async fn ended(leases: &Leases) {
    let ended = async {
        while !leases.lock().at_work.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
}

#[tokio::test]
async fn a_lease_is_renewed_without_a_pass_until_the_run_wants_the_pod_no_more() {
    let sidecar = Sidecar::with(SHORT - 1_000);
    let (at, leases) = (sidecar.clone().serve().await, leases(Sidecars::on_loopback()));
    leases.mandate("run", pods(&at), NewRequests::Serve, Instant::now());
    come(&sidecar.commands, 2).await;
    leases.mandate("another run", HashMap::new(), NewRequests::Serve, Instant::now());
    assert_eq!(leases.lock().mandates.len(), 1, "another run's pass takes nothing from this one");
    leases.mandate("run", HashMap::new(), NewRequests::Serve, Instant::now());
    ended(&leases).await;
    let commands = sidecar.commands.load(SeqCst);
    tokio::time::sleep(2 * PAUSE).await;
    assert_eq!(sidecar.commands.load(SeqCst), commands);
    leases.mandate("run", pods(&at), NewRequests::Serve, Instant::now());
    come(&sidecar.commands, commands + 1).await;
    leases.forget("run");
    ended(&leases).await;
}

#[tokio::test]
async fn a_lease_that_lasts_is_looked_at_and_left_alone_and_none_is_begun() {
    for remaining in [SHORT, 0] {
        let sidecar = Sidecar::with(remaining);
        let (at, leases) = (sidecar.clone().serve().await, leases(Sidecars::on_loopback()));
        leases.mandate("run", pods(&at), NewRequests::Serve, Instant::now());
        come(&sidecar.looks, 1).await;
        tokio::time::sleep(PAUSE / 2).await;
        assert_eq!(sidecar.commands.load(SeqCst), 0, "{remaining} ms");
    }
}

#[tokio::test]
async fn a_mandate_ends_with_its_time_and_with_the_leadership() {
    let sidecar = Sidecar::with(SHORT - 1_000);
    let at = sidecar.clone().serve().await;
    let old = leases(Sidecars::on_loopback());
    old.mandate("run", pods(&at), NewRequests::Serve, Instant::now().checked_sub(MANDATE).unwrap());
    ended(&old).await;
    let follower = leases(Sidecars::new(Leader::default()));
    follower.mandate("run", pods(&at), NewRequests::Serve, Instant::now());
    ended(&follower).await;
    assert_eq!((sidecar.looks.load(SeqCst), sidecar.commands.load(SeqCst)), (0, 0));
}

#[tokio::test]
async fn a_sidecar_that_does_not_answer_is_asked_again_until_it_does() {
    let sidecar = Sidecar::with(SHORT - 1_000);
    let at = sidecar.clone().serve().await;
    let leases = leases(Sidecars::on_loopback());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = At { port: free.local_addr().unwrap().port(), ..at.clone() };
    drop(free);
    leases.mandate("run", pods(&nobody), NewRequests::Serve, Instant::now());
    tokio::time::sleep(PAUSE + PAUSE / 2).await;
    assert_eq!(leases.lock().at_work.len(), 1);
    // The next pass has seen it elsewhere.
    leases.mandate("run", pods(&at), NewRequests::Serve, Instant::now());
    come(&sidecar.commands, 1).await;
}
