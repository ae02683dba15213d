//! The controller's command line.

use clap::{Parser, Subcommand};
use restart_controller::{api, controller};
use std::process::ExitCode;

/// Restarts Kubernetes workloads without losing a request.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the controller.
    Run(Box<controller::Args>),
    /// Try out an installation and change nothing: `helm test` runs this.
    Check(controller::check::Args),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
}

fn main() -> ExitCode {
    let done = match Command::parse().verb {
        Verb::Run(args) => run(*args),
        Verb::Check(args) => check(&args),
        Verb::Crds => print_crds().map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("restart-controller: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: controller::Args) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let done = runtime.block_on(controller::run(args));
    // Who lost the Lease is gone at once: no thread that resolves a name, no pass, is waited for.
    runtime.shutdown_background();
    done.map_err(|error| error.to_string())
}

fn check(args: &controller::check::Args) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(controller::check::run(args)).map_err(|error| error.to_string())
}

fn print_crds() -> Result<(), serde_yaml::Error> {
    print!(
        "{}---\n{}",
        serde_yaml::to_string(&api::restart_request_crd())?,
        serde_yaml::to_string(&api::restart_history_crd())?
    );
    Ok(())
}
