//! The programs of `make bench-sidecar` that are no rival: the app behind the proxies, the byte relay that is their floor,
//! and the clients.
//!
//! **Invariant:** nothing here uses the library, so the judge shares no code with what it judges; every client ends by
//! itself, after a number of requests or a time.

mod answer;
mod idle;
mod open_loop;
mod relay;
mod saturate;
mod upstream;

use clap::Parser;
use std::process::ExitCode;

/// What clients send.
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: app.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

/// Programs of the benchmark.
#[derive(Parser)]
#[command(name = "bench")]
enum Command {
    /// The app: answers every request at once with 100 bytes.
    Upstream(upstream::Options),
    /// Copies bytes both ways and understands none.
    Relay(relay::Options),
    /// Sends a number of requests over kept connections, the next one as soon as the answer is there.
    Saturate(saturate::Options),
    /// Sends requests at their times, whatever the answers do.
    OpenLoop(open_loop::Options),
    /// Opens connections, sends one request over each, and keeps them open until its input ends.
    Idle(idle::Options),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Upstream(options) => upstream::run(&options),
        Command::Relay(options) => relay::run(&options),
        Command::Saturate(options) => saturate::run(&options),
        Command::OpenLoop(options) => open_loop::run(&options),
        Command::Idle(options) => idle::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `future` on one thread.
fn on_one_thread(future: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
