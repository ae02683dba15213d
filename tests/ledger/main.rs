//! The count against a ledger that both ends keep: requests of every kind, well-behaved and not, over both protocols at
//! once, with drains in between. `LEDGER_REQUESTS` says how many; `make soak` makes 10^7 of them.
//!
//! The sidecar has a thread of its own, as it is one program; both ends of the traffic share another.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

mod app;
mod http1;
mod http2;
mod kind;
mod truth;

use clap::Parser as _;
use ed25519_dalek::SigningKey;
use restart_controller::sidecar::cli::{Cli, Verb};
use restart_controller::sidecar::{self, Sidecar};
use restart_controller::wire::{self, DrainAction, DrainCommand, NewRequests};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use truth::Truth;

const REQUESTS: u64 = 300_000;
const HTTP1_CLIENTS: usize = 48;
const HTTP2_CONNECTIONS: usize = 2;
/// A lease of a second begins so often.
const DRAIN_EVERY: Duration = Duration::from_secs(6);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

fn main() {
    let requests = std::env::var("LEDGER_REQUESTS").map_or(REQUESTS, |text| text.parse().expect("LEDGER_REQUESTS"));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(count_against_the_truth(requests));
}

async fn count_against_the_truth(requests: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sidecar = start_sidecar(listener.local_addr().unwrap());
    let truth = Arc::new(Truth::new(requests, Arc::clone(&sidecar.shared)));
    let app = tokio::spawn(app::serve(listener, Arc::clone(&truth)));
    let beside = tokio::spawn(beside(Arc::clone(&truth), Arc::clone(&sidecar.shared), requests));
    let began = Instant::now();
    let http1 = (0..HTTP1_CLIENTS).map(|_| {
        let client = http1::Client { sidecar: sidecar.listen, truth: &truth, kept: None, read: Vec::new() };
        client.run()
    });
    let http2 = (0..HTTP2_CONNECTIONS).map(|_| http2::run(sidecar.listen, &truth));
    tokio::join!(futures::future::join_all(http1), futures::future::join_all(http2));
    let took = began.elapsed();
    let empty = async {
        sidecar.shared.in_flight.below(1).await;
        sidecar.shared.connections.below(1).await;
    };
    truth::soon("nothing in flight and no connection", empty).await;
    beside.abort();
    app.abort();
    let (checks, most_open) = truth.checks();
    let rate = f64::from(u32::try_from(requests).unwrap()) / took.as_secs_f64();
    let again = truth.again_count();
    println!(
        "{requests} requests in {took:.1?} ({rate:.0}/s), at most {most_open} open, the count checked {checks} times, {again} sent again after GOAWAY"
    );
    let wrong = truth.verdict();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn start_sidecar(app: SocketAddr) -> Sidecar {
    let (tell, told) = std::sync::mpsc::channel();
    let trusted = wire::format_public_key("k1", &key().verifying_key());
    let socket = format!("test-{}", wire::random_id());
    let (any, app) = ("127.0.0.1:0", app.to_string());
    let arguments = ["restart-sidecar", "run", "--listen", any, "--admin", any, "--upstream", &app];
    let more = ["--control-socket", &socket, "--pod-uid", "pod-1", "--trusted-key", &trusted];
    let Verb::Run(run) = Cli::try_parse_from(arguments.iter().chain(&more)).unwrap().verb else { unreachable!() };
    std::thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            tell.send(sidecar::start(*run).await.unwrap()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}

/// Drains, and says how far it has come.
async fn beside(truth: Arc<Truth>, shared: Arc<sidecar::state::Shared>, requests: u64) {
    let (mut drained, mut told) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if drained.elapsed() >= DRAIN_EVERY {
            drained = Instant::now();
            drain(&shared);
        }
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            println!("{} of {requests} requests, {} in flight", truth.done_count(), shared.in_flight.now());
        }
    }
}

fn drain(shared: &sidecar::state::Shared) {
    let report = shared.report();
    let command = DrainCommand {
        pod_uid: report.pod_uid,
        boot: report.boot,
        challenge: report.challenge,
        action: DrainAction::Drain,
        ttl_seconds: 1,
        new_requests: NewRequests::Serve,
        key_id: "k1".into(),
        signature: String::new(),
    };
    shared.obey(&command.signed(&key())).unwrap();
}
