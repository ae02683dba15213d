//! The sample: a small HTTP service to restart, and the load client that finds every request lost on the way.
//!
//! `sample app` is the service, `sample load` the client and its ledger, `sample ask` a tiny HTTP client for images
//! without a shell.
//!
//! **Invariant:** nothing here uses the library, so the judge shares no code with what it judges.

mod app;
mod ask;
mod http;
mod load;

use clap::Parser;
use std::process::ExitCode;

/// A service to restart, and the client that watches it.
#[derive(Parser)]
#[command(name = "sample")]
enum Command {
    /// The service: answers slowly, and dies at once when told to.
    App(app::Options),
    /// The load client and its ledger, driven over HTTP.
    Load(load::Options),
    /// Sends one HTTP request and prints the answer; fails unless the answer is 2xx.
    Ask(ask::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::App(options) => app::run(options).await,
        Command::Load(options) => load::run(options).await,
        Command::Ask(options) => ask::run(options).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("sample: {message}");
            ExitCode::FAILURE
        }
    }
}
