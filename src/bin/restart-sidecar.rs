//! The sidecar beside the app: see `restart_controller::sidecar`.

use clap::Parser as _;
use restart_controller::sidecar::{self, cli::Cli};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match sidecar::main(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("restart-sidecar: {error}");
            ExitCode::FAILURE
        }
    }
}
