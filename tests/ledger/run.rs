//! One run: a sidecar between an app and clients that both keep the ledger.
//!
//! The sidecar has threads of its own, two of them for the traffic, as it is one program; both ends of the traffic share another.

use super::truth::Truth;
use super::{app, http1, http2};
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

/// A lease of a second begins so often.
const DRAIN_EVERY: Duration = Duration::from_secs(6);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// How much traffic.
#[derive(Clone, Copy)]
pub struct Load {
    pub requests: u64,
    pub http1_clients: usize,
    pub http2_connections: usize,
    /// How long the count may take to come to 0 at the end.
    pub patience: Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self { requests: 0, http1_clients: 48, http2_connections: 2, patience: Duration::from_secs(60) }
    }
}

/// What is wrong with the count, in sentences.
pub fn count_against_the_truth(load: &Load) -> Vec<String> {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(run(load))
}

async fn run(load: &Load) -> Vec<String> {
    let requests = load.requests;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sidecar = start_sidecar(listener.local_addr().unwrap());
    let truth = Arc::new(Truth::new(requests, Arc::clone(&sidecar.shared)));
    let app = tokio::spawn(app::serve(listener, Arc::clone(&truth)));
    let beside = tokio::spawn(beside(Arc::clone(&truth), Arc::clone(&sidecar.shared), requests));
    let began = Instant::now();
    let http1 = (0..load.http1_clients).map(|_| {
        let client = http1::Client { sidecar: sidecar.listen, truth: &truth, kept: None, read: Vec::new() };
        client.run()
    });
    let http2 = (0..load.http2_connections).map(|_| http2::run(sidecar.listen, &truth));
    tokio::join!(futures::future::join_all(http1), futures::future::join_all(http2));
    let took = began.elapsed();
    let empty = async {
        sidecar.shared.in_flight.below(1).await;
        sidecar.shared.connections.below(1).await;
    };
    // If it never is, the verdict says so.
    let _ = tokio::time::timeout(load.patience, empty).await;
    beside.abort();
    app.abort();
    let (checks, most_open) = truth.checks();
    let rate = f64::from(u32::try_from(requests).unwrap()) / took.as_secs_f64();
    let again = truth.again_count();
    println!(
        "{requests} requests in {took:.1?} ({rate:.0}/s), at most {most_open} open, the count checked {checks} times, {again} sent again after GOAWAY"
    );
    truth.verdict()
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
    // Two threads, so that the count is changed on both.
    let more = ["--threads", "2", "--control-socket", &socket, "--pod-uid", "pod-1", "--trusted-key", &trusted];
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
